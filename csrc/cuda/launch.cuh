// Shared by the two .cu files: launches and their errors, and which side gives the rows.
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

struct Extent {
    unsigned blocks, threads;
    std::size_t shared = 0;    // bytes of dynamic shared memory of a block
    bool cooperative = false;  // all blocks run at once and may wait for each other
};

template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), Extent extent, void* stream, const Arguments&... arguments) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = extent.blocks;
    config.blockDim = extent.threads;
    config.dynamicSmemBytes = extent.shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = extent.cooperative;
    check(cudaLaunchKernelEx(&config, kernel, arguments...), what);
}

// The dynamic shared memory of a block.
extern __shared__ __align__(16) char shared[];

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
