// Exact assignment of maximum total similarity, on whole numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace harness {

struct Assignment {
    std::vector<std::int32_t> column_of_row;
    std::int64_t total = 0;  // sum of the matched similarities
    std::int64_t steps = 0;  // rows looked at: at most rows^2 + 40 rows, whatever the matrix
    std::int64_t gap = 0;    // dual objective - total: an upper bound on what any other assignment could gain; 0 = optimal
};

// similarity: (rows, padded(columns)) int32, 1 <= rows <= columns, zeros beyond `columns`.
// largest: no entry is larger in magnitude. Of several optima, the one whose column_of_row is lexicographically smallest.
// `found` keeps its buffers between calls.
void assign(const std::int32_t* similarity, int rows, int columns, std::int64_t largest, Assignment& found);

}  // namespace harness
