/* The Python face: eigerwatch._kernel. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "reduce.h"
#include "variant.h"

#include <stdlib.h>
#include <string.h>

#define VARIANT_SETTING "EIGERWATCH_KERNEL_VARIANT"
#define MAX_VARIANTS 8

struct state {
    const struct variant *variant; /* chosen at import, never changed */
};

static const struct variant *variant_of(PyObject *module)
{
    return ((const struct state *)PyModule_GetState(module))->variant;
}

static PyObject *raise_fault(enum reduce_status status,
                             const struct reduce_fault *fault)
{
    const unsigned long long length = fault->length;
    const unsigned long long expected = fault->expected;

    switch (status) {
    case REDUCE_OK:
        break;
    case REDUCE_PAYLOAD_SIZE:
        return PyErr_Format(PyExc_RuntimeError,
                            "payload has %llu bytes, the image %llu", length, expected);
    case REDUCE_SHORT_HEADER:
        return PyErr_Format(PyExc_RuntimeError,
                            "payload of %llu bytes is shorter than its header of %llu",
                            length, expected);
    case REDUCE_DECLARED_SIZE:
        return PyErr_Format(PyExc_RuntimeError,
                            "header declares %llu bytes, the image has %llu", length,
                            expected);
    case REDUCE_BLOCK_SIZE:
        return PyErr_Format(PyExc_RuntimeError,
                            "header declares an illegal block size of %llu bytes",
                            length);
    case REDUCE_TRUNCATED_FRAME:
        return PyErr_Format(PyExc_RuntimeError,
                            "payload ends before the length of block %zu of %zu",
                            fault->block, fault->blocks);
    case REDUCE_TRUNCATED_BLOCK:
        return PyErr_Format(
            PyExc_RuntimeError,
            "block %zu of %zu has a length of %llu bytes, the payload has %llu left",
            fault->block, fault->blocks, length, expected);
    case REDUCE_CORRUPT_BLOCK:
        return PyErr_Format(PyExc_RuntimeError,
                            "block %zu of %zu, length %llu, does not decode to its "
                            "%llu bytes",
                            fault->block, fault->blocks, length, expected);
    case REDUCE_TRUNCATED_TAIL:
        return PyErr_Format(PyExc_RuntimeError,
                            "payload ends inside the raw tail after block %zu: "
                            "%llu of %llu bytes",
                            fault->blocks, length, expected);
    case REDUCE_TRAILING_BYTES:
        return PyErr_Format(PyExc_RuntimeError,
                            "%llu trailing bytes after block %zu, the last", length,
                            fault->blocks);
    case REDUCE_SMALL_SCRATCH:
        return PyErr_Format(PyExc_ValueError,
                            "scratch has %llu bytes, this payload needs %llu", length,
                            expected);
    }
    return PyErr_Format(PyExc_SystemError, "unknown kernel status %d", (int)status);
}

static int check_image(const Py_buffer *payload, int encoding, int itemsize,
                       Py_ssize_t pixels, struct image *image)
{
    if (encoding < ENCODING_NONE || encoding > ENCODING_BSLZ4) {
        PyErr_Format(PyExc_ValueError, "encoding must be 0 to 3, not %d", encoding);
        return -1;
    }
    if (itemsize != 1 && itemsize != 2 && itemsize != 4) {
        PyErr_Format(PyExc_ValueError, "itemsize must be 1, 2 or 4, not %d", itemsize);
        return -1;
    }
    if (pixels <= 0 || (size_t)pixels > REDUCE_MAX_PIXELS) {
        PyErr_Format(PyExc_ValueError, "pixels must be 1 to %zu, not %zd",
                     REDUCE_MAX_PIXELS, pixels);
        return -1;
    }
    *image = (struct image){
        .payload = payload->buf,
        .size = (size_t)payload->len,
        .encoding = (enum encoding)encoding,
        .itemsize = (unsigned)itemsize,
        .pixels = (size_t)pixels,
    };
    return 0;
}

/* Get the buffer of an optional argument; None leaves *buffer empty. */
static int get_optional(PyObject *object, int flags, Py_buffer *buffer)
{
    if (object == Py_None)
        return 0;
    return PyObject_GetBuffer(object, buffer, flags);
}

static int check_size(const char *name, const Py_buffer *buffer, size_t expected)
{
    if ((size_t)buffer->len == expected)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s must have %zu bytes, not %zd", name, expected,
                 buffer->len);
    return -1;
}

/* The optional buffers of reduce(); released together. */
struct buffers {
    Py_buffer mask, regions, rows, scratch, extents;
};

static void release_buffers(struct buffers *buffers)
{
    PyBuffer_Release(&buffers->mask);
    PyBuffer_Release(&buffers->regions);
    PyBuffer_Release(&buffers->rows);
    PyBuffer_Release(&buffers->scratch);
    PyBuffer_Release(&buffers->extents);
}

