// The assignment of maximum total similarity by a team of threads: assign.cpp's algorithm for the GPU.
//
//   1. prices        N = M: the maxima of the columns; N < M: zero
//   2. auction       rounds in which every free row bids for its best column at once; the highest bid wins, of equal bids
//                    the lowest row's. A bid raises the price by the lead over the second best, plus epsilon. With a
//                    positive epsilon this only prepares prices, and all rows are released afterwards
//   3. paths         as in assign.cpp; each step, the team looks at one row together. Where N < M, a column that ends
//                    unmatched must have price 0: what epsilon left above, searches from below take away
//   4. certificate   gap and tight pairs, from the prices alone
//   5. ties          the lexicographically smallest optimum (team_ties.hpp)
//
// Whatever the auction leaves, 3 makes optimal, 4 proves and 5 makes unique: the result does not depend on the schedule, on
// the size of the team, or on who came first. A row's profit is u_i = max_j s_ij - p_j; "loss" is p_j - s_ij.
#pragma once

#include "team.hpp"

namespace harness {

constexpr std::int32_t kOne = 1 << 28;  // 1.0 in Q3.28; no similarity is larger
constexpr int kNobody = -1;

HARNESS_BOTH std::size_t align(std::size_t bytes) { return (bytes + 15) / 16 * 16; }
HARNESS_BOTH int words_of(int columns) { return (columns + 31) / 32; }

// Bytes of the room of one problem, aligned to 16; Problem::at divides it.
HARNESS_BOTH std::size_t room_bytes(int rows, int columns) {
    const std::size_t n = rows, m = columns, words = words_of(columns);
    return align(8 * (3 * m + 2) + 4 * (3 * m + 2 * n + 4 + (n + 2) * words));
}

// One problem and the room that its solution needs. `T` is the type of prices: int32, or int64 where that is too narrow.
template <class T>
struct Problem {
    static constexpr T most = sizeof(T) == 4 ? T(0x7fffffff) : T(0x7fffffffffffffff);
    static constexpr T limit = sizeof(T) == 4 ? T(2 * std::int64_t(kOne)) : T(std::int64_t(1) << 61);

    const std::int32_t* s;  // (rows, columns), rows <= columns
    int rows, columns, words;
    T* price;                   // (columns)
    T* distance;                // (columns) in the current path search
    std::uint64_t* bid;         // (columns) best bid of this round, 0 for none
    std::int64_t* sums;         // dual objective, total
    std::int32_t* row_of;       // (columns) kNobody: free
    std::int32_t* column_of;    // (rows) kNobody: free
    std::int32_t* previous;     // (columns) row from which, later column from which a column was reached
    std::int32_t* closed;       // (columns) marks of the path search, later a queue of columns
    std::int32_t* open;         // (rows) not 0: may be on a cycle of exchanges
    std::int32_t* flags;        // 4: see kOverflow ...
    std::uint32_t* tight;       // (rows, words) bits: an optimum may use (i, j)
    std::uint32_t* releasable;  // (words) bits: an optimum may leave j unmatched
    std::uint32_t* unseen;      // (words) bits

    static HARNESS_TEAM Problem at(char* room, const std::int32_t* s, int rows, int columns) {
        Problem w{};
        w.s = s;
        w.rows = rows;
        w.columns = columns;
        w.words = words_of(columns);
        std::int64_t* wide = reinterpret_cast<std::int64_t*>(room);  // prices and distances have room for int64
        w.price = reinterpret_cast<T*>(wide);
        w.distance = reinterpret_cast<T*>(wide + columns);
        w.bid = reinterpret_cast<std::uint64_t*>(wide + 2 * columns);
        w.sums = wide + 3 * columns;
        w.row_of = reinterpret_cast<std::int32_t*>(w.sums + 2);
        w.previous = w.row_of + columns;
        w.closed = w.previous + columns;
        w.column_of = w.closed + columns;
        w.open = w.column_of + rows;
        w.flags = w.open + rows;
        w.tight = reinterpret_cast<std::uint32_t*>(w.flags + 4);
        w.releasable = w.tight + std::size_t(rows) * w.words;
        w.unseen = w.releasable + w.words;
        return w;
    }

