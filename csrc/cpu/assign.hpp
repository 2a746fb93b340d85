// Exact assignment of maximum total similarity, on integers.
#pragma once

#include <cstdint>
#include <vector>

namespace harness {

struct Assignment {
    std::vector<std::int32_t> column_of_row;
    std::int64_t total = 0;  // sum of the matched similarities
    std::int64_t steps = 0;  // rows scanned: at most rows^2 + 40 rows, whatever the matrix
    std::int64_t gap = 0;    // dual objective - total: no other assignment can gain more; 0 = optimal
};

// similarity: (rows, padded(columns)) int32, 1 <= rows <= columns, zeros beyond `columns`.
// No entry exceeds `largest` in magnitude. Of several optima, the one whose column_of_row is lexicographically smallest.
// `found` reuses its buffers between calls.
void assign(const std::int32_t* similarity, int rows, int columns, std::int64_t largest, Assignment& found);

}  // namespace harness
