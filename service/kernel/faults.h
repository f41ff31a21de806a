/* What went wrong, said to Python. */
#ifndef EIGERWATCH_FAULTS_H
#define EIGERWATCH_FAULTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "reduce.h"

/* Return the sentence about a fault; NULL with an exception set. */
PyObject *describe_fault(enum reduce_status status, const struct reduce_fault *fault);

/* Set an exception and return NULL: ValueError for a scratch buffer that is too small,
 * which is the caller's mistake, RuntimeError for the data's faults. */
PyObject *raise_fault(enum reduce_status status, const struct reduce_fault *fault);

#endif
