// Matching of one problem by one block, from rows of embeddings to columns: the body of the fused kernel.
//
// The product keeps all warps busy; so do auction and certificate. A path search is one long chain of dependent steps, and
// a barrier of the block would be most of each: one warp does it while the others wait.
#pragma once

#include "match_cpu.hpp"
#include "team_auction.hpp"
#include "team_paths.hpp"
#include "team_similarity.hpp"
#include "team_ties.hpp"

namespace harness {

// Shared memory: similarities (n, m) int32, then the larger of: digits and row scales of the product; room of the assignment.
HARNESS_BOTH std::size_t block_bytes(int n, int m) {
    const std::size_t product = kStaging + 12 * std::size_t(n + m), room = room_bytes(n, m);
    return align(4 * std::size_t(n) * m) + align(product > room ? product : room);
}

HARNESS_TEAM Side side_of(const void* x, Type type, std::int64_t problem, int rows, int dimension, const double* inverse,
                          const int* shift) {
    const std::size_t bytes = std::size_t(problem) * rows * dimension * (type == Type::float32 ? 4 : 2);
    return {static_cast<const char*>(x) + bytes, type, rows, dimension, inverse, shift};
}

// Results of problem k.
template <class T, class Block>
HARNESS_TEAM void write_results(Block& team, const Problem<T>& w, bool bad, bool swapped, std::int64_t k, const Results& out) {
    const int prototypes = swapped ? w.columns : w.rows;
    std::int64_t* columns = out.columns + k * prototypes;
    const std::int32_t* names = swapped ? w.row_of : w.column_of;  // kNobody is -1, as in the result
    for (int i = team.rank(); i < prototypes; i += team.size()) columns[i] = bad ? -1 : names[i];
    if (team.rank() != 0) return;
    const std::uint64_t quiet = 0x7ff8000000000000u;
    double nan;
    std::memcpy(&nan, &quiet, 8);
    out.similarity[k] = bad ? nan : double(w.sums[1]) / kOne;
    out.gap[k] = bad ? nan : double(w.sums[0] - w.sums[1]) / kOne;
    out.valid[k] = !bad;
}

// Searches by the team as a whole, with as many columns in each member's registers as it takes.
template <class Team>
HARNESS_TEAM bool find_paths(Team& team, const Problem<std::int32_t>& w) {
    if (w.columns <= 4 * team.size()) return Held<4, Team>(team, w).paths();
    if (w.columns <= 8 * team.size()) return Held<8, Team>(team, w).paths();
    return paths(team, w);
}
template <class Team>
HARNESS_TEAM bool find_paths(Team& team, const Problem<std::int64_t>& w) {
    return paths(team, w);
}

// Paths, certificate and ties of a problem whose auction is over; false when int32 prices do not do.
template <class T, class Block>
HARNESS_TEAM bool finish(Block& team, const Problem<T>& w) {
    if (team.warp_index() == 0) {
        auto warp = team.warp();
        const bool found = find_paths(warp, w);
        if (warp.rank() == 0) write(&w.flags[kOverflow], !found);
    }
    team.sync();
    if (read(&w.flags[kOverflow])) return false;
    certify(team, w);
    if (w.sums[0] == w.sums[1]) lowest(team, w);  // both end with a barrier after what they write
    return true;
}

// Similarities s (n, m) to an assignment, in int64 where int32 is too narrow; `room` has room_bytes(n, m), `counts` three
// places that the block shares. Its indices and sums lie at the same places for both types of prices.
template <class Block>
HARNESS_TEAM Problem<std::int32_t> assign_block(Block& team, const std::int32_t* s, int n, int m, char* room, std::int32_t* counts) {
    if (team.rank() == 0) counts[0] = 0;
    const auto narrow = Problem<std::int32_t>::at(room, s, n, m);
    const auto problem = [&](int) { return narrow; };
    begin<std::int32_t>(team, problem, 1, n, m);
    Auction(team, problem, 1, n, m, counts).run(in_block());
    if (!finish(team, narrow)) {
        const auto wide = Problem<std::int64_t>::at(room, s, n, m);
        team.sync();
        begin<std::int64_t>(team, [&](int) { return wide; }, 1, n, m);
        finish(team, wide);
    }
    return narrow;
}

// Problem k by 256 threads: `rows` (batch, n, dimension) and `columns` (batch, m, dimension), n <= m; `shared` has
// block_bytes(n, m), aligned to 16.
template <class Block>
HARNESS_TEAM void match_block(Block& team, const void* rows, const void* columns, Type type, std::int64_t k, int n, int m,
                              int dimension, bool swapped, char* shared, std::int32_t* counts, const Results& out) {
    std::int32_t* const s = reinterpret_cast<std::int32_t*>(shared);
    char* const rest = shared + align(std::size_t(4) * n * m);

    // 1. Scales and norms of the rows of both sides.
    double* const inverse = reinterpret_cast<double*>(rest + kStaging);
    int* const shift = reinterpret_cast<int*>(inverse + n + m);
    const Side p = side_of(rows, type, k, n, dimension, inverse, shift);
    const Side t = side_of(columns, type, k, m, dimension, inverse + n, shift + n);
    const auto warp = team.warp();
    const auto side = [&](int i) { return i < n ? p : t; };
    const auto look_ahead = [&](int i, float (&x)[16]) { fetch_seen(warp, side(i), i < n ? i : i - n, 0, x); };
    bool bad = false;
    float ahead[16], x[16];
    look_ahead(team.warp_index(), ahead);
    for (int i = team.warp_index(); i < n + m; i += team.warps()) {
#pragma unroll
        for (int k = 0; k < 16; ++k) x[k] = ahead[k];
        look_ahead(i + team.warps(), ahead);  // beyond the end: zeros
        bad |= scan_row(warp, side(i), i < n ? i : i - n, x, inverse + i, shift + i);
    }
    bad = team.any(bad);

    // 2. Similarities, tile by tile, into shared memory.
    for (int i = 0; i < n; i += kTile)
        for (int j = 0; j < m; j += kTile)
            similarity_tile(team, p, i, t, j, reinterpret_cast<signed char*>(rest),
                            [&](int row, int column, int value) { s[row * m + column] = value; });
    team.sync();

    // 3. The assignment, where the digits were.
    write_results(team, assign_block(team, s, n, m, rest, counts), bad, swapped, k, out);
}

}  // namespace harness
