// Python sees whole batches as addresses: no tensor library's headers, no copy. harness/matching checks everything first.

#include <algorithm>

#include <pybind11/pybind11.h>

#include "match_cpu.hpp"
#include "wide.hpp"

#ifdef HARNESS_WITH_CUDA
#include "match_cuda.hpp"
#endif

namespace py = pybind11;
using Address = std::uintptr_t;

namespace {

harness::Results results(Address columns, Address similarity, Address gap, Address valid, Address steps = 0) {
    return {reinterpret_cast<std::int64_t*>(columns), reinterpret_cast<double*>(similarity), reinterpret_cast<double*>(gap),
            reinterpret_cast<bool*>(valid), reinterpret_cast<std::int64_t*>(steps)};
}

#ifdef HARNESS_WITH_CUDA
harness::CudaInput input(Address prototypes, Address names, int type, std::int64_t batch, int n, int m, int dimension) {
    return {reinterpret_cast<const void*>(prototypes), reinterpret_cast<const void*>(names), type, {batch, n, m}, dimension};
}

// Addresses are device memory of the current device; `stream` is a cudaStream_t.
void bind_cuda(py::module_& module) {
    module.def("fused_fits", [](int n, int m) { return harness::fused_fits({1, n, m}); }, py::arg("n"), py::arg("m"));
    module.def(
        "match_fused",
        [](Address prototypes, Address names, int type, std::int64_t batch, int n, int m, int dimension, Address columns,
           Address similarity, Address gap, Address valid, Address stream) {
            harness::match_fused(input(prototypes, names, type, batch, n, m, dimension), results(columns, similarity, gap, valid),
                                 reinterpret_cast<void*>(stream));
        },
        py::arg("prototypes"), py::arg("names"), py::arg("type"), py::arg("batch"), py::arg("n"), py::arg("m"),
        py::arg("dimension"), py::arg("columns"), py::arg("similarity"), py::arg("gap"), py::arg("valid"), py::arg("stream"));
    module.def(
        "workspace_bytes", [](std::int64_t batch, int n, int m) { return harness::workspace_bytes({batch, n, m}); },
        py::arg("batch"), py::arg("n"), py::arg("m"));
    module.def(
        "match_large",
        [](Address prototypes, Address names, int type, std::int64_t batch, int n, int m, int dimension, Address columns,
           Address similarity, Address gap, Address valid, Address workspace, Address stream) {
            harness::match_large(input(prototypes, names, type, batch, n, m, dimension), results(columns, similarity, gap, valid),
                                 reinterpret_cast<void*>(workspace), reinterpret_cast<void*>(stream));
        },
        py::arg("prototypes"), py::arg("names"), py::arg("type"), py::arg("batch"), py::arg("n"), py::arg("m"),
        py::arg("dimension"), py::arg("columns"), py::arg("similarity"), py::arg("gap"), py::arg("valid"), py::arg("workspace"),
        py::arg("stream"));
}
#endif

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "Matching in C++ and CUDA: see csrc/. Called by harness.matching, which checks shapes and types.";

    module.def(
        "match_cpu",
        [](Address prototypes, Address names, std::int64_t batch, int n, int m, int dimension, int threads, Address columns,
           Address similarity, Address gap, Address valid) {
            const py::gil_scoped_release release;
            harness::match_cpu(reinterpret_cast<const float*>(prototypes), reinterpret_cast<const float*>(names), {batch, n, m},
                               dimension, threads, results(columns, similarity, gap, valid));
        },
        py::arg("prototypes"), py::arg("names"), py::arg("batch"), py::arg("n"), py::arg("m"), py::arg("dimension"),
        py::arg("threads"), py::arg("columns"), py::arg("similarity"), py::arg("gap"), py::arg("valid"));

    module.def(
        "quantise_cpu",
        [](Address prototypes, Address names, std::int64_t batch, int n, int m, int dimension, int threads, bool doubles_alone,
           Address similarity, Address valid) {
            const py::gil_scoped_release release;
            harness::quantise_cpu(reinterpret_cast<const float*>(prototypes), reinterpret_cast<const float*>(names), {batch, n, m},
                                  dimension, threads, doubles_alone, reinterpret_cast<std::int32_t*>(similarity),
                                  reinterpret_cast<bool*>(valid));
        },
        py::arg("prototypes"), py::arg("names"), py::arg("batch"), py::arg("n"), py::arg("m"), py::arg("dimension"),
        py::arg("threads"), py::arg("doubles_alone"), py::arg("similarity"), py::arg("valid"));

    module.def(
        "assign_cpu",
        [](Address similarity, std::int64_t batch, int n, int m, int threads, Address columns, Address total, Address gap,
           Address valid, Address steps) {
            const py::gil_scoped_release release;
            harness::assign_cpu(reinterpret_cast<const std::int32_t*>(similarity), {batch, n, m}, threads,
                                results(columns, total, gap, valid, steps));
        },
        py::arg("similarity"), py::arg("batch"), py::arg("n"), py::arg("m"), py::arg("threads"), py::arg("columns"),
        py::arg("total"), py::arg("gap"), py::arg("valid"), py::arg("steps") = Address(0));

    // For tests, and for measuring what a lesser processor would take: the results are the same.
    module.def(
        "limit_registers",
        [](int bytes) { return harness::register_bytes = std::min(bytes, harness::processor_bytes()); }, py::arg("bytes"));

#ifdef HARNESS_WITH_CUDA
    module.attr("cuda") = true;
    bind_cuda(module);
#else
    module.attr("cuda") = false;
#endif
}
