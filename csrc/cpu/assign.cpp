// The assignment of maximum total similarity S of N rows to M >= N columns (Jonker and Volgenant 1987; Crouse 2016).
//
// Slow truth: scipy.optimize.linear_sum_assignment(-S). Prices p (M) of the columns are the dual variables; the profit of a
// row is u_i = max_j S_ij - p_j. The dual objective sum(u) + sum(p) bounds every assignment from above as long as p >= 0
// (any sign when N = M), and meets the optimum.
//
//   1. prices        N = M: p_j = max_i S_ij, each row starts with at most one column where it is the maximum; N < M: p = 0
//   2. scaling       N = M >= 64 and many rows still free: rounds of bids that raise a price by epsilon more than necessary, from
//                    a 64th of the range of S to about an (8 N)th (Bertsekas 1988). Only the prices survive: they shorten the
//                    paths
//   3. bidding       each free row takes its best column and raises its price by the lead over the second best; the row that
//                    lost it bids next. About two bids per row: on CLIP-like matrices, more cost more time than they save on paths
//   4. paths         each row that is still free: Dijkstra over the columns with the lengths u_i - (S_ij - p_j), which are
//                    never negative, to the nearest free column; prices on the way rise just enough for that. Of
//                    equally near columns a free one comes first: with many ties, it ends the search at once
//   5. certificate   u from the prices and one pass over S: gap = sum(u) + sum(p) - total
//   6. ties          the lexicographically smallest of all optima (ties.cpp), so that the result is a function of S alone
//
// Prices and distances are int32. Entries within 2^28 (cosines) leave room for both up to 2^29, that is 2.0; a problem that
// exceeds this is solved again in int64.

#include "cpu/assign.hpp"

#include <algorithm>
#include <limits>

#include "common.hpp"
#include "cpu/simd.hpp"
#include "cpu/ties.hpp"

namespace harness {

namespace {

constexpr int kScaledRows = 64;  // rows from which scaling saves more time on paths than it takes
constexpr int kOwnedBit = 30, kOwned = 1 << kOwnedBit;

template <class T, int bytes>
struct Solver {
    using W = Simd<T, bytes>;
    using V = typename W::Vector;
    static constexpr T kMost = std::numeric_limits<T>::max();
    static constexpr T kLeast = std::numeric_limits<T>::min();
    // With entries up to kLargest, no sum below overflows T:
    static constexpr T kLargest = T(1) << (8 * sizeof(T) - 4);
    static_assert(kLargest >= kUnit);
    static constexpr T kLimit = 2 * kLargest;    // prices and path lengths beyond this end the attempt
    static constexpr T kPadding = 3 * kLargest;  // price of padding columns: no real column loses more

    const std::int32_t* s;
    int rows, columns, stride;
    std::int64_t steps;
    AlignedVector<T> price, distance, closed;
    AlignedVector<T> rank;  // of column j on paths: j while it is free, j + kOwned afterwards
    AlignedVector<std::int32_t> column_of, row_of, previous, waiting, next, reached;

    struct Best {
        T first, second;
        int column;
    };

    HARNESS_INLINE const std::int32_t* row(int i) const { return s + std::size_t(i) * stride; }
    HARNESS_INLINE T value(int i, int j) const { return T(row(i)[j]) - price[j]; }

    // The best and second best of S_ij - p_j over the columns of row i, lowest column first among equals.
    HARNESS_INLINE Best best(int i) {
        ++steps;
        V first = W::broadcast(kMost), second = W::broadcast(kMost), where{}, j = W::iota();
        for (int k = 0; k < stride; k += W::lanes, j += W::lanes) {
            const V loss = W::load(&price[k]) - load_as<T, bytes>(row(i) + k);
            where = loss < first ? j : where;
            second = W::min(second, W::max(first, loss));
            first = W::min(first, loss);
        }
        const T least = W::reduce_min(first);
        const V winners = first == least;  // lanes; usually one. These reductions are independent
        const T column = W::reduce_min(winners ? where : W::broadcast(kMost));
        const T last = -W::reduce_min(winners ? -where : W::broadcast(kMost));
        const T runner_up = column == last ? W::reduce_min(winners ? second : first) : least;
        return {T(-least), T(-runner_up), int(column)};
    }

    // The lowest free column where row i has its least loss, `loss`; kUnassigned when there is none.
    HARNESS_INLINE int free_column(int i, T loss) {
        ++steps;
        V where = W::broadcast(kMost), j = W::iota();
        for (int k = 0; k < stride; k += W::lanes, j += W::lanes) {
            const V free = load_as<T, bytes>(&row_of[k]) < 0 ? j : W::broadcast(kMost);
            where = W::min(where, W::load(&price[k]) - load_as<T, bytes>(row(i) + k) == loss ? free : W::broadcast(kMost));
        }
        const T lowest = W::reduce_min(where);
        return lowest < columns ? int(lowest) : kUnassigned;  // otherwise padding
    }

