// Tie-breaking by a team of threads: of all optimal assignments, the lexicographically smallest.
//
//   slow truth  cpu/ties.cpp, which also explains the graph: node i is row i, node kUnassigned owns all free columns
//   1. peel       closes rows that are on no cycle of exchanges, all at once, repeatedly; without ties, this closes every row
//   2. exchange   the remaining rows, in order: each takes the lowest column whose owners can exchange columns until all have
//                 one again; a breadth-first search over columns finds the exchange
#pragma once

#include "cuda/assign.cuh"

namespace harness {

// The columns that an optimum may give to a node.
template <class T>
HARNESS_DEVICE const std::uint32_t* takes(const Problem<T>& w, int node) {
    return node == kUnassigned ? w.releasable : w.tight + std::size_t(node) * w.words;
}

// The first word, from `word` on, with an unseen column that `node` can take and does not own; w.words for none.
template <class T>
HARNESS_DEVICE int next_foreign(const Problem<T>& w, int node, int word) {
    for (; word < w.words; ++word)
        for (std::uint32_t bits = takes(w, node)[word] & w.unseen[word]; bits; bits &= bits - 1)
            if (w.row_of[word * 32 + lowest_bit(bits)] != node) return word;
    return word;
}

// Closes rows that cannot be on a cycle: those that can only take columns of closed rows. `unseen` has the columns of the
// others and only shrinks, so that every row scans each of its words once. True when any row stays open.
template <class T, class Team>
HARNESS_DEVICE bool peel(Team& team, const Problem<T>& w) {
    constexpr int closed = 0, closing = -1;  // in w.open; above: 1 + the last word in which the row found a column
    for (int i = team.rank(); i < w.rows; i += team.size()) w.open[i] = 1;
    for (int word = team.rank(); word < w.words; word += team.size()) w.unseen[word] = 0xffffffffu;
    if (team.rank() == 0) store_volatile(&w.flags[kChanged], 0);
    team.sync();
    int free_node = w.rows < w.columns && team.rank() == 0 ? 1 : closed;  // state of the node of the free columns, on rank 0
    for (;;) {
        const auto look = [&](int node, int open) {
            const int word = next_foreign(w, node, open - 1);
            return word < w.words ? word + 1 : closing;
        };
        for (int i = team.rank(); i < w.rows; i += team.size())
            if (w.open[i] != closed) w.open[i] = look(i, w.open[i]);
        if (free_node != closed) free_node = look(kUnassigned, free_node);
        team.sync();
        for (int i = team.rank(); i < w.rows; i += team.size())
            if (w.open[i] == closing) {
                w.open[i] = closed;
                atomic_clear_bits(&w.unseen[w.column_of[i] / 32], 1u << (w.column_of[i] % 32));
                atomic_fetch_add(&w.flags[kChanged], 1);
            }
        if (free_node == closing) {
            for (int j = 0; j < w.columns; ++j)
                if (w.row_of[j] == kUnassigned) atomic_clear_bits(&w.unseen[j / 32], 1u << (j % 32));
            atomic_fetch_add(&w.flags[kChanged], 1);
            free_node = closed;
        }
        team.sync();
        const bool changed = load_volatile(&w.flags[kChanged]);
        team.sync();
        if (!changed) break;
        if (team.rank() == 0) store_volatile(&w.flags[kChanged], 0);  // a barrier precedes the next addition
    }
    bool any = false;
    for (int i = 0; i < w.rows; ++i) any |= w.open[i] != closed;
    return any;
}

// Moves `row` to `column` if the owners of the columns on the way can exchange until one takes the column that `row` leaves.
template <class T, class Team>
HARNESS_DEVICE bool exchange(Team& team, const Problem<T>& w, int row, int column) {
    const int left = w.column_of[row];
    std::int32_t *queue = w.closed, *top = &w.flags[kTop];
    if (team.rank() == 0) {
        queue[0] = column;
        w.previous[column] = kUnassigned;
        atomic_clear_bits(&w.unseen[column / 32], 1u << (column % 32));
        store_volatile(top, 1);
    }
    team.sync();
    for (int head = 0, tail = 1; head < tail;) {  // from head to tail: the columns of this level, whose owners are searched
        for (; head < tail; ++head) {
            const int from = queue[head];
            const std::uint32_t* edges = takes(w, w.row_of[from]);
            if (edges[left / 32] >> (left % 32) & 1) {
                team.sync();  // all members have read row_of
                if (team.rank() == 0) {
                    int taken = left;
                    for (int c = from; c != kUnassigned; c = w.previous[c]) {
                        const int node = w.row_of[c];
                        w.row_of[taken] = node;
                        if (node != kUnassigned) w.column_of[node] = taken;
                        taken = c;
                    }
                    w.row_of[column] = row;
                    w.column_of[row] = column;
                }
                team.sync();
                return true;
            }
            for (int word = team.rank(); word < w.words; word += team.size()) {  // each word belongs to one member
                std::uint32_t fresh = edges[word] & w.unseen[word];
                w.unseen[word] &= ~fresh;
                for (; fresh; fresh &= fresh - 1) {
                    const int j = word * 32 + lowest_bit(fresh);
                    w.previous[j] = from;
                    queue[atomic_fetch_add(top, 1)] = j;
                }
            }
        }
        team.sync();
        tail = load_volatile(top);
        team.sync();
    }
    return false;
}

// Turns an optimal assignment into the lexicographically smallest one.
template <class T, class Team>
HARNESS_DEVICE void minimise_ties(Team& team, const Problem<T>& w) {
    if (!peel(team, w)) return;
    for (int row = 0; row < w.rows; ++row) {
        if (!w.open[row]) continue;
        const int left = w.column_of[row];
        team.sync();
        for (int word = team.rank(); word < w.words; word += team.size()) w.unseen[word] = 0xffffffffu;
        team.sync();
        for (int i = team.rank(); i < row; i += team.size())
            atomic_clear_bits(&w.unseen[w.column_of[i] / 32], 1u << (w.column_of[i] % 32));
        team.sync();
        for (int word = 0; word <= left / 32;) {
            std::uint32_t lower = takes(w, row)[word] & w.unseen[word];
            if (word == left / 32) lower &= (1u << (left % 32)) - 1;
            if (!lower) {
                ++word;
                continue;
            }
            team.sync();  // all members have read `unseen`
            if (exchange(team, w, row, word * 32 + lowest_bit(lower))) break;
        }
    }
}

}  // namespace harness
