// The Python module: typed numpy arrays on the CPU, DLPack capsules on a CUDA device. Wrong types and shapes are sentences.

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "common.hpp"
#include "corpus/binding.hpp"
#include "cpu/match.hpp"
#include "cpu/simd.hpp"
#include "text/binding.hpp"

#ifdef HARNESS_WITH_CUDA
#include "cuda/dlpack.hpp"
#include "cuda/match.hpp"
#endif

namespace py = pybind11;

namespace {

using harness::BatchShape;
using harness::Results;

constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();

std::string type_name(const py::dtype& type) { return py::str(static_cast<const py::object&>(type)); }

// An array of three axes with entries of T, contiguous: copied only where its strides are not.
template <class T>
struct Array3 : py::array_t<T, py::array::c_style> {
    Array3(const char* name, const py::array& given) : py::array_t<T, py::array::c_style>(checked(name, given)) {}

private:
    static const py::array& checked(const char* name, const py::array& given) {
        const py::dtype wanted = py::dtype::of<T>();
        if (!given.dtype().is(wanted) && !given.dtype().equal(wanted))
            throw py::type_error(std::string(name) + " must be " + type_name(wanted) + ", not " + type_name(given.dtype()));
        if (given.ndim() != 3)
            throw py::value_error(std::string(name) + " must have 3 axes, not " + std::to_string(given.ndim()));
        if (*std::max_element(given.shape(), given.shape() + 3) > kMaxInt)
            throw py::value_error(std::string(name) + " may have at most " + std::to_string(kMaxInt) + " entries along an axis");
        return given;
    }
};

BatchShape shape_of(const std::vector<std::int64_t>& prototypes, const std::vector<std::int64_t>& names) {
    if (prototypes[0] != names[0] || prototypes[2] != names[2])
        throw py::value_error("prototypes (batch, n, dimension) and names (batch, m, dimension) differ in batch or dimension");
    return {prototypes[0], int(prototypes[1]), int(names[1]), int(prototypes[2])};
}

std::vector<std::int64_t> sizes(const py::array& x) { return {x.shape(), x.shape() + x.ndim()}; }

// New output arrays, not yet written.
struct CpuResults {
    py::array_t<std::int64_t> columns;
    py::array_t<double> similarity, gap;
    py::array_t<bool> valid;

