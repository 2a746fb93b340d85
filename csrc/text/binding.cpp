// Attention for Python: float32 matrices whose rows are contiguous, as numpy sees a tensor's memory.

#include "text/binding.hpp"

#include <pybind11/numpy.h>

#include "cpu/simd.hpp"
#include "text/attention.hpp"

namespace py = pybind11;

namespace harness::text {

namespace {

using Matrix = py::array_t<float>;
using Places = py::array_t<std::int64_t, py::array::c_style>;

Rows<const float> rows(const Matrix& x) { return {x.data(), x.strides(0) / std::ptrdiff_t(sizeof(float))}; }
Rows<float> rows(Matrix& x) { return {x.mutable_data(), x.strides(0) / std::ptrdiff_t(sizeof(float))}; }

struct Sizes {
    Queries queries;
    Heads heads;
};

Sizes sizes(const Places& path, const Places& place, const Matrix& q, int heads) {
    return {{path.data(), place.data(), place.shape(0), int(path.shape(1))}, {heads, int(q.shape(1)) / heads}};
}

void attend_python(const Places& path, const Places& place, int heads, const Matrix& q, const Matrix& k, const Matrix& v,
                   Matrix taken, Matrix weight) {
    const Sizes s = sizes(path, place, q, heads);
    const Rows<float> out = rows(taken);
    float* const weights = weight.mutable_data();
    const py::gil_scoped_release release;
    attend(s.queries, s.heads, rows(q), rows(k), rows(v), out, weights);
}

void attend_backward_python(const Places& path, const Places& place, int heads, const Matrix& q, const Matrix& k,
                            const Matrix& v, const Matrix& weight, const Matrix& gradient, Matrix to_q, Matrix to_k,
                            Matrix to_v) {
    const Sizes s = sizes(path, place, q, heads);
    const Rows<float> q_out = rows(to_q), k_out = rows(to_k), v_out = rows(to_v);
    const py::gil_scoped_release release;
    attend_backward(s.queries, s.heads, rows(q), rows(k), rows(v), weight.data(), rows(gradient), q_out, k_out, v_out);
}

}  // namespace

void bind(py::module_& module) {
    module.attr("lanes") = kLanes;
    module.def("padded", &padded, py::arg("length"));
    module.def("attend", &attend_python, py::arg("path"), py::arg("place"), py::arg("heads"), py::arg("q").noconvert(),
               py::arg("k").noconvert(), py::arg("v").noconvert(), py::arg("taken").noconvert(), py::arg("weight").noconvert());
    module.def("attend_backward", &attend_backward_python, py::arg("path"), py::arg("place"), py::arg("heads"),
               py::arg("q").noconvert(), py::arg("k").noconvert(), py::arg("v").noconvert(), py::arg("weight").noconvert(),
               py::arg("gradient").noconvert(), py::arg("to_q").noconvert(), py::arg("to_k").noconvert(),
               py::arg("to_v").noconvert());
}

}  // namespace harness::text
