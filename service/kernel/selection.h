/* eigerwatch._kernel.Selection: which pixels count, and the regions' edges. */
#ifndef EIGERWATCH_SELECTION_H
#define EIGERWATCH_SELECTION_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "reduce.h"

/* Never changed once made, so threads may share it. */
typedef struct {
    PyObject_HEAD size_t pixels;
    struct selection selection; /* its arrays belong to this object */
} SelectionObject;

/* Create the type in the module; NULL with an exception set. */
PyObject *selection_type(PyObject *module);

#endif
