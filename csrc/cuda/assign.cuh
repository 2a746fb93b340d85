// One assignment problem and its certificate, for a team of threads: the algorithm of cpu/assign.cpp on the GPU.
//
//     slow truth   cpu/assign.cpp
//     shapes       similarities s (n, m) int32, n <= m; Problem lists the state
//
//   1. prices        n = m: the maxima of the columns; n < m: zero
//   2. auction       raises them, and assigns most columns (auction.cuh)
//   3. paths         exchanges along shortest paths for the remaining rows (paths.cuh)
//   4. certificate   gap and tight pairs, from the prices alone
//   5. ties          the lexicographically smallest optimum (ties.cuh)
//
// Whatever the auction leaves, 3 makes optimal, 4 proves and 5 makes unique: the result depends neither on the schedule, nor on
// the size of the team, nor on the order of threads. A row's profit is u_i = max_j s_ij - p_j; "loss" is p_j - s_ij.
#pragma once

#include "cuda/team.cuh"

namespace harness {

enum Mark { kOpen, kClosed, kPassed };                              // of a column, in Problem::closed
enum Flag { kOverflow, kChanged, kTop, kLowest, kFrozen, kFlags };  // indices into Problem::flags

HARNESS_HOST_DEVICE inline std::size_t align(std::size_t bytes) { return (bytes + 15) / 16 * 16; }
HARNESS_HOST_DEVICE inline int words_of(int columns) { return (columns + 31) / 32; }

// Bytes of one problem's state, aligned to 16; Problem::at lays it out.
HARNESS_HOST_DEVICE inline std::size_t solver_bytes(int rows, int columns) {
    const std::size_t n = rows, m = columns, words = words_of(columns);
    return align(8 * (3 * m + 2) + 4 * (3 * m + 2 * n + kFlags + (n + 2) * words));
}

// One problem and its solver's state. `T` is the type of prices: int32, or int64 where that is too narrow.
template <class T>
struct Problem {
    static constexpr T kMax = sizeof(T) == 4 ? T(0x7fffffff) : T(0x7fffffffffffffff);
    static constexpr T kLimit = sizeof(T) == 4 ? T(2 * std::int64_t(kUnit)) : T(std::int64_t(1) << 61);

    const std::int32_t* s;  // (rows, columns), rows <= columns
    int rows, columns, words;
    T* price;                   // (columns); (2, columns) of int32 in the auction
    T* distance;                // (columns) of the current path search
    std::uint64_t* bids;        // (2, columns) in the auction; shares its memory with distance
    std::int64_t* sums;         // dual objective, total
    std::int32_t* row_of;       // (columns) or kUnassigned
    std::int32_t* column_of;    // (rows) or kUnassigned
    std::int32_t* previous;     // (columns) row from which, later column from which a column was reached
    std::int32_t* closed;       // (columns) marks of the path search, later a queue of columns
    std::int32_t* open;         // (rows) not 0: may be on a cycle of exchanges
    std::int32_t* flags;        // (kFlags)
    std::uint32_t* tight;       // (rows, words) bits: an optimum may use (i, j)
    std::uint32_t* releasable;  // (words) bits: an optimum may leave j unmatched
    std::uint32_t* unseen;      // (words) bits

    static HARNESS_DEVICE Problem at(char* memory, const std::int32_t* s, int rows, int columns) {
        Problem w{};
        w.s = s;
        w.rows = rows;
        w.columns = columns;
        w.words = words_of(columns);
        std::int64_t* wide = reinterpret_cast<std::int64_t*>(memory);  // prices and distances have space for int64
        w.price = reinterpret_cast<T*>(wide);
        w.distance = reinterpret_cast<T*>(wide + columns);
        w.bids = reinterpret_cast<std::uint64_t*>(wide + columns);
        w.sums = wide + 3 * columns;
        w.row_of = reinterpret_cast<std::int32_t*>(w.sums + 2);
        w.previous = w.row_of + columns;
        w.closed = w.previous + columns;
        w.column_of = w.closed + columns;
        w.open = w.column_of + rows;
        w.flags = w.open + rows;
        w.tight = reinterpret_cast<std::uint32_t*>(w.flags + kFlags);
        w.releasable = w.tight + std::size_t(rows) * w.words;
        w.unseen = w.releasable + w.words;
        return w;
    }