    HARNESS_TEAM T loss(int i, int j) const { return price[j] - T(s[std::size_t(i) * columns + j]); }
};

enum Mark { kOpen, kClosed, kPassed };              // of a column, in Problem::closed
enum Flag { kOverflow, kChanged, kTop, kLowest };  // places in Problem::flags

// ---------------------------------------------------------------------------------------------------------- 1. prices

// All rows and columns become free; in a batch of problems at once: problem(k) is the k-th.
template <class Team, class Get>
HARNESS_TEAM void release(Team& team, const Get& problem, int batch, int rows, int columns) {
    for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size())
        problem(int(c / columns)).row_of[c % columns] = kNobody;
    for (std::int64_t r = team.rank(); r < std::int64_t(batch) * rows; r += team.size())
        problem(int(r / rows)).column_of[r % rows] = kNobody;
    team.sync();
}

// N < M, after an auction: the cheapest matched column gets price 0, the others keep their distance from it; unmatched
// columns, which nobody wanted at the prices of now, begin at 0 again (Bertsekas and Castanon 1992 keep them below the
// cheapest matched one).
template <class Team, class Get>
HARNESS_TEAM void sink(Team& team, const Get& problem, int batch, int columns) {
    for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
        const auto w = problem(int(c / columns));
        if (w.row_of[c % columns] != kNobody) keep_smallest(&w.flags[kLowest], w.price[c % columns]);
    }
    team.sync();
    for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
        const auto w = problem(int(c / columns));
        const int j = int(c % columns);
        w.price[j] = w.row_of[j] == kNobody ? 0 : w.price[j] - read(&w.flags[kLowest]);
    }
    team.sync();
    for (std::int64_t k = team.rank(); k < batch; k += team.size()) write(&problem(int(k)).flags[kLowest], 0x7fffffff);
    team.sync();
}

// Prices of the start, everything free, sums zero.
template <class T, class Team, class Get>
HARNESS_TEAM void begin(Team& team, const Get& problem, int batch, int rows, int columns) {
    const bool square = rows == columns;
    for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
        const Problem<T> w = problem(int(c / columns));
        const int j = int(c % columns);
        w.price[j] = square ? T(w.s[j]) : T(0);
        w.bid[j] = 0;
        if (j == 0) {
            w.sums[0] = w.sums[1] = 0;
            w.flags[kOverflow] = 0;
            w.flags[kLowest] = 0x7fffffff;
        }
    }
    release(team, problem, batch, rows, columns);
    if (!square) return;
    constexpr int kPart = 64;  // rows of a column that one member looks at
    const std::int64_t parts = (rows + kPart - 1) / kPart;
    for (std::int64_t c = team.rank(); c < batch * parts * columns; c += team.size()) {
        const Problem<T> w = problem(int(c / (parts * columns)));
        const int j = int(c % columns), first = int(c / columns % parts) * kPart, last = first + kPart < rows ? first + kPart : rows;
        std::int32_t top = w.s[std::size_t(first) * columns + j];
        for (int i = first + 1; i < last; ++i) {
            const std::int32_t x = w.s[std::size_t(i) * columns + j];
            top = x > top ? x : top;
        }
        keep_largest(&w.price[j], T(top));
    }
    team.sync();
}

// --------------------------------------------------------------------------------------------------------- 2. auction

