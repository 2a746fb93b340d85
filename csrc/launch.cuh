// Shared by the two .cu files: errors of launches, and how a solved problem is written.
#pragma once

#include <stdexcept>
#include <string>

#include <cuda_runtime.h>

#include "match_cuda.hpp"
#include "similarity.cuh"
#include "team_assign.hpp"

namespace harness {

inline void check(cudaError_t code, const char* what) {
    if (code != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(code));
}

// The shorter side gives the rows of the assignment.
struct Sides {
    const void *rows, *columns;
    int n, m;
    bool swapped;

    explicit Sides(const CudaInput& input)
        : rows(input.prototypes), columns(input.names), n(input.shape.prototypes), m(input.shape.names), swapped(n > m) {
        if (!swapped) return;
        rows = input.names;
        columns = input.prototypes;
        n = input.shape.names;
        m = input.shape.prototypes;
    }
};

#ifdef __CUDACC__

__device__ inline Side side_of(const void* x, Type type, std::int64_t problem, int rows, int dimension, const double* inverse,
                               const int* shift) {
    const std::size_t bytes = std::size_t(problem) * rows * dimension * (type == Type::float32 ? 4 : 2);
    return {static_cast<const char*>(x) + bytes, type, rows, dimension, inverse, shift};
}

// Results of problem k by a block.
template <class T>
__device__ void write_results(Block team, const Problem<T>& w, bool bad, bool swapped, std::int64_t k, const Results& out) {
    const int prototypes = swapped ? w.columns : w.rows;
    std::int64_t* columns = out.columns + k * prototypes;
    const std::int32_t* names = swapped ? w.row_of : w.column_of;  // kNobody is -1, as in the result
    for (int i = team.rank(); i < prototypes; i += team.size()) columns[i] = bad ? -1 : names[i];
    if (team.rank() != 0) return;
    const double nan = __longlong_as_double(0x7ff8000000000000LL);
    out.similarity[k] = bad ? nan : double(w.sums[1]) / kOne;
    out.gap[k] = bad ? nan : double(w.sums[0] - w.sums[1]) / kOne;
    out.valid[k] = !bad;
}

#endif

}  // namespace harness
