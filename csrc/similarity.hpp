// Cosine similarity in exact arithmetic: the same int32 on every machine, thread count and order of summation.
#pragma once

#include <cstdint>
#include <vector>

namespace harness {

// Bits of a grid entry. dimension * 2^(2 * bits) <= 2^53: every partial sum of a product of two grid rows is an integer
// that a double holds, so that doubles add without rounding, in any order. At most 22, so that three int8 digits hold it.
int grid_bits(std::int64_t dimension);

// Rows on the grid, x -> rint(x * 2^(bits - e)) where max |x| lies in [2^(e-1), 2^e), and zero rows zero: packed into
// panels of `width` rows, entry by entry, as the product reads them.
struct Panels {
    int rows = 0;
    int dimension = 0;
    int width = 0;
    std::vector<double> entries;  // (ceil(rows / width), dimension, width), whole numbers of at most 2^bits
    std::vector<double> inverse;  // (ceil(rows / width) * width), 1 / norm of the grid row; 0 for zero rows and padding

    const double* panel(int k) const { return entries.data() + std::size_t(k) * dimension * width; }
    int count() const { return (rows + width - 1) / width; }

    // False when an entry is NaN or infinite; the panels are then unfinished.
    bool round(const float* x, int rows, int dimension, int width);
};

constexpr int kTileRows = 6;     // prototypes per tile: 6 x 8 sums, a panel entry and a broadcast fit 16 AVX2 registers
constexpr int kTileColumns = 8;  // names per tile
constexpr int kStrip = 48;       // prototypes that pass by while a slice of a panel of names stays in the first-level cache

// out[i * stride + j] = rint(cos(i, j) * 2^28) for the rows of one strip, i < min(first + kStrip, prototypes.rows).
// Panels of kTileRows prototypes and kTileColumns names; first is a multiple of kStrip; stride >= 8 * names.count().
void similarity(const Panels& prototypes, const Panels& names, int first, std::int32_t* out, int stride);

}  // namespace harness