    HARNESS_INLINE void prepare() {
        price.assign(stride, kPadding);
        std::fill(price.begin(), price.begin() + columns, T(0));
        column_of.assign(rows, kUnassigned);
        row_of.assign(stride, kUnassigned);
        distance.resize(stride);
        closed.resize(stride);
        rank.resize(stride);
        previous.resize(stride);
    }

    // Starts from the maxima of the columns; returns the range of the similarities.
    HARNESS_INLINE T column_maxima() {
        using I = Simd<std::int32_t, bytes>;
        AlignedVector<std::int32_t>& top = next;
        AlignedVector<std::int32_t>& who = previous;
        top.assign(s, s + stride);
        std::fill(who.begin(), who.end(), 0);
        typename I::Vector low = I::broadcast(*s);
        for (int i = 0; i < rows; ++i)
            for (int k = 0; k < stride; k += I::lanes) {
                const typename I::Vector x = I::load(row(i) + k), t = I::load(&top[k]), more = x > t;
                I::store(&top[k], more ? x : t);
                I::store(&who[k], more ? I::broadcast(i) : I::load(&who[k]));
                low = I::min(low, x);
            }
        for (int j = 0; j < columns; ++j) {
            price[j] = top[j];
            if (column_of[who[j]] == kUnassigned) {
                column_of[who[j]] = j;
                row_of[j] = who[j];
            }
        }
        return T(*std::max_element(top.begin(), top.begin() + columns)) - I::reduce_min(low);
    }

    HARNESS_INLINE void release() {
        std::fill(column_of.begin(), column_of.end(), kUnassigned);
        std::fill(row_of.begin(), row_of.end(), kUnassigned);
    }

    HARNESS_INLINE void scale(T range) {
        if (rows < kScaledRows || std::count(column_of.begin(), column_of.end(), kUnassigned) <= rows / 8) return;
        for (int part = 64; part <= 4096 && part <= 8 * rows; part *= 4) {
            release();
            waiting.resize(rows);
            for (int i = 0; i < rows; ++i) waiting[i] = rows - 1 - i;
            for (int budget = 8 * rows; budget > 0 && int(waiting.size()) > rows / 64; --budget) {
                const int i = waiting.back();
                const Best b = best(i);
                const T raised = price[b.column] + (b.first - b.second) + std::max(range / part, T(1));
                if (raised > kLimit / 2) return release();  // beyond the range of prices: stop scaling
                waiting.pop_back();
                price[b.column] = raised;
                if (row_of[b.column] != kUnassigned) waiting.push_back(row_of[b.column]);
                row_of[b.column] = i;
            }
        }
        release();
    }

    // Bids of the free rows; false when a price exceeds kLimit.
    HARNESS_INLINE bool bid() {
        waiting.clear();
        for (int i = 0; i < rows; ++i)
            if (column_of[i] == kUnassigned) waiting.push_back(i);
        const int rounds = rows == columns ? 1 : 2;
        for (int round = 0; round < rounds; ++round) {
            next.clear();
            int budget = rows;
            for (int bidder : waiting) {
                for (int i = bidder; i != kUnassigned;) {
                    const Best b = best(i);
                    int j = b.column;
                    if (b.first == b.second && row_of[j] != kUnassigned) {  // a tie: another best column may be free
                        const int other = free_column(i, -b.first);
                        if (other != kUnassigned) j = other;
                    }
                    if (row_of[j] != kUnassigned && (b.first == b.second || --budget < 0)) {
                        next.push_back(i);  // no gain, or bids used up: left to the paths
                        break;
                    }
                    price[j] += b.first - b.second;
                    if (price[j] > kLimit) return false;
                    const int loser = row_of[j];
                    row_of[j] = i;
                    column_of[i] = j;
                    if (loser != kUnassigned) column_of[loser] = kUnassigned;
                    i = loser;
                }
            }
            waiting.swap(next);
        }
        return true;
    }

    // Shortest path from a free row to a free column, then the exchange along it; false when a length exceeds kLimit.
    HARNESS_INLINE bool augment(int start) {
        std::fill(distance.begin(), distance.end(), kMost);
        std::fill(closed.begin(), closed.begin() + columns, kLeast);
        std::fill(closed.begin() + columns, closed.end(), kMost);
        reached.clear();
        int i = start, end;
        T offset = best(i).first, length = 0;
        for (;;) {
            ++steps;
            V least = W::broadcast(kMost), where = least;
            const V shift = W::broadcast(offset);
            for (int k = 0; k < stride; k += W::lanes) {
                const V through = shift + (W::load(&price[k]) - load_as<T, bytes>(row(i) + k));
                const V old = W::load(&distance[k]);
                const V shorter = through < old;
                const V now = shorter ? through : old;
                W::store(&distance[k], now);
                set_previous(k, shorter, i);
                const V shut = W::load(&closed[k]);
                const V open = now < shut ? shut : now;
                const V ranks = W::load(&rank[k]);
                const V nearer = open <= least - (ranks >> kOwnedBit);  // or equally near, and free
                least = nearer ? open : least;
                where = nearer ? ranks : where;
            }
            length = W::reduce_min(least);
            if (length > kLimit) return false;
            end = int(W::reduce_min(least == length ? where : W::broadcast(kMost)));
            if (end < kOwned) break;
            end -= kOwned;
            closed[end] = kMost;
            reached.push_back(end);
            i = row_of[end];
            offset = length + value(i, end);
        }
        for (int j : reached) {
            price[j] += length - distance[j];
            if (price[j] > kLimit) return false;
        }
        rank[end] += kOwned;
        for (int j = end;;) {
            const int i = previous[j];
            row_of[j] = i;
            std::swap(column_of[i], j);
            if (i == start) return true;
        }
    }

