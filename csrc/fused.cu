// Matching in one launch: a block per problem, from rows of embeddings to columns, similarities in shared memory alone.
//
//     slow truth     similarity.cpp, then assign.cpp
//     shapes         prototypes (batch, N, d), names (batch, M, d); the shorter side becomes the n rows, the other the m columns
//     shared memory  similarities (n, m) int32, then the larger of: digits and row scales of the product; room of the assignment
//     launch         256 threads per block, wherever that fits: by arithmetic n = m up to 228 with the 227 KB of sm_90,
//                    189 with the 163 KB of sm_80. Two blocks share a processor where their shared memory allows it
//
// The product keeps all warps busy; so do auction and certificate. A path search is one long chain of dependent steps, and
// a barrier of the block would be most of each: one warp does it while the others wait.

#include "launch.cuh"

namespace harness {

namespace {

std::size_t shared_bytes(int n, int m) {
    const std::size_t product = kStaging + 12 * std::size_t(n + m), room = room_bytes(n, m);
    return align(4 * std::size_t(n) * m) + align(product > room ? product : room);
}

// Paths, certificate and ties of a problem whose auction is over; false when int32 prices do not do.
template <class T>
__device__ bool finish(Block& team, const Problem<T>& w) {
    Warp warp;
    if (team.warp_index() == 0) {
        const bool found = paths(warp, w);
        if (warp.rank() == 0) write(&w.flags[kOverflow], !found);
    }
    team.sync();
    if (read(&w.flags[kOverflow])) return false;
    certify(team, w);
    if (w.sums[0] == w.sums[1]) lowest(team, w);
    team.sync();
    return true;
}

__global__ void __launch_bounds__(kThreads, 2) fused_kernel(const void* rows, const void* columns, Type type, int n, int m,
                                                            int dimension, bool swapped, Results out) {
    extern __shared__ __align__(16) char shared[];
    __shared__ std::int32_t counts[3];
    const std::int64_t k = blockIdx.x;
    std::int32_t* const s = reinterpret_cast<std::int32_t*>(shared);
    char* const rest = shared + align(std::size_t(4) * n * m);
    Block team;

    // 1. Scales and norms of the rows of both sides.
    double* const inverse = reinterpret_cast<double*>(rest + kStaging);
    int* const shift = reinterpret_cast<int*>(inverse + n + m);
    const Side p = side_of(rows, type, k, n, dimension, inverse, shift);
    const Side t = side_of(columns, type, k, m, dimension, inverse + n, shift + n);
    bool bad = false;
    for (int i = team.warp_index(); i < n + m; i += team.warps())
        bad |= scan_row(i < n ? p.x : t.x, type, i < n ? i : i - n, dimension, inverse + i, shift + i);
    bad = __syncthreads_or(bad);

    // 2. Similarities, tile by tile, into shared memory.
    for (int i = 0; i < n; i += kTile)
        for (int j = 0; j < m; j += kTile)
            similarity_tile(p, i, t, j, reinterpret_cast<signed char*>(rest),
                            [&](int row, int column, int value) { s[row * m + column] = value; });
    __syncthreads();

    // 3. The assignment, in int64 where int32 is too narrow.
    const auto narrow = Problem<std::int32_t>::at(rest, s, n, m);
    const auto problem = [&](int) { return narrow; };
    begin<std::int32_t>(team, problem, 1, n, m);
    auction(team, problem, 1, n, m, 0, kLastRounds, 0, counts);
    if (!finish(team, narrow)) {
        const auto wide = Problem<std::int64_t>::at(rest, s, n, m);
        __syncthreads();
        begin<std::int64_t>(team, [&](int) { return wide; }, 1, n, m);
        finish(team, wide);
    }
    write_results(team, narrow, bad, swapped, k, out);  // its indices and sums lie where the wide one's do
}

}  // namespace

bool fused_fits(Shape shape) {
    int device = 0, limit = 0;
    check(cudaGetDevice(&device), "no CUDA device");
    check(cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "shared memory of the device");
    const std::size_t n = shape.prototypes < shape.names ? shape.prototypes : shape.names;
    const std::size_t m = shape.prototypes < shape.names ? shape.names : shape.prototypes;
    cudaFuncAttributes own{};
    check(cudaFuncGetAttributes(&own, fused_kernel), "the fused kernel");
    return 4 * n * m < std::size_t(limit) && shared_bytes(int(n), int(m)) + own.sharedSizeBytes <= std::size_t(limit);
}

void match_fused(const CudaInput& input, Results results, void* stream) {
    if (input.shape.batch == 0) return;
    const Sides sides(input);
    const std::size_t bytes = shared_bytes(sides.n, sides.m);
    check(cudaFuncSetAttribute(fused_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)), "fused matching");
    fused_kernel<<<unsigned(input.shape.batch), kThreads, bytes, static_cast<cudaStream_t>(stream)>>>(
        sides.rows, sides.columns, Type(input.type), sides.n, sides.m, input.dimension, sides.swapped, results);
    check(cudaGetLastError(), "fused matching");
}

}  // namespace harness
