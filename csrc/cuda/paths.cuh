// Shortest augmenting paths by a team of threads: assign.cpp's searches (Jonker and Volgenant 1987) for the GPU.
//
// A search goes from a free row to the nearest free column, by way of rows that would have to move; each step, the team looks
// at one row together. The chain of steps is what large problems wait for: Held keeps a step's state in
// registers. Where N < M, a column that ends unmatched must have price 0: what epsilon left above, searches from below take
// away.
#pragma once

#include "team_assign.hpp"

namespace harness {

// The lowest index from `from` on that passes the test; `end` for none.
template <class Team, class Test>
HARNESS_TEAM int next(Team& team, int from, int end, const Test& test) {
    for (; from < end; from += team.size()) {
        const int k = from + team.rank();
        const std::int32_t found = team.least(Least<std::int32_t>{k < end && test(k) ? k : end, 0}).value;
        if (found < end) return found;
    }
    return end;
}

// The exchange along the path that ends at column `end`, by one thread. moved(to, from) is called for every row that leaves
// column `from` for column `to`; the row that had none comes last, from kNobody.
template <class T, class Moved>
HARNESS_TEAM void exchange_along(const Problem<T>& w, int start, int end, const Moved& moved) {
    for (int j = end;;) {
        const int row = w.previous[j];
        if (row == w.rows) {  // the row that does not exist: see augment
            w.row_of[j] = kNobody;
            return;
        }
        const int left = row == start ? kNobody : w.column_of[row];
        moved(j, left);
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
    if (team.rank() == 0) exchange_along(w, start, best.where, [](int, int) {});
    team.sync();
    return !read(&w.flags[kOverflow]);
}

// search(start) from every free row; then, where N < M, from below until all unmatched columns have price 0.
template <class Team, class T, class Search>
HARNESS_TEAM bool search_all(Team& team, const Problem<T>& w, const Search& search) {
    for (int i = 0;; ++i) {
        i = next(team, i, w.rows, [&](int i) { return w.column_of[i] == kNobody; });
        if (i == w.rows) break;
        if (!search(i)) return false;
    }
    if (w.rows == w.columns) return true;
    for (int j = 0;;) {
        j = next(team, j, w.columns, [&](int j) { return w.row_of[j] == kNobody && w.price[j] > 0; });
        if (j == w.columns) return true;
        if (!search(w.rows)) return false;
    }
}

// All searches, for any number of columns.
template <class T, class Team>
HARNESS_TEAM bool paths(Team& team, const Problem<T>& w) {
    return search_all(team, w, [&](int start) { return augment(team, w, start); });
}

// The same for at most team.size() * count columns: each member holds the prices and distances of every team.size()-th of
// them. A step then waits for nothing but one row of similarities and one reduction.
template <int count, class Team>
class Held {
    using T = std::int32_t;
    Team& team;
    const Problem<T>& w;
    std::int32_t* const owners_loss;  // (columns) the owner's loss there; equal for all columns on shortest paths of its row
    T price[count];

    HARNESS_TEAM int column(int k) const { return team.size() * k + team.rank(); }

    // As augment. Distances are losses: they begin at the start's own.
    HARNESS_TEAM bool search(int start) {
        const bool below = start == w.rows;
        T distance[count];
        std::uint32_t open = 0;
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const int j = column(k);
            distance[k] = below ? price[k] : Problem<T>::most;
            const bool passed = below && price[k] == 0 && j < w.columns && w.row_of[j] == kNobody;
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
            nearest = {Problem<T>::most, kNobody, 0, kNobody};
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
            if (own != kNobody) {
                nearest.owner = w.row_of[nearest.column];
                nearest.owners_loss = owners_loss[nearest.column];
            }
            nearest = team.nearest(nearest);
            if (nearest.length > Problem<T>::limit) return false;
            if (nearest.owner == kNobody) break;
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
            over |= price[k] > Problem<T>::limit;
        }
        over = team.any(over);  // also a barrier: `previous` and the losses are complete
        if (team.rank() == 0)
            exchange_along(w, start, nearest.column, [&](int to, int from) {
                owners_loss[to] = from == kNobody ? nearest.length : owners_loss[from];
            });
        team.sync();
        return !over;
    }

public:
    HARNESS_TEAM Held(Team& team, const Problem<T>& w) : team(team), w(w), owners_loss(w.closed) {
#pragma unroll
        for (int k = 0; k < count; ++k) {
            const int j = column(k), owner = j < w.columns ? w.row_of[j] : kNobody;
            price[k] = j < w.columns ? w.price[j] : 0;
            if (j < w.columns) owners_loss[j] = owner == kNobody ? 0 : w.loss(owner, j);
        }
        team.sync();
    }

    HARNESS_TEAM bool paths() {
        return search_all(team, w, [&](int start) { return search(start); });
    }
};

}  // namespace harness