    explicit CpuResults(const BatchShape& shape)
        : columns({shape.batch, std::int64_t(shape.prototypes)}), similarity(shape.batch), gap(shape.batch), valid(shape.batch) {}
    Results pointers() { return {columns.mutable_data(), similarity.mutable_data(), gap.mutable_data(), valid.mutable_data()}; }
    py::tuple to_tuple() const { return py::make_tuple(columns, similarity, gap, valid); }
};

py::tuple match_cpu(const py::array& prototypes, const py::array& names, int threads) {
    const Array3<float> p("prototypes", prototypes), t("names", names);
    const BatchShape shape = shape_of(sizes(p), sizes(t));
    CpuResults found(shape);
    const Results results = found.pointers();
    {
        const py::gil_scoped_release release;
        harness::match_cpu(p.data(), t.data(), shape, threads, results);
    }
    return found.to_tuple();
}

py::tuple quantise_cpu(const py::array& prototypes, const py::array& names, int threads, bool doubles_alone) {
    const Array3<float> p("prototypes", prototypes), t("names", names);
    const BatchShape shape = shape_of(sizes(p), sizes(t));
    py::array_t<std::int32_t> similarity({shape.batch, std::int64_t(shape.prototypes), std::int64_t(shape.names)});
    py::array_t<bool> valid(shape.batch);
    std::int32_t* const out = similarity.mutable_data();
    bool* const flags = valid.mutable_data();
    {
        const py::gil_scoped_release release;
        harness::quantise_cpu(p.data(), t.data(), shape, threads, doubles_alone, out, flags);
    }
    return py::make_tuple(similarity, valid);
}

py::tuple assign_cpu(const py::array& similarity, int threads) {
    const Array3<std::int32_t> s("similarity", similarity);
    const BatchShape shape{s.shape(0), int(s.shape(1)), int(s.shape(2))};
    CpuResults found(shape);
    py::array_t<std::int64_t> steps(shape.batch);
    Results results = found.pointers();
    results.steps = steps.mutable_data();
    {
        const py::gil_scoped_release release;
        harness::assign_cpu(s.data(), shape, threads, results);
    }
    return py::make_tuple(found.to_tuple(), steps);
}

int limit_registers(int bytes) { return harness::register_bytes = std::min(bytes, harness::widest_register_bytes()); }

#ifdef HARNESS_WITH_CUDA

using harness::CudaTensor;
using harness::EntryType;

EntryType entry_type(const CudaTensor& x) {
    const harness::DLDataType type = x.type();
    if (type == harness::DLDataType{harness::kDLFloat, 32, 1}) return EntryType::float32;
    if (type == harness::DLDataType{harness::kDLFloat, 16, 1}) return EntryType::float16;
    x.require(type == harness::DLDataType{harness::kDLBfloat, 16, 1}, "must be float32, float16 or bfloat16");
    return EntryType::bfloat16;
}

harness::CudaInput cuda_input(const py::capsule& prototypes, const py::capsule& names) {
    const CudaTensor p("prototypes", prototypes), t("names", names);
    for (const CudaTensor* x : {&p, &t}) x->require(x->shape().size() == 3, "must have 3 axes");
    t.require_same_device(p);
    t.require(entry_type(t) == entry_type(p), "must have the type of prototypes");
    return {p.data<const void>(), t.data<const void>(), entry_type(p), shape_of(p.shape(), t.shape())};
}

template <class T>
T* output(const char* name, const py::capsule& capsule, harness::DLDataType type, const char* type_name,
          const std::vector<std::int64_t>& shape) {
    const CudaTensor x(name, capsule);
    x.require(x.type() == type, std::string("must be ") + type_name);
    x.require_shape(shape);
    return x.data<T>();
}

Results cuda_results(const BatchShape& shape, const py::capsule& columns, const py::capsule& similarity, const py::capsule& gap,
                     const py::capsule& valid) {
    using namespace harness;
    return {output<std::int64_t>("columns", columns, {kDLInt, 64, 1}, "int64", {shape.batch, shape.prototypes}),
            output<double>("similarity", similarity, {kDLFloat, 64, 1}, "float64", {shape.batch}),
            output<double>("gap", gap, {kDLFloat, 64, 1}, "float64", {shape.batch}),
            output<bool>("valid", valid, {kDLBool, 8, 1}, "bool", {shape.batch})};
}

// `stream` is a cudaStream_t, as torch.cuda.Stream.cuda_stream gives it.
void match_fused(const py::capsule& prototypes, const py::capsule& names, const py::capsule& columns,
                 const py::capsule& similarity, const py::capsule& gap, const py::capsule& valid, std::uintptr_t stream) {
    const harness::CudaInput input = cuda_input(prototypes, names);
    harness::match_fused(input, cuda_results(input.shape, columns, similarity, gap, valid), reinterpret_cast<void*>(stream));
}

void match_large(const py::capsule& prototypes, const py::capsule& names, const py::capsule& columns,
                 const py::capsule& similarity, const py::capsule& gap, const py::capsule& valid, const py::capsule& workspace,
                 std::uintptr_t stream) {
    const harness::CudaInput input = cuda_input(prototypes, names);
    const BatchShape& shape = input.shape;
    const std::int64_t bytes = std::int64_t(harness::workspace_bytes(shape.batch, shape.prototypes, shape.names));
    void* const memory = output<void>("workspace", workspace, {harness::kDLUInt, 8, 1}, "uint8", {bytes});
    harness::match_large(input, cuda_results(shape, columns, similarity, gap, valid), memory, reinterpret_cast<void*>(stream));
}

void bind_cuda(py::module_& module) {
    module.def("fused_fits", &harness::fused_fits, py::arg("n"), py::arg("m"));
    module.def("workspace_bytes", &harness::workspace_bytes, py::arg("batch"), py::arg("n"), py::arg("m"));
    module.def("match_fused", &match_fused, py::arg("prototypes"), py::arg("names"), py::arg("columns"), py::arg("similarity"),
               py::arg("gap"), py::arg("valid"), py::arg("stream"));
    module.def("match_large", &match_large, py::arg("prototypes"), py::arg("names"), py::arg("columns"), py::arg("similarity"),
               py::arg("gap"), py::arg("valid"), py::arg("workspace"), py::arg("stream"));
}

#endif

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "Matching, counting in captions and attention; use it through harness.matching, harness.corpus and harness.backbones.";
    module.attr("sources") = harness::sources;
    module.attr("unit") = harness::kUnit;
    module.def("match_cpu", &match_cpu, py::arg("prototypes"), py::arg("names"), py::arg("threads"));
    module.def("quantise_cpu", &quantise_cpu, py::arg("prototypes"), py::arg("names"), py::arg("threads"), py::arg("doubles_alone"));
    module.def("assign_cpu", &assign_cpu, py::arg("similarity"), py::arg("threads"));
    module.def("limit_registers", &limit_registers, py::arg("bytes"));
    harness::corpus::bind(module);
    harness::text::bind(module);
#ifdef HARNESS_WITH_CUDA
    module.attr("cuda") = true;
    bind_cuda(module);
#else
    module.attr("cuda") = false;
#endif
}