static int check_selection(const struct buffers *buffers, long long low, long long high,
                           size_t pixels, struct selection *selection)
{
    const size_t bitmap_bytes = (pixels + 7) / 8;
    const size_t regions_size = (size_t)buffers->regions.len;

    if (low < 0 || high > UINT32_MAX || low > high) {
        PyErr_Format(PyExc_ValueError,
                     "low and high must be 0 <= low <= high <= 4294967295, not %lld "
                     "and %lld",
                     low, high);
        return -1;
    }
    *selection = (struct selection){.low = (uint32_t)low, .high = (uint32_t)high};
    if (buffers->mask.obj) {
        if (check_size("mask", &buffers->mask, bitmap_bytes) < 0)
            return -1;
        selection->mask = buffers->mask.buf;
    }
    if (regions_size % bitmap_bytes != 0 ||
        regions_size / bitmap_bytes > REDUCE_MAX_REGIONS) {
        PyErr_Format(PyExc_ValueError,
                     "regions must be at most %zu bitmaps of %zu bytes, not %zu bytes",
                     REDUCE_MAX_REGIONS, bitmap_bytes, regions_size);
        return -1;
    }
    selection->n_regions = regions_size / bitmap_bytes;
    if (check_size("region_rows", &buffers->rows,
                   selection->n_regions * sizeof(struct region_row)) < 0)
        return -1;
    if (selection->n_regions > 0)
        selection->regions = buffers->regions.buf;
    if (buffers->extents.obj) {
        if (check_size("extents", &buffers->extents,
                       selection->n_regions * sizeof(struct extent)) < 0)
            return -1;
        if (selection->n_regions > 0)
            selection->extents = buffers->extents.buf;
    }
    return 0;
}

PyDoc_STRVAR(reduce_doc,
             "reduce(payload, encoding, itemsize, pixels, low, high, mask, regions, "
             "counts, region_rows, scratch, extents=None, /)\n--\n\n"
             "Classify, count and sum the pixels of one compressed image.");

static PyObject *kernel_reduce(PyObject *module, PyObject *args)
{
    const struct variant *const variant = variant_of(module);
    Py_buffer payload = {0}, out = {0};
    PyObject *mask, *regions, *rows, *scratch, *extents = Py_None;
    int encoding, itemsize;
    Py_ssize_t pixels;
    long long low, high;
    struct buffers buffers;
    PyObject *result = NULL;

    memset(&buffers, 0, sizeof(buffers));
    if (!PyArg_ParseTuple(args, "y*iinLLOOw*OO|O:reduce", &payload, &encoding,
                          &itemsize, &pixels, &low, &high, &mask, &regions, &out, &rows,
                          &scratch, &extents))
        return NULL;
    if (get_optional(mask, PyBUF_SIMPLE, &buffers.mask) == 0 &&
        get_optional(regions, PyBUF_SIMPLE, &buffers.regions) == 0 &&
        get_optional(rows, PyBUF_WRITABLE, &buffers.rows) == 0 &&
        get_optional(scratch, PyBUF_WRITABLE, &buffers.scratch) == 0 &&
        get_optional(extents, PyBUF_SIMPLE, &buffers.extents) == 0) {
        struct image image;
        struct selection selection;
        struct counts counts;
        struct reduce_fault fault;
        enum reduce_status status;

        if (check_image(&payload, encoding, itemsize, pixels, &image) == 0 &&
            check_selection(&buffers, low, high, image.pixels, &selection) == 0 &&
            check_size("counts", &out, sizeof(counts)) == 0) {
            Py_BEGIN_ALLOW_THREADS
            status =
                reduce_image(variant, &image, &selection, &counts, buffers.rows.buf,
                             buffers.scratch.buf, (size_t)buffers.scratch.len, &fault);
            Py_END_ALLOW_THREADS
            if (status == REDUCE_OK) {
                memcpy(out.buf, &counts, sizeof(counts));
                result = Py_NewRef(Py_None);
            } else
                raise_fault(status, &fault);
        }
    }
    release_buffers(&buffers);
    PyBuffer_Release(&out);
    PyBuffer_Release(&payload);
    return result;
}

PyDoc_STRVAR(decode_doc, "decode(payload, encoding, itemsize, pixels, out, scratch, /)"
                         "\n--\n\nDecompress one image into out.");

static PyObject *kernel_decode(PyObject *module, PyObject *args)
{
    const struct variant *const variant = variant_of(module);
    Py_buffer payload = {0}, out = {0}, scratch = {0};
    PyObject *scratch_object, *result = NULL;
    int encoding, itemsize;
    Py_ssize_t pixels;
    struct image image;
    struct reduce_fault fault;
    enum reduce_status status;

    if (!PyArg_ParseTuple(args, "y*iinw*O:decode", &payload, &encoding, &itemsize,
                          &pixels, &out, &scratch_object))
        return NULL;
    if (get_optional(scratch_object, PyBUF_WRITABLE, &scratch) == 0 &&
        check_image(&payload, encoding, itemsize, pixels, &image) == 0 &&
        check_size("out", &out, image.pixels * image.itemsize) == 0) {
        Py_BEGIN_ALLOW_THREADS
        status = decode_image(variant, &image, out.buf, scratch.buf,
                              (size_t)scratch.len, &fault);
        Py_END_ALLOW_THREADS
        if (status == REDUCE_OK)
            result = Py_NewRef(Py_None);
        else
            raise_fault(status, &fault);
    }
    PyBuffer_Release(&scratch);
    PyBuffer_Release(&out);
    PyBuffer_Release(&payload);
    return result;
}

