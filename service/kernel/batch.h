/* Payloads that are reduced by one call, and what became of each. */
#ifndef EIGERWATCH_BATCH_H
#define EIGERWATCH_BATCH_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "variant.h"

struct batch {
    Py_ssize_t n;
    Py_ssize_t held; /* payloads whose buffers we hold */
    struct item {
        Py_buffer payload;
        enum reduce_status status;
        struct reduce_fault fault;
    } *items;
};

/* Where a batch's results go. */
struct results {
    char *records; /* stride bytes each, which begin with counts; not aligned */
    size_t stride;
    struct region_row *rows; /* as many each as the selection has regions */
};

/* Take hold of a sequence's buffers. On error, -1 with an exception set; release it
 * then, too. */
int batch_get(PyObject *payloads, struct batch *batch);

void batch_release(struct batch *batch);

/* Bytes of scratch that suffice for any of the payloads. packed says how they are
 * packed, without a payload. */
size_t batch_scratch_size(const struct batch *batch, const struct image *packed);

/* Reduce all payloads, without the interpreter's lock. */
void batch_reduce(struct batch *batch, const struct variant *variant,
                  const struct image *packed, const struct selection *selection,
                  const struct results *results, uint8_t *scratch, size_t scratch_size);

/* Return [(index, sentence), ...] of the payloads that could not be reduced; NULL with
 * an exception set, also where scratch was too small. */
PyObject *batch_faults(const struct batch *batch);

#endif
