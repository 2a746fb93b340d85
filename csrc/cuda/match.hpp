// Matching on the current device. All pointers are device memory; kernels run on `stream`, a cudaStream_t, and nothing waits.
#pragma once

#include <cstddef>

#include "common.hpp"

namespace harness {

enum class EntryType : int { float32, float16, bfloat16 };

struct CudaInput {
    const void *prototypes, *names;  // (batch, prototypes, dimension) and (batch, names, dimension), contiguous
    EntryType type;
    BatchShape shape;  // dimension at most 32768
};

// Whether a problem of n prototypes and m names fits into the shared memory of one block.
bool fused_fits(int n, int m);

// match_small.cu: one launch, one block per problem; similarities stay in shared memory.
void match_fused(const CudaInput& input, const Results& results, void* stream);

// match_large.cu: similarities and all other state in `workspace`, aligned to 16 bytes.
std::size_t workspace_bytes(std::int64_t batch, int n, int m);
void match_large(const CudaInput& input, const Results& results, void* workspace, void* stream);

}  // namespace harness
