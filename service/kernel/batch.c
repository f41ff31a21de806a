/* One call's payloads: their buffers, their reduction, their faults. */
#include "batch.h"

#include "faults.h"

#include <string.h>

int batch_get(PyObject *payloads, struct batch *batch)
{
    PyObject *const fast =
        PySequence_Fast(payloads, "payloads must be a sequence of buffers");
    int result = -1;

    if (!fast)
        return -1;
    batch->n = PySequence_Fast_GET_SIZE(fast);
    batch->items = PyMem_Calloc((size_t)batch->n + 1, sizeof(batch->items[0]));
    if (!batch->items)
        PyErr_NoMemory();
    else {
        while (batch->held < batch->n &&
               PyObject_GetBuffer(PySequence_Fast_GET_ITEM(fast, batch->held),
                                  &batch->items[batch->held].payload,
                                  PyBUF_SIMPLE) == 0)
            batch->held++;
        result = batch->held == batch->n ? 0 : -1;
    }
    Py_DECREF(fast);
    return result;
}

void batch_release(struct batch *batch)
{
    while (batch->held > 0)
        PyBuffer_Release(&batch->items[--batch->held].payload);
    PyMem_Free(batch->items);
}

static struct image image_of(const struct item *item, const struct image *packed)
{
    struct image image = *packed;

    image.payload = item->payload.buf;
    image.size = (size_t)item->payload.len;
    return image;
}

size_t batch_scratch_size(const struct batch *batch, const struct image *packed)
{
    size_t most = 0;

    for (Py_ssize_t i = 0; i < batch->n; i++) {
        const struct image image = image_of(&batch->items[i], packed);
        const size_t size = reduce_scratch_size(&image);

        most = size > most ? size : most;
    }
    return most;
}

void batch_reduce(struct batch *batch, const struct variant *variant,
                  const struct image *packed, const struct selection *selection,
                  const struct results *results, uint8_t *scratch, size_t scratch_size)
{
    for (Py_ssize_t i = 0; i < batch->n; i++) {
        struct item *const item = &batch->items[i];
        const struct image image = image_of(item, packed);
        struct counts counts;

        item->status = reduce_image(variant, &image, selection, &counts,
                                    results->rows + (size_t)i * selection->n_regions,
                                    scratch, scratch_size, &item->fault);
        if (item->status == REDUCE_OK)
            memcpy(results->records + (size_t)i * results->stride, &counts,
                   sizeof(counts));
    }
}

PyObject *batch_faults(const struct batch *batch)
{
    PyObject *const faults = PyList_New(0);

    for (Py_ssize_t i = 0; faults && i < batch->n; i++) {
        const struct item *const item = &batch->items[i];
        PyObject *text, *fault;
        int appended;

        if (item->status == REDUCE_OK)
            continue;
        if (item->status == REDUCE_SMALL_SCRATCH) {
            Py_DECREF(faults);
            return raise_fault(item->status, &item->fault);
        }
        text = describe_fault(item->status, &item->fault);
        fault = text ? Py_BuildValue("nN", i, text) : NULL;
        appended = fault ? PyList_Append(faults, fault) : -1;
        Py_XDECREF(fault);
        if (appended < 0) {
            Py_DECREF(faults);
            return NULL;
        }
    }
    return faults;
}
