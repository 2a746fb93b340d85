// Shared by the two .cu files: errors of launches, and which side gives the rows.
#pragma once

#include <stdexcept>
#include <string>

#include <cuda_runtime.h>

#include "match_cuda.hpp"
#include "team_match.hpp"

namespace harness {

inline void check(cudaError_t code, const char* what) {
    if (code == cudaSuccess) return;
    cudaGetLastError();  // a failed call is remembered, and would be taken for a failure of the next launch
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(code));
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

}  // namespace harness
