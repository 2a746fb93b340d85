// Shared by the two .cu files: kernel launches, their errors, and which input gives the rows.
#pragma once

#include <stdexcept>
#include <string>

#include <cuda_runtime.h>

#include "cuda/match.hpp"
#include "cuda/match_block.cuh"

namespace harness {

inline void check(cudaError_t code, const char* what) {
    if (code == cudaSuccess) return;
    cudaGetLastError();  // clears the error, which would be reported for the next launch too
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(code));
}

struct LaunchSize {
    unsigned blocks, threads;
    std::size_t shared = 0;    // bytes of dynamic shared memory of a block
    bool cooperative = false;  // all blocks run at once and may wait for each other
};

template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), const LaunchSize& size, void* stream, const Arguments&... arguments) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = size.blocks;
    config.blockDim = size.threads;
    config.dynamicSmemBytes = size.shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = size.cooperative;
    check(cudaLaunchKernelEx(&config, kernel, arguments...), what);
}

// The dynamic shared memory of a block.
extern __shared__ __align__(16) char shared[];

// The shorter side gives the rows of the assignment.
struct Orientation {
    const void *rows, *columns;
    int n, m;
    bool swapped;

    explicit Orientation(const CudaInput& input)
        : rows(input.prototypes), columns(input.names), n(input.shape.prototypes), m(input.shape.names), swapped(n > m) {
        if (!swapped) return;
        rows = input.names;
        columns = input.prototypes;
        n = input.shape.names;
        m = input.shape.prototypes;
    }
};

}  // namespace harness
