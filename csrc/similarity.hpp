// Cosine similarity in exact arithmetic: the same int32 on every machine, thread count and order of summation.
#pragma once

#include <cstdint>
#include <vector>

namespace harness {

// Bits of a grid entry. dimension * 2^(2 * bits) <= 2^53: every partial sum of a product of two grid rows is an integer
// that a double holds, so that doubles add without rounding, in any order. At most 22, so that three int8 digits hold it.
int grid_bits(std::int64_t dimension);

// Rows on the grid: x -> rint(x * 2^(bits - e)), where max |x| lies in [2^(e-1), 2^e). Zero rows stay zero.
struct Grid {
    int rows = 0;
    int dimension = 0;
    std::vector<double> entries;  // (rows, dimension), whole numbers of at most 2^bits
    std::vector<double> inverse;  // (rows), 1 / norm of the grid row; 0 for a zero row

    // False when an entry is NaN or infinite; the grid is then unfinished.
    bool round(const float* x, int rows, int dimension);
};

// Names, repacked for the product: panels of eight rows, entry by entry.
struct Panels {
    int rows = 0;
    int dimension = 0;
    std::vector<double> entries;  // (ceil(rows / 8), dimension, 8)
    std::vector<double> inverse;  // padded with 0 to a multiple of 8

    void pack(const Grid& grid);
};

// out[i * stride + j] = rint(cos(i, j) * 2^28) for first <= i < last; stride >= 8 * ceil(names.rows / 8).
void similarity(const Grid& prototypes, const Panels& names, int first, int last, std::int32_t* out, int stride);

}  // namespace harness
