// Among equals, the lexicographically smallest assignment, by a team of threads: ties.cpp's algorithm for the GPU.
//
//   1. peel       rows that lie on no cycle of exchanges are closed, all at once, again and again; without ties that is all
//   2. exchange   the rows left, in order: each tries its columns from the lowest up, and takes the first that those who lose
//                 a column by it can make good; their search goes from column to column, one level after the other
//
// ties.cpp explains the graph: node i is row i, node kNobody has all free columns. Who loses a column takes another one.
#pragma once

#include "team_assign.hpp"

namespace harness {

// The columns that an optimum may give to a node.
template <class T>
HARNESS_TEAM const std::uint32_t* takes(const Problem<T>& w, int node) {
    return node == kNobody ? w.releasable : w.tight + std::size_t(node) * w.words;
}

// The first word, from `word` on, in which `node` could take an unseen column that is not its own; w.words for none.
template <class T>
HARNESS_TEAM int next_foreign(const Problem<T>& w, int node, int word) {
    for (; word < w.words; ++word)
        for (std::uint32_t bits = takes(w, node)[word] & w.unseen[word]; bits; bits &= bits - 1)
            if (w.row_of[word * 32 + lowest_bit(bits)] != node) return word;
    return word;
}

// Closes the rows that cannot be on a cycle: those that could only take columns of closed rows. `unseen` has the others'
// columns, and only loses some, so that every row looks at each of its words once. True when any row stays open.
template <class T, class Team>
HARNESS_TEAM bool peel(Team& team, const Problem<T>& w) {
    constexpr int closed = 0, closing = -1;  // in w.open; above: 1 + the word in which the row found a column last
    for (int i = team.rank(); i < w.rows; i += team.size()) w.open[i] = 1;
    for (int word = team.rank(); word < w.words; word += team.size()) w.unseen[word] = 0xffffffffu;
    if (team.rank() == 0) write(&w.flags[kChanged], 0);
    team.sync();
    int nobody = w.rows < w.columns && team.rank() == 0 ? 1 : closed;  // the node of the free columns, in the care of rank 0
    for (;;) {
        const auto look = [&](int node, int open) {
            const int word = next_foreign(w, node, open - 1);
            return word < w.words ? word + 1 : closing;
        };
        for (int i = team.rank(); i < w.rows; i += team.size())
            if (w.open[i] != closed) w.open[i] = look(i, w.open[i]);
        if (nobody != closed) nobody = look(kNobody, nobody);
        team.sync();
        for (int i = team.rank(); i < w.rows; i += team.size())
            if (w.open[i] == closing) {
                w.open[i] = closed;
                clear_bits(&w.unseen[w.column_of[i] / 32], 1u << (w.column_of[i] % 32));
                fetch_add(&w.flags[kChanged], 1);
            }
        if (nobody == closing) {
            for (int j = 0; j < w.columns; ++j)
                if (w.row_of[j] == kNobody) clear_bits(&w.unseen[j / 32], 1u << (j % 32));
            fetch_add(&w.flags[kChanged], 1);
            nobody = closed;
        }
        team.sync();
        const bool changed = read(&w.flags[kChanged]);
        team.sync();
        if (!changed) break;
        if (team.rank() == 0) write(&w.flags[kChanged], 0);  // a barrier comes before anyone adds to it
    }
    bool any = false;
    for (int i = 0; i < w.rows; ++i) any |= w.open[i] != closed;
    return any;
}

// Moves `row` to `column`, if those who lose a column by it find others until the column that `row` leaves is taken.
template <class T, class Team>
HARNESS_TEAM bool exchange(Team& team, const Problem<T>& w, int row, int column) {
    const int left = w.column_of[row];
    std::int32_t *queue = w.closed, *top = &w.flags[kTop];
    if (team.rank() == 0) {
        queue[0] = column;
        w.previous[column] = kNobody;
        clear_bits(&w.unseen[column / 32], 1u << (column % 32));
        write(top, 1);
    }
    team.sync();
    for (int head = 0, tail = 1; head < tail;) {  // from head to tail: the columns found last, whose owners now look around
        for (; head < tail; ++head) {
            const int from = queue[head];
            const std::uint32_t* edges = takes(w, w.row_of[from]);
            if (edges[left / 32] >> (left % 32) & 1) {
                team.sync();  // everyone has read row_of
                if (team.rank() == 0) {
                    int taken = left;
                    for (int c = from; c != kNobody; c = w.previous[c]) {
                        const int node = w.row_of[c];
                        w.row_of[taken] = node;
                        if (node != kNobody) w.column_of[node] = taken;
                        taken = c;
                    }
                    w.row_of[column] = row;
                    w.column_of[row] = column;
                }
                team.sync();
                return true;
            }
            for (int word = team.rank(); word < w.words; word += team.size()) {  // a word belongs to one member throughout
                std::uint32_t fresh = edges[word] & w.unseen[word];
                w.unseen[word] &= ~fresh;
                for (; fresh; fresh &= fresh - 1) {
                    const int j = word * 32 + lowest_bit(fresh);
                    w.previous[j] = from;
                    queue[fetch_add(top, 1)] = j;
                }
            }
        }
        team.sync();
        tail = read(top);
        team.sync();
    }
    return false;
}

// Makes an optimal assignment the lexicographically smallest one.
template <class T, class Team>
HARNESS_TEAM void lowest(Team& team, const Problem<T>& w) {
    if (!peel(team, w)) return;
    for (int row = 0; row < w.rows; ++row) {
        if (!w.open[row]) continue;
        const int left = w.column_of[row];
        team.sync();
        for (int word = team.rank(); word < w.words; word += team.size()) w.unseen[word] = 0xffffffffu;
        team.sync();
        for (int i = team.rank(); i < row; i += team.size())
            clear_bits(&w.unseen[w.column_of[i] / 32], 1u << (w.column_of[i] % 32));
        team.sync();
        for (int word = 0; word <= left / 32;) {
            std::uint32_t lower = takes(w, row)[word] & w.unseen[word];
            if (word == left / 32) lower &= (1u << (left % 32)) - 1;
            if (!lower) {
                ++word;
                continue;
            }
            team.sync();  // everyone has read `unseen`
            if (exchange(team, w, row, word * 32 + lowest_bit(lower))) break;
        }
    }
}

}  // namespace harness
