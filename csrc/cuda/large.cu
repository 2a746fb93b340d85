// Matching with the similarities in global memory: for matrices that no block's shared memory holds, to about 8,000.
//
//     slow truth   similarity.cpp, then assign.cpp
//     workspace    for each problem: similarities (n, m) int32; inverse norms and shifts of n + m rows; room of the assignment
//     launches     1. scales    a warp per row of either side
//                  2. product   a block per tile of 64 x 64
//                  3. auction   the whole grid on all problems of the batch at once (cooperative launch)
//                  4. paths     a block per problem
//                  5. certify   a warp per row
//                  6. ties      a block per problem; writes the results
//
// Epsilon scaling in 3 shortens the chain of dependent steps in 4, which is what large problems wait for.

#include <algorithm>

#include "launch.cuh"

namespace harness {

namespace {

constexpr unsigned kBidders = 512;  // threads of a block in the auction; one block on a processor, as a barrier waits for blocks

struct Layout {
    int n, m;
    std::size_t similarities, inverse, shift, room, each;  // offsets in, and bytes of, one problem's part

    __host__ __device__ Layout(int rows, int columns) : n(rows), m(columns) {
        similarities = 0;
        inverse = align(std::size_t(4) * n * m);
        shift = inverse + align(std::size_t(8) * (n + m));
        room = shift + align(std::size_t(4) * (n + m));
        each = room + room_bytes(n, m);
    }
};

// The workspace: a head with flags for the whole batch, then the parts of the problems.
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
        return Problem<T>::at(part(k) + layout.room, similarities(k), layout.n, layout.m);
    }
};

__global__ void __launch_bounds__(kThreads) scales_kernel(const void* rows, const void* columns, Type type, int dimension,
                                                          Workspace space) {
    const int n = space.layout.n, m = space.layout.m;
    const std::int64_t warps = std::int64_t(gridDim.x) * (kThreads / 32);
    for (std::int64_t r = blockIdx.x * std::int64_t(kThreads / 32) + threadIdx.x / 32; r < space.batch * (n + m); r += warps) {
        const std::int64_t k = r / (n + m);
        const int i = int(r % (n + m));
        const Side side = i < n ? side_of(rows, type, k, n, dimension, nullptr, nullptr)
                                : side_of(columns, type, k, m, dimension, nullptr, nullptr);
        const int row = i < n ? i : i - n;
        float x[16];
        fetch_seen(Warp{}, side, row, 0, x);
        const bool bad = scan_row(Warp{}, side, row, x, space.inverse(k) + i, space.shift(k) + i);
        if (bad && threadIdx.x % 32 == 0) write(space.bad() + k, 1);
    }
}

__global__ void __launch_bounds__(kThreads, 2) product_kernel(const void* rows, const void* columns, Type type, int dimension,
                                                           Workspace space) {
    __shared__ __align__(16) signed char staging[kStaging];
    const int n = space.layout.n, m = space.layout.m;
    const unsigned across = (m + kTile - 1) / kTile, down = (n + kTile - 1) / kTile;
    const unsigned tile = blockIdx.x % (across * down);
    const std::int64_t k = blockIdx.x / (across * down);
    const Side p = side_of(rows, type, k, n, dimension, space.inverse(k), space.shift(k));
    const Side t = side_of(columns, type, k, m, dimension, space.inverse(k) + n, space.shift(k) + n);
    std::int32_t* const s = space.similarities(k);
    __shared__ Scratch scratch;
    Block team(scratch);
    similarity_tile(team, p, int(tile / across) * kTile, t, int(tile % across) * kTile, staging,
                    [&](int i, int j, int value) { s[std::size_t(i) * m + j] = value; });
}

template <class Team>
__device__ void auctions(Team&& team, const Workspace& space) {
    const int n = space.layout.n, m = space.layout.m, batch = int(space.batch);
    const auto problem = [&](int k) { return space.problem<std::int32_t>(k); };
    begin<std::int32_t>(team, problem, batch, n, m);
    Auction(team, problem, batch, n, m, space.counts()).run(on_grid(n < m));
}

__global__ void __launch_bounds__(kBidders, 1) auction_kernel(Workspace space) {
    __shared__ Scratch scratch;
    auctions(Grid(scratch), space);
}
__global__ void __launch_bounds__(kBidders, 1) lone_auction_kernel(Workspace space) {
    __shared__ Scratch scratch;
    auctions(Block(scratch), space);
}

