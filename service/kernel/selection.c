/* The Python type Selection: arguments checked once, for all images that follow. */
#include "selection.h"

#include <stdbool.h>
#include <string.h>

static void *copy_of(const Py_buffer *buffer)
{
    void *const copy = PyMem_Malloc((size_t)buffer->len);

    if (!copy)
        return PyErr_NoMemory();
    memcpy(copy, buffer->buf, (size_t)buffer->len);
    return copy;
}

static int set_limits(SelectionObject *self, Py_ssize_t pixels, long long low,
                      long long high, Py_ssize_t regions)
{
    if (pixels <= 0 || (size_t)pixels > REDUCE_MAX_PIXELS) {
        PyErr_Format(PyExc_ValueError, "pixels must be 1 to %zu, not %zd",
                     REDUCE_MAX_PIXELS, pixels);
        return -1;
    }
    if (low < 0 || high > UINT32_MAX || low > high) {
        PyErr_Format(PyExc_ValueError,
                     "low and high must be 0 <= low <= high <= 4294967295, not %lld "
                     "and %lld",
                     low, high);
        return -1;
    }
    if (regions < 0 || (size_t)regions > REDUCE_MAX_REGIONS) {
        PyErr_Format(PyExc_ValueError, "regions must be 0 to %zu, not %zd",
                     REDUCE_MAX_REGIONS, regions);
        return -1;
    }
    self->pixels = (size_t)pixels;
    self->selection.low = (uint32_t)low;
    self->selection.high = (uint32_t)high;
    self->selection.n_regions = (size_t)regions;
    return 0;
}

static int set_mask(SelectionObject *self, const Py_buffer *mask)
{
    const size_t expected = (self->pixels + 7) / 8;

    if ((size_t)mask->len != expected) {
        PyErr_Format(PyExc_ValueError, "mask must have %zu bytes, not %zd", expected,
                     mask->len);
        return -1;
    }
    self->selection.mask = copy_of(mask);
    return self->selection.mask ? 0 : -1;
}

/* Are these edges what reduce.h demands? */
static bool check_edges(const struct edge *edges, size_t n, size_t pixels,
                        size_t n_regions)
{
    bool inside[REDUCE_MAX_REGIONS] = {false};
    size_t n_inside = 0;

    for (size_t i = 0; i < n; i++) {
        const struct edge *const edge = &edges[i];

        if (edge->pixel > pixels || (i > 0 && edge->pixel < edges[i - 1].pixel) ||
            edge->region >= n_regions || edge->enters > 1 ||
            inside[edge->region] == (bool)edge->enters)
            return false;
        inside[edge->region] = edge->enters;
        n_inside += edge->enters ? 1 : (size_t)-1;
    }
    return n_inside == 0;
}

static int set_edges(SelectionObject *self, const Py_buffer *edges)
{
    struct selection *const to = &self->selection;

    if ((size_t)edges->len % sizeof(struct edge) != 0) {
        PyErr_Format(PyExc_ValueError, "edges must have %zu bytes each, not %zd in all",
                     sizeof(struct edge), edges->len);
        return -1;
    }
    to->edges = copy_of(edges);
    if (!to->edges)
        return -1;
    to->n_edges = (size_t)edges->len / sizeof(struct edge);
    if (!check_edges(to->edges, to->n_edges, self->pixels, to->n_regions)) {
        PyErr_SetString(PyExc_ValueError,
                        "edges must be sorted by pixel, within the image, and enter "
                        "and leave each of the regions in turn");
        return -1;
    }
    return 0;
}

static PyObject *selection_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"pixels", "low", "high", "mask", "edges", "regions", NULL};
    Py_ssize_t pixels, regions = 0;
    long long low, high;
    Py_buffer mask = {0}, edges = {0};
    SelectionObject *self = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nLL|z*z*n:Selection", names,
                                     &pixels, &low, &high, &mask, &edges, &regions))
        return NULL;
    self = (SelectionObject *)type->tp_alloc(type, 0);
    if (self && (set_limits(self, pixels, low, high, regions) < 0 ||
                 (mask.buf && set_mask(self, &mask) < 0) ||
                 (edges.buf && set_edges(self, &edges) < 0)))
        Py_CLEAR(self);
    PyBuffer_Release(&mask);
    PyBuffer_Release(&edges);
    return (PyObject *)self;
}

static void selection_dealloc(PyObject *object)
{
    SelectionObject *const self = (SelectionObject *)object;
    PyTypeObject *const type = Py_TYPE(object);

    PyMem_Free((void *)self->selection.mask);
    PyMem_Free((void *)self->selection.edges);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(selection_doc,
             "Selection(pixels, low, high, mask=None, edges=None, regions=0)\n--\n\n"
             "Which pixels of an image count, and which regions are summed.");

static PyType_Slot selection_slots[] = {
    {Py_tp_new, selection_new},
    {Py_tp_dealloc, selection_dealloc},
    {Py_tp_doc, (void *)selection_doc},
    {0, NULL},
};

static PyType_Spec selection_spec = {
    .name = "eigerwatch._kernel.Selection",
    .basicsize = sizeof(SelectionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = selection_slots,
};

PyObject *selection_type(PyObject *module)
{
    return PyType_FromModuleAndSpec(module, &selection_spec, NULL);
}
