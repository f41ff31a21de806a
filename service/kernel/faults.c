/* Statuses of the kernel as sentences and exceptions. */
#include "faults.h"

PyObject *describe_fault(enum reduce_status status, const struct reduce_fault *fault)
{
    const unsigned long long length = fault->length;
    const unsigned long long expected = fault->expected;

    switch (status) {
    case REDUCE_OK:
        break;
    case REDUCE_PAYLOAD_SIZE:
        return PyUnicode_FromFormat("payload has %llu bytes, the image %llu", length,
                                    expected);
    case REDUCE_SHORT_HEADER:
        return PyUnicode_FromFormat(
            "payload of %llu bytes is shorter than its header of %llu", length,
            expected);
    case REDUCE_DECLARED_SIZE:
        return PyUnicode_FromFormat("header declares %llu bytes, the image has %llu",
                                    length, expected);
    case REDUCE_BLOCK_SIZE:
        return PyUnicode_FromFormat(
            "header declares an illegal block size of %llu bytes", length);
    case REDUCE_TRUNCATED_FRAME:
        return PyUnicode_FromFormat(
            "payload ends before the length of block %zu of %zu", fault->block,
            fault->blocks);
    case REDUCE_TRUNCATED_BLOCK:
        return PyUnicode_FromFormat(
            "block %zu of %zu has a length of %llu bytes, the payload has %llu left",
            fault->block, fault->blocks, length, expected);
    case REDUCE_CORRUPT_BLOCK:
        return PyUnicode_FromFormat(
            "block %zu of %zu, length %llu, does not decode to its %llu bytes",
            fault->block, fault->blocks, length, expected);
    case REDUCE_TRUNCATED_TAIL:
        return PyUnicode_FromFormat(
            "payload ends inside the raw tail after block %zu: %llu of %llu bytes",
            fault->blocks, length, expected);
    case REDUCE_TRAILING_BYTES:
        return PyUnicode_FromFormat("%llu trailing bytes after block %zu, the last",
                                    length, fault->blocks);
    case REDUCE_SMALL_SCRATCH:
        return PyUnicode_FromFormat("scratch has %llu bytes, this payload needs %llu",
                                    length, expected);
    }
    return PyErr_Format(PyExc_SystemError, "unknown kernel status %d", (int)status);
}

PyObject *raise_fault(enum reduce_status status, const struct reduce_fault *fault)
{
    PyObject *const text = describe_fault(status, fault);

    if (text)
        PyErr_SetObject(status == REDUCE_SMALL_SCRATCH ? PyExc_ValueError
                                                       : PyExc_RuntimeError,
                        text);
    Py_XDECREF(text);
    return NULL;
}