    HARNESS_DEVICE T loss(int i, int j) const { return price[j] - T(s[std::size_t(i) * columns + j]); }
};

// ---------------------------------------------------------------------------------------------------------- 1. prices

// Initial prices, no assignments, sums zero.
template <class T, class Team, class GetProblem>
HARNESS_DEVICE void initialise(Team& team, const GetProblem& problem, int batch, int rows, int columns) {
    const bool square = rows == columns;
    for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
        const Problem<T> w = problem(int(c / columns));
        const int j = int(c % columns);
        w.price[j] = square ? T(w.s[j]) : T(0);
        w.row_of[j] = kUnassigned;
        if (j == 0) {
            w.sums[0] = w.sums[1] = 0;
            w.flags[kOverflow] = 0;
            w.flags[kLowest] = w.flags[kFrozen] = 0x7fffffff;
        }
    }
    for (std::int64_t r = team.rank(); r < std::int64_t(batch) * rows; r += team.size())
        problem(int(r / rows)).column_of[r % rows] = kUnassigned;
    team.sync();
    if (!square) return;
    constexpr int kPart = 64;  // rows of a column that one member scans
    const std::int64_t parts = (rows + kPart - 1) / kPart;
    for (std::int64_t c = team.rank(); c < batch * parts * columns; c += team.size()) {
        const Problem<T> w = problem(int(c / (parts * columns)));
        const int j = int(c % columns), first = int(c / columns % parts) * kPart, last = first + kPart < rows ? first + kPart : rows;
        std::int32_t top = w.s[std::size_t(first) * columns + j];
        for (int i = first + 1; i < last; ++i) {
            const std::int32_t x = w.s[std::size_t(i) * columns + j];
            top = x > top ? x : top;
        }
        atomic_max(&w.price[j], T(top));
    }
    team.sync();
}

// ----------------------------------------------------------------------------------------------------- 4. certificate

// Row i's part of the sums, and its tight pairs.
template <class T, class Warp>
HARNESS_DEVICE void certify_row(const Warp& warp, const Problem<T>& w, int i) {
    T least = Problem<T>::kMax;
    for (int j = warp.rank(); j < w.columns; j += warp.size()) {
        const T loss = w.loss(i, j);
        least = loss < least ? loss : least;
    }
    least = warp.min(least);
    for (int word = 0; word < w.words; ++word) {
        const std::uint32_t bits = warp.bits([&](int k) { return word * 32 + k < w.columns && w.loss(i, word * 32 + k) == least; });
        if (warp.rank() == 0) w.tight[std::size_t(i) * w.words + word] = bits;
    }
    if (warp.rank() == 0) {
        atomic_add(&w.sums[0], -std::int64_t(least));
        atomic_add(&w.sums[1], w.s[std::size_t(i) * w.columns + w.column_of[i]]);
    }
}

// The part of 32 columns.
template <class T, class Warp>
HARNESS_DEVICE void certify_word(const Warp& warp, const Problem<T>& w, int word) {
    const bool rectangle = w.rows < w.columns;
    const std::uint32_t bits =
        warp.bits([&](int k) { return rectangle && word * 32 + k < w.columns && w.price[word * 32 + k] == 0; });
    if (warp.rank() != 0) return;
    w.releasable[word] = bits;
    std::int64_t sum = 0;
    for (int j = word * 32; j < word * 32 + 32 && j < w.columns; ++j) sum += w.price[j];
    atomic_add(&w.sums[0], sum);
}

template <class T, class Team>
HARNESS_DEVICE void certify(Team& team, const Problem<T>& w) {
    for (int i = team.warp_index(); i < w.rows; i += team.warps()) certify_row(team.warp(), w, i);
    for (int word = team.warp_index(); word < w.words; word += team.warps()) certify_word(team.warp(), w, word);
    team.sync();
}

}  // namespace harness
