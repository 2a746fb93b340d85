// Matching of one problem by one block, from embeddings to assignment: the body of the fused kernel.
//
// Product, auction and certificate occupy all warps. A path search is one long chain of dependent steps, in which a barrier of
// the block would dominate: one warp does it while the others wait.
#pragma once

#include "common.hpp"
#include "cuda/auction.cuh"
#include "cuda/paths.cuh"
#include "cuda/similarity.cuh"
#include "cuda/ties.cuh"

namespace harness {

// Shared memory: similarities (n, m) int32, then the larger of: digits and row scales of the product; state of the solver.
HARNESS_HOST_DEVICE inline std::size_t block_bytes(int n, int m) {
    const std::size_t product = kStaging + 12 * std::size_t(n + m), solver = solver_bytes(n, m);
    return align(4 * std::size_t(n) * m) + align(product > solver ? product : solver);
}

HARNESS_DEVICE ScaledRows scaled_rows(const void* x, EntryType type, std::int64_t problem, int rows, int dimension,
                                      const double* inverse, const int* shift) {
    const std::size_t bytes = std::size_t(problem) * rows * dimension * (type == EntryType::float32 ? 4 : 2);
    return {static_cast<const char*>(x) + bytes, type, rows, dimension, inverse, shift};
}

// Results of problem k.
template <class T, class Block>
HARNESS_DEVICE void write_results(Block& team, const Problem<T>& w, bool bad, bool swapped, std::int64_t k, const Results& out) {
    const int prototypes = swapped ? w.columns : w.rows;
    std::int64_t* columns = out.columns + k * prototypes;
    const std::int32_t* names = swapped ? w.row_of : w.column_of;  // kUnassigned is -1, as in the results
    for (int i = team.rank(); i < prototypes; i += team.size()) columns[i] = bad ? -1 : names[i];
    if (team.rank() != 0) return;
    const std::uint64_t bits = 0x7ff8000000000000u;
    double nan;
    std::memcpy(&nan, &bits, 8);
    out.similarity[k] = bad ? nan : double(w.sums[1]) / kUnit;
    out.gap[k] = bad ? nan : double(w.sums[0] - w.sums[1]) / kUnit;
    out.valid[k] = !bad;
}

// Path searches by the whole team, with as many columns in each member's registers as necessary.
template <class Team>
HARNESS_DEVICE bool find_paths(Team& team, const Problem<std::int32_t>& w) {
    if (w.columns <= 4 * team.size()) return RegisterPaths<4, Team>(team, w).paths();
    if (w.columns <= 8 * team.size()) return RegisterPaths<8, Team>(team, w).paths();
    return paths(team, w);
}
template <class Team>
HARNESS_DEVICE bool find_paths(Team& team, const Problem<std::int64_t>& w) {
    return paths(team, w);
}

// Paths, certificate and ties after the auction; false when prices exceed T.
template <class T, class Block>
HARNESS_DEVICE bool finish(Block& team, const Problem<T>& w) {
    if (team.warp_index() == 0) {
        auto warp = team.warp();
        const bool found = find_paths(warp, w);
        if (warp.rank() == 0) store_volatile(&w.flags[kOverflow], !found);
    }
    team.sync();
    if (load_volatile(&w.flags[kOverflow])) return false;
    certify(team, w);
    if (w.sums[0] == w.sums[1]) minimise_ties(team, w);  // both end with a barrier after their writes
    return true;
}

// From similarities s (n, m) to an assignment, in int64 where int32 is too narrow. `memory` has solver_bytes(n, m) bytes, counts
// (3) is shared by the block. Indices and sums have the same addresses for both types of prices.
template <class Block>
HARNESS_DEVICE Problem<std::int32_t> assign_block(Block& team, const std::int32_t* s, int n, int m, char* memory,
                                                  std::int32_t* counts) {
    if (team.rank() == 0) counts[0] = 0;
    const auto narrow = Problem<std::int32_t>::at(memory, s, n, m);
    const auto problem = [&](int) { return narrow; };
    initialise<std::int32_t>(team, problem, 1, n, m);
    Auction(team, problem, 1, n, m, counts).run(block_schedule());
    if (!finish(team, narrow)) {
        const auto wide = Problem<std::int64_t>::at(memory, s, n, m);
        team.sync();
        initialise<std::int64_t>(team, [&](int) { return wide; }, 1, n, m);
        finish(team, wide);
    }
    return narrow;
}

// Problem k by 256 threads: `rows` (batch, n, dimension) and `columns` (batch, m, dimension), n <= m; `shared` has
// block_bytes(n, m), aligned to 16.
template <class Block>
HARNESS_DEVICE void match_block(Block& team, const void* rows, const void* columns, EntryType type, std::int64_t k, int n, int m,
                                int dimension, bool swapped, char* shared, std::int32_t* counts, const Results& out) {
    std::int32_t* const s = reinterpret_cast<std::int32_t*>(shared);
    char* const rest = shared + align(std::size_t(4) * n * m);

    // 1. Scales and norms of all rows.
    double* const inverse = reinterpret_cast<double*>(rest + kStaging);
    int* const shift = reinterpret_cast<int*>(inverse + n + m);
    const ScaledRows p = scaled_rows(rows, type, k, n, dimension, inverse, shift);
    const ScaledRows t = scaled_rows(columns, type, k, m, dimension, inverse + n, shift + n);
    const auto warp = team.warp();
    const auto operand = [&](int i) { return i < n ? p : t; };
    const auto prefetch = [&](int i, float (&x)[16]) { fetch_row_part(warp, operand(i), i < n ? i : i - n, 0, x); };
    bool bad = false;
    float ahead[16], x[16];
    prefetch(team.warp_index(), ahead);
    for (int i = team.warp_index(); i < n + m; i += team.warps()) {
#pragma unroll
        for (int k = 0; k < 16; ++k) x[k] = ahead[k];
        prefetch(i + team.warps(), ahead);  // zeros beyond the end
        bad |= scan_row(warp, operand(i), i < n ? i : i - n, x, inverse + i, shift + i);
    }
    bad = team.any(bad);

    // 2. Similarities, tile by tile, into shared memory.
    for (int i = 0; i < n; i += kTile)
        for (int j = 0; j < m; j += kTile)
            similarity_tile(team, p, i, t, j, reinterpret_cast<signed char*>(rest),
                            [&](int row, int column, int value) { s[row * m + column] = value; });
    team.sync();

    // 3. The assignment, in the memory of the digits.
    write_results(team, assign_block(team, s, n, m, rest, counts), bad, swapped, k, out);
}

}  // namespace harness
