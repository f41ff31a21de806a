/* The Python face: eigerwatch._kernel. */
#include "batch.h"
#include "faults.h"
#include "selection.h"
#include "variant.h"

#include <stdlib.h>
#include <string.h>

#define VARIANT_SETTING "EIGERWATCH_KERNEL_VARIANT"
#define MAX_VARIANTS 8

struct state {
    const struct variant *variant; /* chosen at import, never changed */
    PyTypeObject *selection;
};

static const struct state *state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

static int check_image(int encoding, int itemsize, Py_ssize_t pixels,
                       struct image *image)
{
    if (encoding < ENCODING_NONE || encoding > ENCODING_PLANES) {
        PyErr_Format(PyExc_ValueError, "encoding must be 0 to 4, not %d", encoding);
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
        .encoding = (enum encoding)encoding,
        .itemsize = (unsigned)itemsize,
        .pixels = (size_t)pixels,
    };
    return 0;
}

static void set_payload(struct image *image, const Py_buffer *payload)
{
    image->payload = payload->buf;
    image->size = (size_t)payload->len;
}

/* Get the buffer of an optional, writable argument; None leaves *buffer empty. */
static int get_writable(PyObject *object, Py_buffer *buffer)
{
    if (object == Py_None)
        return 0;
    return PyObject_GetBuffer(object, buffer, PyBUF_WRITABLE);
}

static int check_size(const char *name, const Py_buffer *buffer, size_t expected)
{
    if ((size_t)buffer->len == expected)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s must have %zu bytes, not %zd", name, expected,
                 buffer->len);
    return -1;
}

/* Find out where the results of a batch go. */
static int set_results(const struct batch *batch, const struct selection *selection,
                       const Py_buffer *records, const Py_buffer *rows,
                       struct results *results)
{
    const size_t n = (size_t)batch->n;
    const size_t bytes = (size_t)records->len;

    *results = (struct results){
        .records = records->buf,
        .stride = n > 0 ? bytes / n : 0,
        .rows = rows->buf,
    };
    if (n > 0 && (bytes % n != 0 || results->stride < sizeof(struct counts))) {
        PyErr_Format(PyExc_ValueError,
                     "records must have the same size for each of %zu payloads, at "
                     "least %zu bytes, not %zu in all",
                     n, sizeof(struct counts), bytes);
        return -1;
    }
    return check_size("region_rows", rows,
                      n * selection->n_regions * sizeof(struct region_row));
}

PyDoc_STRVAR(reduce_doc,
             "reduce(payloads, encoding, itemsize, selection, records, region_rows, "
             "scratch, /)\n--\n\n"
             "Classify, count and sum the pixels of compressed images.");

static PyObject *kernel_reduce(PyObject *module, PyObject *args)
{
    const struct state *const state = state_of(module);
    PyObject *payloads, *rows_object, *scratch_object, *result = NULL;
    const SelectionObject *object;
    int encoding, itemsize;
    Py_buffer records = {0}, rows = {0}, scratch = {0};
    struct batch batch = {0};
    struct results results;
    struct image image;

    if (!PyArg_ParseTuple(args, "OiiO!w*OO:reduce", &payloads, &encoding, &itemsize,
                          state->selection, &object, &records, &rows_object,
                          &scratch_object))
        return NULL;
    if (get_writable(rows_object, &rows) == 0 &&
        get_writable(scratch_object, &scratch) == 0 &&
        check_image(encoding, itemsize, (Py_ssize_t)object->pixels, &image) == 0 &&
        batch_get(payloads, &batch) == 0 &&
        set_results(&batch, &object->selection, &records, &rows, &results) == 0) {
        Py_BEGIN_ALLOW_THREADS
        batch_reduce(&batch, state->variant, &image, &object->selection, &results,
                     scratch.buf, (size_t)scratch.len);
        Py_END_ALLOW_THREADS
        result = batch_faults(&batch);
    }
    batch_release(&batch);
    PyBuffer_Release(&scratch);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&records);
    return result;
}

PyDoc_STRVAR(decode_doc, "decode(payload, encoding, itemsize, pixels, out, scratch, /)"
                         "\n--\n\nDecompress one image into out.");

static PyObject *kernel_decode(PyObject *module, PyObject *args)
{
    const struct variant *const variant = state_of(module)->variant;
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
    if (get_writable(scratch_object, &scratch) == 0 &&
        check_image(encoding, itemsize, pixels, &image) == 0 &&
        check_size("out", &out, image.pixels * image.itemsize) == 0) {
        set_payload(&image, &payload);
        Py_BEGIN_ALLOW_THREADS
        status = decode_image(variant, &image, out.buf, scratch.buf,
                              (size_t)scratch.len, &fault);
        Py_END_ALLOW_THREADS
        result = status == REDUCE_OK ? Py_NewRef(Py_None) : raise_fault(status, &fault);
    }
    PyBuffer_Release(&scratch);
    PyBuffer_Release(&out);
    PyBuffer_Release(&payload);
    return result;
}

