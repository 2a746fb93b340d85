// Shortest augmenting paths by a team of threads (Jonker and Volgenant 1987).
//
//     slow truth   Solver::augment of cpu/assign.cpp
//     algorithm    from a free row to the nearest free column, through rows that would move; each step, the team scans one row.
//                  The chain of steps dominates the time of large problems: RegisterPaths keeps a step's state in registers.
//                  Where n < m, an unmatched column must have price 0: searches from below lower those that epsilon left above
#pragma once

#include "cuda/assign.cuh"

namespace harness {

// The lowest index in [from, end) that passes the test; `end` for none.
template <class Team, class Test>
HARNESS_DEVICE int find_next(Team& team, int from, int end, const Test& test) {
    for (; from < end; from += team.size()) {
        const int k = from + team.rank();
        const std::int32_t found = team.min(ArgMin<std::int32_t>{k < end && test(k) ? k : end, 0}).value;
        if (found < end) return found;
    }
    return end;
}

// Exchanges along the path that ends at column `end`, by one thread. Calls moved(to, from) for every row that leaves column
// `from` for column `to`; the row that had none comes last, with from = kUnassigned.
template <class T, class Moved>
HARNESS_DEVICE void exchange_along(const Problem<T>& w, int start, int end, const Moved& moved) {
    for (int j = end;;) {
        const int row = w.previous[j];
        if (row == w.rows) {  // the virtual row: see augment
            w.row_of[j] = kUnassigned;
            return;
        }
        const int left = row == start ? kUnassigned : w.column_of[row];
        moved(j, left);
        w.row_of[j] = row;
        w.column_of[row] = j;
        if (row == start) return;
        j = left;
    }
}

// Searches from row `start` to the nearest free column and exchanges along this path; false when a number exceeds its range.
//
// start = w.rows is a virtual row of similarity 0, which represents an unmatched column. Its search begins at the prices, skips
// unmatched columns of price 0 and ends at one above: prices decrease by as much as the search went past them, the path is
// exchanged, and the column where it began, now of price 0, becomes unmatched instead.
template <class T, class Team>
HARNESS_DEVICE bool augment(Team& team, const Problem<T>& w, int start) {
    const bool below = start == w.rows;
    ArgMin<T> best{Problem<T>::kMax, 0x7fffffff};
    for (int j = team.rank(); j < w.columns; j += team.size()) {
        w.distance[j] = below ? w.price[j] : Problem<T>::kMax;
        w.previous[j] = start;
        w.closed[j] = below && w.row_of[j] == kUnassigned && w.price[j] == 0 ? kPassed : kOpen;
        if (below) continue;
        const T loss = w.loss(start, j);
        if (loss < best.value) best = {loss, j};
    }
    T offset = below ? T(0) : -team.min(best).value;
    for (int i = start;;) {
        best = {Problem<T>::kMax, 0x7fffffff};
        for (int j = team.rank(); j < w.columns; j += team.size()) {  // each column belongs to one member
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
        best = team.min(best);
        if (best.value > Problem<T>::kLimit) return false;
        if (w.row_of[best.index] == kUnassigned) break;
        if (best.index % team.size() == team.rank()) w.closed[best.index] = kClosed;
        i = w.row_of[best.index];
        offset = best.value - w.loss(i, best.index);
    }
    for (int j = team.rank(); j < w.columns; j += team.size()) {
        const T past = w.distance[j] < best.value ? best.value - w.distance[j] : T(0);
        if (below)
            w.price[j] -= w.closed[j] == kPassed ? T(0) : best.value - past;
        else if (w.closed[j] == kClosed)
            w.price[j] += past;
        if (w.price[j] > Problem<T>::kLimit) atomic_max(&w.flags[kOverflow], 1);
    }
    team.sync();  // all members have seen that the column is free
    if (team.rank() == 0) exchange_along(w, start, best.index, [](int, int) {});
    team.sync();
    return !load_volatile(&w.flags[kOverflow]);
}

// search(start) from every free row; then, where N < M, from below until all unmatched columns have price 0.
template <class Team, class T, class Search>
HARNESS_DEVICE bool search_all(Team& team, const Problem<T>& w, const Search& search) {
    for (int i = 0;; ++i) {
        i = find_next(team, i, w.rows, [&](int i) { return w.column_of[i] == kUnassigned; });
        if (i == w.rows) break;
        if (!search(i)) return false;
    }
    if (w.rows == w.columns) return true;
    for (int j = 0;;) {
        j = find_next(team, j, w.columns, [&](int j) { return w.row_of[j] == kUnassigned && w.price[j] > 0; });
        if (j == w.columns) return true;
        if (!search(w.rows)) return false;
    }
}

// All searches, for any number of columns, with distances in memory.
template <class T, class Team>
HARNESS_DEVICE bool paths(Team& team, const Problem<T>& w) {
    return search_all(team, w, [&](int start) { return augment(team, w, start); });
}

// All searches, for at most team.size() * count columns: each member has the prices and distances of every team.size()-th
// column in registers, so that a step waits only for one row of similarities and one reduction.
template <int count, class Team>
class RegisterPaths {
    using T = std::int32_t;
    Team& team;
    const Problem<T>& w;
    std::int32_t* const owners_loss;  // (columns) the owner's loss there; equal for all columns on shortest paths of its row
    T price[count];

    HARNESS_DEVICE int column(int k) const { return team.size() * k + team.rank(); }

    // As augment, with losses as distances: the first row's profit is not subtracted.
    HARNESS_DEVICE bool search(int start) {
        const bool below = start == w.rows;
        T distance[count];
        std::uint32_t open = 0;
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const int j = column(k);
            distance[k] = below ? price[k] : Problem<T>::kMax;
            const bool passed = below && price[k] == 0 && j < w.columns && w.row_of[j] == kUnassigned;
            open |= std::uint32_t(j < w.columns && !passed) << k;
            if (below && j < w.columns) w.previous[j] = start;
        }
        const std::uint32_t mine = open;
        T offset = 0;
        Nearest nearest;
        for (int i = start;;) {
            const std::int32_t* const row = w.s + std::size_t(i) * w.columns;
            std::int32_t x[count];
#pragma unroll
            for (int k = 0; k < count; ++k) x[k] = i < w.rows && mine >> k & 1 ? row[column(k)] : 0;
            nearest = {Problem<T>::kMax, kUnassigned, 0, kUnassigned};
            std::uint32_t mark = 0;  // of this member's nearest in `open`
#pragma unroll
            for (int k = 0; k < count; ++k) {
                if (!(open >> k & 1)) continue;
                const T through = i < w.rows ? offset + (price[k] - x[k]) : distance[k];
                if (through < distance[k]) {
                    distance[k] = through;
                    w.previous[column(k)] = i;
                }
                if (distance[k] < nearest.length) {
                    nearest.length = distance[k];
                    nearest.column = column(k);
                    mark = 1u << k;
                }
            }
            const int own = nearest.column;
            if (own != kUnassigned) {
                nearest.owner = w.row_of[nearest.column];
                nearest.owners_loss = owners_loss[nearest.column];
            }
            nearest = team.nearest(nearest);
            if (nearest.length > Problem<T>::kLimit) return false;
            if (nearest.owner == kUnassigned) break;
            i = nearest.owner;
            offset = nearest.length - nearest.owners_loss;
            if (nearest.column == own) open &= ~mark;
        }
        bool over = false;
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const T past = distance[k] < nearest.length ? nearest.length - distance[k] : T(0);
            const T change = below ? past - nearest.length : past;
            if (!(mine >> k & 1) || change == 0) continue;
            w.price[column(k)] = price[k] += change;
            owners_loss[column(k)] += change;
            over |= price[k] > Problem<T>::kLimit;
        }
        over = team.any(over);  // also a barrier, after which `previous` and the losses are complete
        if (team.rank() == 0)
            exchange_along(w, start, nearest.column, [&](int to, int from) {
                owners_loss[to] = from == kUnassigned ? nearest.length : owners_loss[from];
            });
        team.sync();
        return !over;
    }

public:
    HARNESS_DEVICE RegisterPaths(Team& team, const Problem<T>& w) : team(team), w(w), owners_loss(w.closed) {
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const int j = column(k), owner = j < w.columns ? w.row_of[j] : kUnassigned;
            price[k] = j < w.columns ? w.price[j] : 0;
            if (j < w.columns) owners_loss[j] = owner == kUnassigned ? 0 : w.loss(owner, j);
        }
        team.sync();
    }

    HARNESS_DEVICE bool paths() {
        return search_all(team, w, [&](int start) { return search(start); });
    }
};

}  // namespace harness