// Rounds of bids, until at most `enough` rows of the batch bid; how many did in the last one. int32 prices: a bid is one
// word, price then row. `counts` has three places.
template <class Team, class Get>
HARNESS_TEAM int auction(Team& team, const Get& problem, int batch, int rows, int columns, std::int32_t epsilon, int rounds,
                          int enough, std::int32_t* counts) {
    using T = std::int32_t;
    constexpr std::int64_t bias = std::int64_t(4) * kOne;  // makes every price positive
    const auto warp = team.warp();
    int bids = 0;
    if (columns == 1) return bids;  // no second best
    if (team.rank() == 0) counts[0] = 0;
    team.sync();
    for (int round = 0; round < rounds; ++round) {
        for (std::int64_t r = team.warp_index(); r < std::int64_t(batch) * rows; r += team.warps()) {
            const Problem<T> w = problem(int(r / rows));
            const int i = int(r % rows);
            if (w.column_of[i] != kNobody) continue;
            T first = Problem<T>::most, second = first;
            int where = 0x7fffffff;
            for (int j = warp.rank(); j < columns; j += warp.size()) {
                const T loss = w.loss(i, j);
                if (loss < first) {
                    second = first;
                    first = loss;
                    where = j;
                } else if (loss < second) {
                    second = loss;
                }
            }
            const T least = warp.least(first);
            const int best = warp.least(std::int32_t(first == least ? where : 0x7fffffff));
            const T runner_up = warp.least(where == best ? second : first);
            const std::int64_t offer = std::int64_t(w.price[best]) + (runner_up - least) + epsilon;
            const bool idle = epsilon == 0 && runner_up == least && w.row_of[best] != kNobody;  // would change nothing
            if (!idle && offer <= Problem<T>::limit && warp.rank() == 0) {
                keep_largest(&w.bid[best], std::uint64_t(offer + bias) << 32 | (0xffffffffu - std::uint32_t(i)));
                fetch_add(&counts[round % 3], 1);
            }
        }
        if (team.rank() == 0) write(&counts[(round + 1) % 3], 0);
        team.sync();
        bids = read(&counts[round % 3]);
        for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
            const Problem<T> w = problem(int(c / columns));
            const int j = int(c % columns);
            const std::uint64_t bid = w.bid[j];
            if (bid == 0) continue;
            const int winner = int(0xffffffffu - std::uint32_t(bid)), loser = w.row_of[j];
            if (loser != kNobody) w.column_of[loser] = kNobody;
            w.column_of[winner] = j;
            w.row_of[j] = winner;
            w.price[j] = T(std::int64_t(bid >> 32) - bias);
            w.bid[j] = 0;
        }
        team.sync();
        if (bids <= enough) break;
    }
    return bids;
}

// Epsilon of each phase of a large problem's auction, in units of 2^-28. Chosen by counting rounds and steps for
// 1000 x 1000 on threads of the CPU (about 420 rounds and 1,800 steps for CLIP-like problems, against 23,000 steps without
// auction); not tuned on a GPU.
constexpr int kPhases = 5;
HARNESS_TEAM std::int32_t phase_epsilon(int phase) { return 1 << (23 - 3 * phase); }
HARNESS_TEAM int few(int rows) { return rows / 128; }  // a phase ends when no more rows than this still bid,
constexpr int kPhaseRounds = 600;                      // or after so many rounds
constexpr int kLastRounds = 32;

// The auction of large problems: from coarse to fine, which shortens the chain of dependent steps in 3. A rectangle needs it
// only if rows compete for columns, that is, if many still bid after some rounds without epsilon. (Steps, counted as above:
// CLIP-like 900 x 1000 27,100 without, 5,100 with phases; 990 x 1000 71,800 and 4,600; 300 x 1000 27, where phases would
// cost 3,000.)
template <class Team, class Get>
HARNESS_TEAM void scaled_auction(Team& team, const Get& problem, int batch, int rows, int columns, std::int32_t* counts) {
    if (rows < columns && auction(team, problem, batch, rows, columns, 0, kLastRounds, 0, counts) <= batch * (rows / 4)) return;
    for (int phase = 0; phase < kPhases; ++phase) {
        if (rows < columns) sink(team, problem, batch, columns);
        release(team, problem, batch, rows, columns);
        auction(team, problem, batch, rows, columns, phase_epsilon(phase), kPhaseRounds, batch * few(rows), counts);
    }
    if (rows < columns) sink(team, problem, batch, columns);
    release(team, problem, batch, rows, columns);
    auction(team, problem, batch, rows, columns, 0, kLastRounds, 0, counts);
}

// ----------------------------------------------------------------------------------------------------------- 3. paths

// The exchange along the path that ends at column `end`.
template <class T>
HARNESS_TEAM void exchange_along(const Problem<T>& w, int start, int end) {
    for (int j = end;;) {
        const int row = w.previous[j];
        if (row == w.rows) {  // the row that does not exist: see augment
            w.row_of[j] = kNobody;
            return;
        }
        const int left = w.column_of[row];
        w.row_of[j] = row;
        w.column_of[row] = j;
        if (row == start) return;
        j = left;
    }
}

