// Matching in one launch: a block per problem, from rows of embeddings to columns, similarities in shared memory alone.
//
//     slow truth     similarity.cpp, then assign.cpp
//     shapes         prototypes (batch, N, d), names (batch, M, d); the shorter side becomes the n rows, the other the m columns
//     algorithm      match_block (team_match.hpp): scales, product (team_similarity.hpp), assignment (team_assign.hpp), ties
//     launch         256 threads per block, wherever block_bytes(n, m) of shared memory fit: by arithmetic n = m up to 226 with
//                    the 227 KB of sm_90, 187 with the 163 KB of sm_80. Two blocks share a processor where theirs allows it

#include "launch.cuh"

namespace harness {

namespace {

__global__ void __launch_bounds__(kThreads, 2) fused_kernel(const void* rows, const void* columns, Type type, int n, int m,
                                                            int dimension, bool swapped, Results out) {
    __shared__ std::int32_t counts[3];
    __shared__ Scratch scratch;
    Block team(scratch);
    match_block(team, rows, columns, type, blockIdx.x, n, m, dimension, swapped, shared, counts, out);
}

// The most dynamic shared memory that a block may have on the current device.
std::size_t room() {
    int device = 0, limit = 0;
    check(cudaGetDevice(&device), "no CUDA device");
    check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "shared memory of the device");
    cudaFuncAttributes own{};
    check(cudaFuncGetAttributes(&own, fused_kernel), "the fused kernel");
    return std::size_t(limit) - own.sharedSizeBytes;
}

}  // namespace

bool fused_fits(Shape shape) {
    const std::size_t n = shape.prototypes < shape.names ? shape.prototypes : shape.names;
    const std::size_t m = shape.prototypes < shape.names ? shape.names : shape.prototypes;
    const std::size_t most = room();
    return 4 * n * m < most && block_bytes(int(n), int(m)) <= most;
}

void match_fused(const CudaInput& input, Results results, void* stream) {
    if (input.shape.batch == 0) return;
    const Sides sides(input);
    const std::size_t bytes = block_bytes(sides.n, sides.m);
    // All there is, not `bytes`: so a launch of another size from another thread never finds it lowered.
    check(cudaFuncSetAttribute(fused_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(room())), "fused matching");
    launch("fused matching", fused_kernel, {unsigned(input.shape.batch), kThreads, bytes}, stream, sides.rows, sides.columns,
           Type(input.type), sides.n, sides.m, input.dimension, sides.swapped, results);
}

}  // namespace harness
