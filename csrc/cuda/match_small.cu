// Matching in one launch: a block per problem, from embeddings to assignments, with similarities in shared memory only.
//
//     slow truth     cpu/similarity.cpp, then cpu/assign.cpp
//     shapes         prototypes (batch, N, d), names (batch, M, d); the shorter side becomes the n rows, the other the m columns
//     algorithm      match_block (match_block.cuh): scales and product (similarity.cuh), assignment (auction.cuh, paths.cuh),
//                    ties (ties.cuh)
//     launch         256 threads per block, wherever block_bytes(n, m) of shared memory fit: computed as n = m up to 226 with
//                    the 227 KB of sm_90, 187 with the 163 KB of sm_80. Two blocks run on one processor where they fit

#include "cuda/launch.cuh"

namespace harness {

namespace {

__global__ void __launch_bounds__(kThreads, 2) fused_kernel(const void* rows, const void* columns, EntryType type, int n, int m,
                                                            int dimension, bool swapped, Results out) {
    __shared__ std::int32_t counts[3];
    __shared__ BlockScratch scratch;
    Block team(scratch);
    match_block(team, rows, columns, type, blockIdx.x, n, m, dimension, swapped, shared, counts, out);
}

// The largest dynamic shared memory of a block on the current device, in bytes.
std::size_t max_dynamic_shared() {
    int device = 0, limit = 0;
    check(cudaGetDevice(&device), "no CUDA device");
    check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "shared memory of the device");
    cudaFuncAttributes own{};
    check(cudaFuncGetAttributes(&own, fused_kernel), "the fused kernel");
    return std::size_t(limit) - own.sharedSizeBytes;
}

}  // namespace

bool fused_fits(int n, int m) {
    const std::size_t rows = n < m ? n : m, columns = n < m ? m : n;
    const std::size_t limit = max_dynamic_shared();
    return 4 * rows * columns < limit && block_bytes(int(rows), int(columns)) <= limit;
}

void match_fused(const CudaInput& input, const Results& results, void* stream) {
    if (input.shape.batch == 0) return;
    const Orientation oriented(input);
    const std::size_t bytes = block_bytes(oriented.n, oriented.m);
    // The limit, not `bytes`: another thread's launch of a larger problem must not find it lowered.
    const int limit = int(max_dynamic_shared());
    check(cudaFuncSetAttribute(fused_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limit), "fused matching");
    launch("fused matching", fused_kernel, {unsigned(input.shape.batch), kThreads, bytes}, stream, oriented.rows, oriented.columns,
           input.type, oriented.n, oriented.m, input.shape.dimension, oriented.swapped, results);
}

}  // namespace harness