static int check_bins(const struct image *image, Py_ssize_t width, Py_ssize_t factor,
                      const Py_buffer *sums, const Py_buffer *kept, struct bins *bins)
{
    size_t n;

    if (width <= 0 || image->pixels % (size_t)width != 0) {
        PyErr_Format(PyExc_ValueError, "%zu pixels are no rows of %zd", image->pixels,
                     width);
        return -1;
    }
    if (factor <= 0 || (size_t)factor > REDUCE_MAX_FACTOR) {
        PyErr_Format(PyExc_ValueError, "factor must be 1 to %zu, not %zd",
                     REDUCE_MAX_FACTOR, factor);
        return -1;
    }
    *bins = (struct bins){
        .width = (size_t)width,
        .factor = (size_t)factor,
        .sums = sums->buf,
        .kept = kept->buf,
    };
    n = ((bins->width + bins->factor - 1) / bins->factor) *
        ((image->pixels / bins->width + bins->factor - 1) / bins->factor);
    if (check_size("sums", sums, n * sizeof(*bins->sums)) < 0)
        return -1;
    return check_size("kept", kept, n * sizeof(*bins->kept));
}

PyDoc_STRVAR(
    bin_doc,
    "bin_pixels(payload, encoding, itemsize, selection, width, factor, sums, kept, "
    "scratch, /)\n--\n\n"
    "Sum and count the kept pixels of squares of factor x factor pixels.");

static PyObject *kernel_bin(PyObject *module, PyObject *args)
{
    const struct state *const state = state_of(module);
    const SelectionObject *selection;
    PyObject *scratch_object, *result = NULL;
    int encoding, itemsize;
    Py_ssize_t width, factor;
    Py_buffer payload = {0}, sums = {0}, kept = {0}, scratch = {0};
    struct image image;
    struct bins bins;
    struct reduce_fault fault;
    enum reduce_status status;

    if (!PyArg_ParseTuple(args, "y*iiO!nnw*w*O:bin_pixels", &payload, &encoding,
                          &itemsize, state->selection, &selection, &width, &factor,
                          &sums, &kept, &scratch_object))
        return NULL;
    if (get_writable(scratch_object, &scratch) == 0 &&
        check_image(encoding, itemsize, (Py_ssize_t)selection->pixels, &image) == 0 &&
        check_bins(&image, width, factor, &sums, &kept, &bins) == 0) {
        bins.row_sums = PyMem_Malloc(2 * bins.width * sizeof(*bins.row_sums));
        if (bins.row_sums) {
            set_payload(&image, &payload);
            Py_BEGIN_ALLOW_THREADS
            status = bin_image(state->variant, &image, &selection->selection, &bins,
                               scratch.buf, (size_t)scratch.len, &fault);
            Py_END_ALLOW_THREADS
            result =
                status == REDUCE_OK ? Py_NewRef(Py_None) : raise_fault(status, &fault);
            PyMem_Free(bins.row_sums);
        } else
            PyErr_NoMemory();
    }
    PyBuffer_Release(&scratch);
    PyBuffer_Release(&kept);
    PyBuffer_Release(&sums);
    PyBuffer_Release(&payload);
    return result;
}

PyDoc_STRVAR(scratch_bytes_doc,
             "scratch_bytes(payloads, encoding, itemsize, pixels, /)\n--\n\n"
             "Size of the scratch buffer that these payloads need.");

static PyObject *kernel_scratch_bytes(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *payloads, *result = NULL;
    int encoding, itemsize;
    Py_ssize_t pixels;
    struct batch batch = {0};
    struct image image;

    if (!PyArg_ParseTuple(args, "Oiin:scratch_bytes", &payloads, &encoding, &itemsize,
                          &pixels))
        return NULL;
    if (check_image(encoding, itemsize, pixels, &image) == 0 &&
        batch_get(payloads, &batch) == 0)
        result = PyLong_FromSize_t(batch_scratch_size(&batch, &image));
    batch_release(&batch);
    return result;
}

PyDoc_STRVAR(variant_doc, "variant()\n--\n\nName of the variant in use.");

static PyObject *kernel_variant(PyObject *module, PyObject *Py_UNUSED(args))
{
    return PyUnicode_FromString(state_of(module)->variant->name);
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

static int choose_variant(struct state *state)
{
    const struct variant *supported[MAX_VARIANTS];
    const size_t n = variants_supported(supported, MAX_VARIANTS);
    const char *const wanted = getenv(VARIANT_SETTING);

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

static int kernel_exec(PyObject *module)
{
    struct state *const state = PyModule_GetState(module);

    if (choose_variant(state) < 0)
        return -1;
    state->selection = (PyTypeObject *)selection_type(module);
    if (!state->selection)
        return -1;
    return PyModule_AddType(module, state->selection);
}

static int kernel_traverse(PyObject *module, visitproc visit, void *arg)
{
    Py_VISIT(state_of(module)->selection);
    return 0;
}

static int kernel_clear(PyObject *module)
{
    struct state *const state = PyModule_GetState(module);

    Py_CLEAR(state->selection);
    return 0;
}

static PyMethodDef kernel_methods[] = {
    {"reduce", kernel_reduce, METH_VARARGS, reduce_doc},
    {"decode", kernel_decode, METH_VARARGS, decode_doc},
    {"bin_pixels", kernel_bin, METH_VARARGS, bin_doc},
    {"scratch_bytes", kernel_scratch_bytes, METH_VARARGS, scratch_bytes_doc},
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
    .m_traverse = kernel_traverse,
    .m_clear = kernel_clear,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&kernel_module);
}