    // previous[k...] = i where `shorter`.
    HARNESS_INLINE void set_previous(int k, V shorter, int i) {
        typedef std::int32_t Indices __attribute__((vector_size(4 * W::lanes), aligned(4), may_alias));
        Indices& old = *reinterpret_cast<Indices*>(&previous[k]);
        old = __builtin_convertvector(shorter, Indices) ? Indices{} + i : old;
    }

    HARNESS_INLINE bool solve() {
        prepare();
        steps = 0;
        if (columns == 1) {  // one row, one column, no second best
            column_of[0] = 0;
            row_of[0] = 0;
            return true;
        }
        if (rows == columns) {
            scale(column_maxima());
        }
        if (!bid()) return false;
        for (int j = 0; j < stride; ++j) rank[j] = T(j) + (j < columns && row_of[j] == kUnassigned ? 0 : kOwned);
        for (std::size_t k = 0; k < waiting.size(); ++k)
            if (!augment(waiting[k])) return false;
        return true;
    }

    // The gap, and the graph of tight pairs: bit j of row i is set where S_ij - p_j = u_i, so that an optimum may use (i, j).
    HARNESS_INLINE void certify(Assignment& found, TightGraph& graph) {
        const int words = (columns + 63) / 64;
        graph.reset(rows, columns, words);
        std::int64_t dual = 0;
        found.total = 0;
        for (int j = 0; j < columns; ++j) {
            dual += std::int64_t(price[j]);
            if (rows < columns && price[j] == 0) graph.releasable[j / 64] |= std::uint64_t(1) << (j % 64);
        }
        for (int i = 0; i < rows; ++i) {
            V least = W::broadcast(kMost);
            for (int k = 0; k < stride; k += W::lanes) {
                const V loss = W::load(&price[k]) - load_as<T, bytes>(row(i) + k);
                least = loss < least ? loss : least;
            }
            const T loss = W::reduce_min(least);
            dual -= std::int64_t(loss);
            found.total += row(i)[column_of[i]];
            for (int word = 0; word < words; ++word) {
                V equal{};
                const int from = word * 64, to = std::min(from + 64, stride);
                for (int k = from; k < to; k += W::lanes) equal |= (W::load(&price[k]) - load_as<T, bytes>(row(i) + k)) == loss;
                if (W::reduce_min(equal) == 0) continue;
                std::uint64_t bits = 0;
                for (int j = from; j < std::min(from + 64, columns); ++j) bits |= std::uint64_t(value(i, j) == -loss) << (j - from);
                graph.tight[std::size_t(i) * words + word] = bits;
            }
        }
        found.gap = dual - found.total;
        found.column_of_row.assign(column_of.begin(), column_of.end());
        found.steps = steps;
    }
};

struct Matrix {
    const std::int32_t* s;
    int rows, columns;
};

// Each thread has one solver of each type, whose buffers are reused.
template <class Solver>
__attribute__((noinline)) Solver& thread_solver() {
    static thread_local Solver solver;
    return solver;
}

// False when T is too narrow.
template <class T>
struct Solve {
    template <int bytes>
    static HARNESS_INLINE bool run(const Matrix& matrix, Assignment& found, TightGraph& graph) {
        // GCC 12 fails with an internal error on masks of 64 bytes of int64
        auto& solver = thread_solver<Solver<T, sizeof(T) == 8 ? std::min(bytes, 32) : bytes>>();
        solver.s = matrix.s;
        solver.rows = matrix.rows;
        solver.columns = matrix.columns;
        solver.stride = padded(matrix.columns);
        if (!solver.solve()) return false;
        solver.certify(found, graph);
        return true;
    }
};

}  // namespace

void assign(const std::int32_t* similarity, int rows, int columns, std::int64_t largest, Assignment& found) {
    static thread_local TightGraph graph;
    const Matrix matrix{similarity, rows, columns};
    if (largest > kUnit || !dispatch<Solve<std::int32_t>>(matrix, found, graph))
        dispatch<Solve<std::int64_t>>(matrix, found, graph);
    if (found.gap == 0) graph.minimise(found.column_of_row);
}

}  // namespace harness