PyDoc_STRVAR(scratch_bytes_doc, "scratch_bytes(payload, encoding, itemsize, pixels, /)"
                                "\n--\n\nSize of the scratch buffer that reduce and "
                                "decode need for this payload.");

static PyObject *kernel_scratch_bytes(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer payload = {0};
    int encoding, itemsize;
    Py_ssize_t pixels;
    struct image image;
    PyObject *result = NULL;

    if (!PyArg_ParseTuple(args, "y*iin:scratch_bytes", &payload, &encoding, &itemsize,
                          &pixels))
        return NULL;
    if (check_image(&payload, encoding, itemsize, pixels, &image) == 0)
        result = PyLong_FromSize_t(reduce_scratch_size(&image));
    PyBuffer_Release(&payload);
    return result;
}

PyDoc_STRVAR(region_extents_doc,
             "region_extents(regions, pixels, /)\n--\n\n"
             "For each region, the bytes of its bitmap that are not all zero: pairs of "
             "uint32, first and stop.\n\nGiven to reduce, they save it from reading "
             "the rest of each bitmap.");

static PyObject *kernel_region_extents(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer regions = {0};
    Py_ssize_t pixels;
    PyObject *result = NULL;
    size_t bitmap_bytes;

    if (!PyArg_ParseTuple(args, "y*n:region_extents", &regions, &pixels))
        return NULL;
    bitmap_bytes = pixels > 0 ? ((size_t)pixels + 7) / 8 : 0;
    if (pixels <= 0 || (size_t)pixels > REDUCE_MAX_PIXELS ||
        (size_t)regions.len % bitmap_bytes != 0)
        PyErr_Format(PyExc_ValueError, "%zd bytes are no bitmaps of %zd pixels",
                     regions.len, pixels);
    else {
        const size_t n = (size_t)regions.len / bitmap_bytes;

        result =
            PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n * sizeof(struct extent)));
        for (size_t r = 0; result && r < n; r++) {
            const struct extent extent = bitmap_extent(
                (const uint8_t *)regions.buf + r * bitmap_bytes, bitmap_bytes);

            memcpy(PyBytes_AS_STRING(result) + r * sizeof(extent), &extent,
                   sizeof(extent));
        }
    }
    PyBuffer_Release(&regions);
    return result;
}

PyDoc_STRVAR(variant_doc, "variant()\n--\n\nName of the variant in use.");

static PyObject *kernel_variant(PyObject *module, PyObject *Py_UNUSED(args))
{
    return PyUnicode_FromString(variant_of(module)->name);
}

PyDoc_STRVAR(variants_doc, "variants()\n--\n\n"
                           "Names of the variants that this CPU can run, best first.");

static PyObject *kernel_variants(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(args))
{
    const struct variant *supported[MAX_VARIANTS];
    const size_t n = variants_supported(supported, MAX_VARIANTS);
    PyObject *names = PyTuple_New((Py_ssize_t)n);

    for (size_t i = 0; names && i < n; i++) {
        PyObject *name = PyUnicode_FromString(supported[i]->name);

        if (name)
            PyTuple_SET_ITEM(names, (Py_ssize_t)i, name);
        else
            Py_CLEAR(names);
    }
    return names;
}

static int kernel_exec(PyObject *module)
{
    const struct variant *supported[MAX_VARIANTS];
    const size_t n = variants_supported(supported, MAX_VARIANTS);
    const char *const wanted = getenv(VARIANT_SETTING);
    struct state *const state = PyModule_GetState(module);

    if (n == 0) {
        PyErr_SetString(PyExc_ImportError,
                        "this CPU cannot run any variant that the kernel was built "
                        "with");
        return -1;
    }
    if (!wanted || !*wanted) {
        state->variant = supported[0];
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(wanted, supported[i]->name) == 0) {
            state->variant = supported[i];
            return 0;
        }
    PyErr_Format(PyExc_ImportError,
                 VARIANT_SETTING "=%s: the kernel has no such variant, or this CPU "
                                 "cannot run it; best here is %s",
                 wanted, supported[0]->name);
    return -1;
}

static PyMethodDef kernel_methods[] = {
    {"reduce", kernel_reduce, METH_VARARGS, reduce_doc},
    {"decode", kernel_decode, METH_VARARGS, decode_doc},
    {"scratch_bytes", kernel_scratch_bytes, METH_VARARGS, scratch_bytes_doc},
    {"region_extents", kernel_region_extents, METH_VARARGS, region_extents_doc},
    {"variant", kernel_variant, METH_NOARGS, variant_doc},
    {"variants", kernel_variants, METH_NOARGS, variants_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot kernel_slots[] = {
    {Py_mod_exec, kernel_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef kernel_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "eigerwatch._kernel",
    .m_doc = "Sum the pixels of compressed detector images. See kernel/reduce.h.",
    .m_size = sizeof(struct state),
    .m_methods = kernel_methods,
    .m_slots = kernel_slots,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&kernel_module);
}
