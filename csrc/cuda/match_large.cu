// Matching with similarities in global memory: for matrices larger than a block's shared memory, up to about 8,000.
//
//     slow truth   cpu/similarity.cpp, then cpu/assign.cpp
//     workspace    for each problem: similarities (n, m) int32; inverse norms and shifts of n + m rows; solver state
//     launches     1. scales    a warp per row of prototypes and names
//                  2. product   a block per tile of 64 x 64
//                  3. auction   the whole grid on all problems of the batch at once (cooperative launch)
//                  4. paths     a block per problem
//                  5. certify   a warp per row
//                  6. ties      a block per problem; writes the results
//
// Epsilon scaling in 3 shortens the chain of dependent steps in 4, which dominates the time of large problems.

#include <algorithm>

#include "cuda/launch.cuh"

namespace harness {

namespace {

constexpr unsigned kBidders = 512;  // threads per block of the auction; one block per processor, since barriers wait for all

struct Layout {
    int n, m;
    std::size_t similarities, inverse, shift, solver, each;  // offsets in, and bytes of, one problem's part

    __host__ __device__ Layout(int rows, int columns) : n(rows), m(columns) {
        similarities = 0;
        inverse = align(std::size_t(4) * n * m);
        shift = inverse + align(std::size_t(8) * (n + m));
        solver = shift + align(std::size_t(4) * (n + m));
        each = solver + solver_bytes(n, m);
    }
};

// The workspace: flags for the whole batch, then one part per problem.
struct Workspace {
    char* base;
    Layout layout;
    std::int64_t batch;