// Leaves the prices, as int64, where the distances were.
__global__ void __launch_bounds__(kMostThreads) paths_kernel(Workspace space) {
    __shared__ Scratch scratch;
    Block team(scratch);
    const auto narrow = space.problem<std::int32_t>(blockIdx.x);
    const auto wide = space.problem<std::int64_t>(blockIdx.x);
    if (find_paths(team, narrow)) {
        team.sync();
        for (int j = team.rank(); j < narrow.columns; j += team.size()) wide.distance[j] = narrow.price[j];
        return;
    }
    team.sync();
    begin<std::int64_t>(team, [&](int) { return wide; }, 1, wide.rows, wide.columns);
    paths(team, wide);
    team.sync();
    for (int j = team.rank(); j < wide.columns; j += team.size()) wide.distance[j] = wide.price[j];
}

__device__ Problem<std::int64_t> solved(const Workspace& space, std::int64_t k) {
    Problem<std::int64_t> w = space.problem<std::int64_t>(k);
    w.price = w.distance;
    return w;
}

__global__ void __launch_bounds__(kThreads) certify_kernel(Workspace space) {
    const Warp warp;
    const int lines = space.layout.n + words_of(space.layout.m);  // rows, then columns by 32
    const std::int64_t warps = std::int64_t(gridDim.x) * (kThreads / 32);
    for (std::int64_t r = blockIdx.x * std::int64_t(kThreads / 32) + threadIdx.x / 32; r < space.batch * lines; r += warps) {
        const auto w = solved(space, r / lines);
        const int line = int(r % lines);
        if (line < w.rows)
            certify_row(warp, w, line);
        else
            certify_word(warp, w, line - w.rows);
    }
}

__global__ void __launch_bounds__(kMostThreads) ties_kernel(Workspace space, bool swapped, Results out) {
    __shared__ Scratch scratch;
    Block team(scratch);
    const auto w = solved(space, blockIdx.x);
    if (w.sums[0] == w.sums[1]) lowest(team, w);
    team.sync();
    write_results(team, w, space.bad()[blockIdx.x] != 0, swapped, blockIdx.x, out);
}

}  // namespace

std::size_t workspace_bytes(Shape shape) {
    const bool swapped = shape.prototypes > shape.names;
    const Layout layout(swapped ? shape.names : shape.prototypes, swapped ? shape.prototypes : shape.names);
    return Workspace::head(shape.batch) + std::size_t(shape.batch) * layout.each;
}

void match_large(const CudaInput& input, Results results, void* workspace, void* stream) {
    if (input.shape.batch == 0) return;
    const Sides sides(input);
    Workspace space{static_cast<char*>(workspace), Layout(sides.n, sides.m), input.shape.batch};
    int device = 0, processors = 0, cooperative = 0, per_processor = 0;
    check(cudaGetDevice(&device), "no CUDA device");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "the device");
    check(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device), "the device");
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_processor, auction_kernel, kBidders, 0), "the auction");

    const unsigned batch = unsigned(input.shape.batch), blocks = unsigned(processors) * 8;
    const unsigned tiles = unsigned((sides.n + kTile - 1) / kTile) * unsigned((sides.m + kTile - 1) / kTile);
    const auto at_most = [&](unsigned limit) { return std::min(limit, unsigned(sides.m + 31) / 32 * 32); };  // a thread per column
    const unsigned searchers = sides.m >= 4 * kMostThreads ? kMostThreads : (sides.m + 127) / 128 * 32;  // see find_paths
    const Type type = Type(input.type);
    check(cudaMemsetAsync(workspace, 0, Workspace::head(input.shape.batch), static_cast<cudaStream_t>(stream)), "clearing the flags");
    launch("scales", scales_kernel, {blocks, kThreads}, stream, sides.rows, sides.columns, type, input.dimension, space);
    launch("the product", product_kernel, {batch * tiles, kThreads}, stream, sides.rows, sides.columns, type, input.dimension, space);
    if (cooperative && per_processor > 0)
        launch("the auction", auction_kernel, {unsigned(processors), at_most(kBidders), 0, true}, stream, space);
    else
        launch("the auction", lone_auction_kernel, {1, at_most(kBidders)}, stream, space);
    launch("paths", paths_kernel, {batch, searchers}, stream, space);
    launch("the certificate", certify_kernel, {blocks, kThreads}, stream, space);
    launch("ties", ties_kernel, {batch, at_most(kMostThreads)}, stream, space, sides.swapped, results);
}

}  // namespace harness
