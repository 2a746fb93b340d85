// Matching on the device of the current stream. All pointers are device memory; nothing waits for the kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "match_cpu.hpp"

namespace harness {

struct CudaInput {
    const void *prototypes, *names;  // (batch, N, dimension), (batch, M, dimension), contiguous
    int type;                        // 0 float32, 1 float16, 2 bfloat16
    Shape shape;
    int dimension;  // at most 32768
};

// Whether a problem fits into the shared memory of one block of the current device.
bool fused_fits(Shape shape);

// fused.cu: one launch, one block per problem, the similarities never leave the chip.
void match_fused(const CudaInput& input, Results results, void* stream);

// large.cu: similarities and all else in `workspace`, aligned to 16 bytes.
std::size_t workspace_bytes(Shape shape);
void match_large(const CudaInput& input, Results results, void* workspace, void* stream);

}  // namespace harness
