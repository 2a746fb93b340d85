// Tie-breaking: of all optimal assignments, the lexicographically smallest.
#pragma once

#include <cstdint>
#include <vector>

namespace harness {

// The pairs that an optimum may use, given optimal prices: by complementary slackness, an assignment is optimal if and only
// if it uses only tight pairs and leaves only releasable columns (price 0) unmatched. The set of optima, and so the
// smallest of them, does not depend on which optimal prices were found.
struct TightGraph {
    int rows = 0, columns = 0, words = 0;
    std::vector<std::uint64_t> tight;       // (rows, words) bits
    std::vector<std::uint64_t> releasable;  // (words) bits

    void reset(int rows, int columns, int words);

    // Turns an optimal assignment into the lexicographically smallest one.
    void minimise(std::vector<std::int32_t>& column_of_row);

private:
    // Nodes 0 ... rows - 1 are rows; node `rows` owns all unmatched columns. An edge a -> b: a may take a column of b.
    std::vector<std::int32_t> column_of, owner, component, parent, stack, order, low, path;
    std::vector<std::uint64_t> seen, fixed;

    const std::uint64_t* takes(int node) const;
    bool find_cycles();
    bool exchange(int row, int column);
};

}  // namespace harness
