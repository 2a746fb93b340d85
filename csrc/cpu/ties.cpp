// Slow truth: for each row in turn, force each column from the lowest up and solve again; fix the first without loss.
//
// Algorithm: each row in turn moves to the lowest column from which a cycle of exchanges among later rows leads back to the
// column that it leaves.
//
// A cycle exists only inside a strongly connected component, and without ties every component is a single node: then
// nothing is searched.

#include "cpu/ties.hpp"

#include <algorithm>

namespace harness {

namespace {

constexpr int kNone = -1;

int pop_lowest(std::uint64_t& word) {
    const int bit = __builtin_ctzll(word);
    word &= word - 1;
    return bit;
}

bool has(const std::vector<std::uint64_t>& bits, int j) { return bits[j / 64] >> (j % 64) & 1; }
void set(std::vector<std::uint64_t>& bits, int j) { bits[j / 64] |= std::uint64_t(1) << (j % 64); }

}  // namespace

void TightGraph::reset(int n, int m, int w) {
    rows = n;
    columns = m;
    words = w;
    tight.assign(std::size_t(n) * w, 0);
    releasable.assign(w, 0);
}

const std::uint64_t* TightGraph::takes(int node) const {
    return node == rows ? releasable.data() : tight.data() + std::size_t(node) * words;
}

// Finds strongly connected components (Tarjan 1972) without recursion: component[node] is an identifier, or kNone for a
// component of one node. True when any component has more than one.
bool TightGraph::find_cycles() {
    const int nodes = rows + 1;
    component.assign(nodes, kNone);
    low.assign(nodes, 0);
    order.assign(nodes, 0);  // 0: not visited
    path.clear();            // the depth-first path
    stack.clear();           // visited, component not yet known
    std::vector<std::int32_t>& place = parent;  // next word to scan
    place.assign(nodes, 0);
    std::vector<std::uint64_t> rest(nodes, 0);
    std::vector<char> open(nodes, 0);
    int visited = 0;
    bool any = false;
    for (int root = 0; root < nodes; ++root) {
        if (order[root]) continue;
        path.push_back(root);
        while (!path.empty()) {
            const int node = path.back();
            if (!order[node]) {
                order[node] = low[node] = ++visited;
                stack.push_back(node);
                open[node] = 1;
                rest[node] = takes(node)[0];
            }
            bool deeper = false;
            for (;;) {
                if (!rest[node]) {
                    if (++place[node] >= words) break;
                    rest[node] = takes(node)[place[node]];
                    continue;
                }
                const int next = owner[place[node] * 64 + __builtin_ctzll(rest[node])];
                if (!order[next]) {
                    path.push_back(next);
                    deeper = true;
                    break;  // the bit stays set: low[next] is read after the return
                }
                if (open[next]) low[node] = std::min(low[node], low[next]);
                pop_lowest(rest[node]);
            }
            if (deeper) continue;
            path.pop_back();
            if (low[node] != order[node]) continue;
            const bool alone = stack.back() == node;
            any |= !alone;
            for (int member = kNone; member != node;) {
                member = stack.back();
                stack.pop_back();
                open[member] = 0;
                component[member] = alone ? kNone : node;
            }
        }
    }
    return any;
}

// Moves `row` to `column` if later rows can exchange their columns so that the column it leaves is used again.
bool TightGraph::exchange(int row, int column) {
    const int left = column_of[row], first = owner[column];
    bool free_seen = first == rows;
    const int group = component[row];
    std::vector<std::int32_t>& via = low;  // the column by which a node was reached
    std::vector<std::int32_t>& todo = stack;
    todo.assign(1, first);
    parent[first] = kNone;
    via[first] = column;
    set(seen, column);
    while (!todo.empty()) {
        const int node = todo.back();
        todo.pop_back();
        const std::uint64_t* edges = takes(node);
        if (edges[left / 64] >> (left % 64) & 1) {
            int take = left;
            for (int at = node; at != kNone; at = parent[at]) {
                const int gives = via[at];
                owner[take] = at;
                if (at < rows) column_of[at] = take;
                take = gives;
            }
            owner[column] = row;
            column_of[row] = column;
            return true;
        }
        for (int word = 0; word < words; ++word) {
            for (std::uint64_t bits = edges[word] & ~seen[word]; bits;) {
                const int j = word * 64 + pop_lowest(bits);
                set(seen, j);
                const int next = owner[j];
                if (component[next] != group || (next == rows && free_seen)) continue;
                free_seen |= next == rows;
                parent[next] = node;
                via[next] = j;
                todo.push_back(next);
            }
        }
    }
    return false;
}

void TightGraph::minimise(std::vector<std::int32_t>& column_of_row) {
    column_of = column_of_row;
    owner.assign(columns, rows);
    for (int i = 0; i < rows; ++i) owner[column_of[i]] = i;
    if (!find_cycles()) return;
    fixed.assign(words, 0);
    for (int i = 0; i < rows; ++i) {
        if (component[i] != kNone) {
            seen = fixed;
            for (int word = 0; word <= column_of[i] / 64; ++word) {
                std::uint64_t lower = takes(i)[word] & ~fixed[word];
                if (word == column_of[i] / 64) lower &= (std::uint64_t(1) << (column_of[i] % 64)) - 1;
                bool moved = false;
                while (lower && !moved) {
                    const int j = word * 64 + pop_lowest(lower);
                    moved = !has(seen, j) && component[owner[j]] == component[i] && exchange(i, j);
                }
                if (moved) break;
            }
        }
        set(fixed, column_of[i]);
    }
    column_of_row = column_of;
}

}  // namespace harness