// From row `start` to the nearest free column, and the exchange along this path; false when a number leaves its range.
//
// start = w.rows is a row that does not exist, of similarity 0, in whose place a column is unmatched. Its search begins at
// the prices, passes over unmatched columns of price 0 and ends at one above: all prices sink by as much as the search went
// past them, the path is exchanged, and the column where it began, then at price 0, is unmatched instead.
template <class T, class Team>
HARNESS_TEAM bool augment(Team& team, const Problem<T>& w, int start) {
    const bool below = start == w.rows;
    Least<T> best{Problem<T>::most, 0x7fffffff};
    for (int j = team.rank(); j < w.columns; j += team.size()) {
        w.distance[j] = below ? w.price[j] : Problem<T>::most;
        w.previous[j] = start;
        w.closed[j] = below && w.row_of[j] == kNobody && w.price[j] == 0 ? kPassed : kOpen;
        if (below) continue;
        const T loss = w.loss(start, j);
        if (loss < best.value) best = {loss, j};
    }
    T offset = below ? T(0) : -team.least(best).value;
    for (int i = start;;) {
        best = {Problem<T>::most, 0x7fffffff};
        for (int j = team.rank(); j < w.columns; j += team.size()) {  // a column belongs to one member throughout
            if (w.closed[j]) continue;
            T known = w.distance[j];
            if (i < w.rows) {
                const T through = offset + w.loss(i, j);
                if (through < known) {
                    w.distance[j] = known = through;
                    w.previous[j] = i;
                }
            }
            if (known < best.value) best = {known, j};
        }
        best = team.least(best);
        if (best.value > Problem<T>::limit) return false;
        if (w.row_of[best.where] == kNobody) break;
        if (best.where % team.size() == team.rank()) w.closed[best.where] = kClosed;
        i = w.row_of[best.where];
        offset = best.value - w.loss(i, best.where);
    }
    for (int j = team.rank(); j < w.columns; j += team.size()) {
        const T past = w.distance[j] < best.value ? best.value - w.distance[j] : T(0);
        if (below)
            w.price[j] -= w.closed[j] == kPassed ? T(0) : best.value - past;
        else if (w.closed[j] == kClosed)
            w.price[j] += past;
        if (w.price[j] > Problem<T>::limit) keep_largest(&w.flags[kOverflow], 1);
    }
    team.sync();  // everyone has seen that the column is free
    if (team.rank() == 0) exchange_along(w, start, best.where);
    team.sync();
    return !read(&w.flags[kOverflow]);
}

template <class T, class Team>
HARNESS_TEAM bool paths(Team& team, const Problem<T>& w) {
    for (int i = 0; i < w.rows; ++i)
        if (w.column_of[i] == kNobody && !augment(team, w, i)) return false;
    if (w.rows == w.columns) return true;
    for (int j = 0; j < w.columns; ++j)
        while (w.row_of[j] == kNobody && w.price[j] > 0)
            if (!augment(team, w, w.rows)) return false;
    return true;
}