    static __host__ __device__ std::size_t head(std::int64_t batch) { return align(std::size_t(4) * (3 + batch)); }
    __device__ std::int32_t* counts() const { return reinterpret_cast<std::int32_t*>(base); }
    __device__ std::int32_t* bad() const { return counts() + 3; }  // (batch)
    __device__ char* part(std::int64_t k) const { return base + head(batch) + std::size_t(k) * layout.each; }
    __device__ std::int32_t* similarities(std::int64_t k) const { return reinterpret_cast<std::int32_t*>(part(k)); }
    __device__ double* inverse(std::int64_t k) const { return reinterpret_cast<double*>(part(k) + layout.inverse); }
    __device__ int* shift(std::int64_t k) const { return reinterpret_cast<int*>(part(k) + layout.shift); }
    template <class T>
    __device__ Problem<T> problem(std::int64_t k) const {
        return Problem<T>::at(part(k) + layout.solver, similarities(k), layout.n, layout.m);
    }
};

__global__ void __launch_bounds__(kThreads) scales_kernel(const void* rows, const void* columns, EntryType type, int dimension,
                                                          Workspace workspace) {
    const int n = workspace.layout.n, m = workspace.layout.m;
    const std::int64_t warps = std::int64_t(gridDim.x) * (kThreads / 32);
    for (std::int64_t r = blockIdx.x * std::int64_t(kThreads / 32) + threadIdx.x / 32; r < workspace.batch * (n + m); r += warps) {
        const std::int64_t k = r / (n + m);
        const int i = int(r % (n + m));
        const ScaledRows side = i < n ? scaled_rows(rows, type, k, n, dimension, nullptr, nullptr)
                                : scaled_rows(columns, type, k, m, dimension, nullptr, nullptr);
        const int row = i < n ? i : i - n;
        float x[16];
        fetch_row_part(Warp{}, side, row, 0, x);
        const bool bad = scan_row(Warp{}, side, row, x, workspace.inverse(k) + i, workspace.shift(k) + i);
        if (bad && threadIdx.x % 32 == 0) store_volatile(workspace.bad() + k, 1);
    }
}

__global__ void __launch_bounds__(kThreads, 2) product_kernel(const void* rows, const void* columns, EntryType type, int dimension,
                                                           Workspace workspace) {
    __shared__ __align__(16) signed char staging[kStaging];
    const int n = workspace.layout.n, m = workspace.layout.m;
    const unsigned across = (m + kTile - 1) / kTile, down = (n + kTile - 1) / kTile;
    const unsigned tile = blockIdx.x % (across * down);
    const std::int64_t k = blockIdx.x / (across * down);
    const ScaledRows p = scaled_rows(rows, type, k, n, dimension, workspace.inverse(k), workspace.shift(k));
    const ScaledRows t = scaled_rows(columns, type, k, m, dimension, workspace.inverse(k) + n, workspace.shift(k) + n);
    std::int32_t* const s = workspace.similarities(k);
    __shared__ BlockScratch scratch;
    Block team(scratch);
    similarity_tile(team, p, int(tile / across) * kTile, t, int(tile % across) * kTile, staging,
                    [&](int i, int j, int value) { s[std::size_t(i) * m + j] = value; });
}

template <class Team>
__device__ void auctions(Team&& team, const Workspace& workspace) {
    const int n = workspace.layout.n, m = workspace.layout.m, batch = int(workspace.batch);
    const auto problem = [&](int k) { return workspace.problem<std::int32_t>(k); };
    initialise<std::int32_t>(team, problem, batch, n, m);
    Auction(team, problem, batch, n, m, workspace.counts()).run(grid_schedule(n < m));
}

__global__ void __launch_bounds__(kBidders, 1) auction_kernel(Workspace workspace) {
    __shared__ BlockScratch scratch;
    auctions(Grid(scratch), workspace);
}
__global__ void __launch_bounds__(kBidders, 1) lone_auction_kernel(Workspace workspace) {
    __shared__ BlockScratch scratch;
    auctions(Block(scratch), workspace);
}

// Writes the prices, as int64, to Problem::distance.
__global__ void __launch_bounds__(kMaxThreads) paths_kernel(Workspace workspace) {
    __shared__ BlockScratch scratch;
    Block team(scratch);
    const auto narrow = workspace.problem<std::int32_t>(blockIdx.x);
    const auto wide = workspace.problem<std::int64_t>(blockIdx.x);
    if (find_paths(team, narrow)) {
        team.sync();
        for (int j = team.rank(); j < narrow.columns; j += team.size()) wide.distance[j] = narrow.price[j];
        return;
    }
    team.sync();
    initialise<std::int64_t>(team, [&](int) { return wide; }, 1, wide.rows, wide.columns);
    paths(team, wide);
    team.sync();
    for (int j = team.rank(); j < wide.columns; j += team.size()) wide.distance[j] = wide.price[j];
}

__device__ Problem<std::int64_t> solved(const Workspace& workspace, std::int64_t k) {
    Problem<std::int64_t> w = workspace.problem<std::int64_t>(k);
    w.price = w.distance;
    return w;
}

__global__ void __launch_bounds__(kThreads) certify_kernel(Workspace workspace) {
    const Warp warp;
    const int lines = workspace.layout.n + words_of(workspace.layout.m);  // rows, then columns by 32
    const std::int64_t warps = std::int64_t(gridDim.x) * (kThreads / 32);
    for (std::int64_t r = blockIdx.x * std::int64_t(kThreads / 32) + threadIdx.x / 32; r < workspace.batch * lines; r += warps) {
        const auto w = solved(workspace, r / lines);
        const int line = int(r % lines);
        if (line < w.rows)
            certify_row(warp, w, line);
        else
            certify_word(warp, w, line - w.rows);
    }
}

__global__ void __launch_bounds__(kMaxThreads) ties_kernel(Workspace workspace, bool swapped, Results out) {
    __shared__ BlockScratch scratch;
    Block team(scratch);
    const auto w = solved(workspace, blockIdx.x);
    if (w.sums[0] == w.sums[1]) minimise_ties(team, w);
    team.sync();
    write_results(team, w, workspace.bad()[blockIdx.x] != 0, swapped, blockIdx.x, out);
}

}  // namespace

std::size_t workspace_bytes(std::int64_t batch, int n, int m) {
    return Workspace::head(batch) + std::size_t(batch) * Layout(std::min(n, m), std::max(n, m)).each;
}

void match_large(const CudaInput& input, const Results& results, void* memory, void* stream) {
    if (input.shape.batch == 0) return;
    const Orientation oriented(input);
    Workspace workspace{static_cast<char*>(memory), Layout(oriented.n, oriented.m), input.shape.batch};
    int device = 0, processors = 0, cooperative = 0, per_processor = 0;
    check(cudaGetDevice(&device), "no CUDA device");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "the device");
    check(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device), "the device");
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_processor, auction_kernel, kBidders, 0), "the auction");

    const unsigned batch = unsigned(input.shape.batch), blocks = unsigned(processors) * 8;
    const unsigned tiles = unsigned((oriented.n + kTile - 1) / kTile) * unsigned((oriented.m + kTile - 1) / kTile);
    const auto at_most = [&](unsigned limit) { return std::min(limit, unsigned(oriented.m + 31) / 32 * 32); };  // a thread per column
    const unsigned searchers = oriented.m >= 4 * kMaxThreads ? kMaxThreads : (oriented.m + 127) / 128 * 32;  // see find_paths
    check(cudaMemsetAsync(memory, 0, Workspace::head(input.shape.batch), static_cast<cudaStream_t>(stream)), "clearing the flags");
    launch("scales", scales_kernel, {blocks, kThreads}, stream, oriented.rows, oriented.columns, input.type, input.shape.dimension,
           workspace);
    launch("the product", product_kernel, {batch * tiles, kThreads}, stream, oriented.rows, oriented.columns, input.type,
           input.shape.dimension, workspace);
    if (cooperative && per_processor > 0)
        launch("the auction", auction_kernel, {unsigned(processors), at_most(kBidders), 0, true}, stream, workspace);
    else
        launch("the auction", lone_auction_kernel, {1, at_most(kBidders)}, stream, workspace);
    launch("paths", paths_kernel, {batch, searchers}, stream, workspace);
    launch("the certificate", certify_kernel, {blocks, kThreads}, stream, workspace);
    launch("ties", ties_kernel, {batch, at_most(kMaxThreads)}, stream, workspace, oriented.swapped, results);
}

}  // namespace harness