// paths by one warp for at most 32 * `count` columns: a lane holds prices and distances of its columns in registers, and
// the loss of the row that is matched with each, so that a step is one row of similarities and one reduction. Needs prices
// that are zero on unmatched columns, where N < M.
template <int count, class Warp>
HARNESS_TEAM bool augment_held(const Warp& warp, const Problem<std::int32_t>& w, int start) {
    using T = std::int32_t;
    T price[count], distance[count], matched[count];
    int owner[count];
    std::uint32_t open = 0, closed = 0;
    T least = Problem<T>::most;
    HARNESS_UNROLL
    for (int k = 0; k < count; ++k) {
        const int j = 32 * k + warp.rank();
        const bool exists = j < w.columns;
        price[k] = exists ? w.price[j] : 0;
        distance[k] = Problem<T>::most;
        owner[k] = exists ? w.row_of[j] : kNobody;
        matched[k] = owner[k] == kNobody ? 0 : w.loss(owner[k], j);
        open |= std::uint32_t(exists) << k;
        const T loss = exists ? w.loss(start, j) : Problem<T>::most;
        least = loss < least ? loss : least;
    }
    T offset = -warp.least(least), length;
    for (int i = start, lane;;) {
        const std::int32_t* const row = w.s + std::size_t(i) * w.columns + warp.rank();
        T best = Problem<T>::most, best_matched = 0;
        int where = 0, best_owner = kNobody;
        HARNESS_UNROLL
        for (int k = 0; k < count; ++k) {
            const T x = 32 * k + warp.rank() < w.columns ? row[32 * k] : 0;
            if (!(open >> k & 1)) continue;
            const T through = offset + (price[k] - x);
            if (through < distance[k]) {
                distance[k] = through;
                w.previous[32 * k + warp.rank()] = i;
            }
            if (distance[k] < best) {
                best = distance[k];
                where = k;
                best_owner = owner[k];
                best_matched = matched[k];
            }
        }
        length = warp.least(best);
        if (length > Problem<T>::limit) return false;
        lane = warp.first(best == length);
        i = warp.from(lane, best_owner);
        if (i == kNobody) {
            warp.sync();  // `previous` is complete
            if (warp.rank() == lane) exchange_along(w, start, 32 * where + lane);
            break;
        }
        offset = length - warp.from(lane, best_matched);
        if (warp.rank() == lane) {
            open &= ~(1u << where);
            closed |= 1u << where;
        }
    }
    bool over = false;
    HARNESS_UNROLL
    for (int k = 0; k < count; ++k)
        if (closed >> k & 1) {
            price[k] += length - distance[k];
            w.price[32 * k + warp.rank()] = price[k];
            over |= price[k] > Problem<T>::limit;
        }
    const bool any_over = warp.first(over) >= 0;
    warp.sync();
    return !any_over;
}

template <int count, class Warp>
HARNESS_TEAM bool paths_held(const Warp& warp, const Problem<std::int32_t>& w) {
    for (int i = 0; i < w.rows; ++i)
        if (w.column_of[i] == kNobody && !augment_held<count>(warp, w, i)) return false;
    return true;
}

// ----------------------------------------------------------------------------------------------------- 4. certificate

// Row i's part of the sums, and its tight pairs.
template <class T, class Warp>
HARNESS_TEAM void certify_row(const Warp& warp, const Problem<T>& w, int i) {
    T least = Problem<T>::most;
    for (int j = warp.rank(); j < w.columns; j += warp.size()) {
        const T loss = w.loss(i, j);
        least = loss < least ? loss : least;
    }
    least = warp.least(least);
    for (int word = 0; word < w.words; ++word) {
        const std::uint32_t bits = warp.bits([&](int k) { return word * 32 + k < w.columns && w.loss(i, word * 32 + k) == least; });
        if (warp.rank() == 0) w.tight[std::size_t(i) * w.words + word] = bits;
    }
    if (warp.rank() == 0) {
        add(&w.sums[0], -std::int64_t(least));
        add(&w.sums[1], w.s[std::size_t(i) * w.columns + w.column_of[i]]);
    }
}

// The columns' part: 32 columns at a time.
template <class T, class Warp>
HARNESS_TEAM void certify_word(const Warp& warp, const Problem<T>& w, int word) {
    const bool rectangle = w.rows < w.columns;
    const std::uint32_t bits =
        warp.bits([&](int k) { return rectangle && word * 32 + k < w.columns && w.price[word * 32 + k] == 0; });
    if (warp.rank() != 0) return;
    w.releasable[word] = bits;
    std::int64_t sum = 0;
    for (int j = word * 32; j < word * 32 + 32 && j < w.columns; ++j) sum += w.price[j];
    add(&w.sums[0], sum);
}

template <class T, class Team>
HARNESS_TEAM void certify(Team& team, const Problem<T>& w) {
    for (int i = team.warp_index(); i < w.rows; i += team.warps()) certify_row(team.warp(), w, i);
    for (int word = team.warp_index(); word < w.words; word += team.warps()) certify_word(team.warp(), w, word);
    team.sync();
}

}  // namespace harness
