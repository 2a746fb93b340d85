// Cosine similarity in exact arithmetic: the same int32 on every machine, thread count and order of summation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wide.hpp"

namespace harness {

// Bits of a grid entry. dimension * 2^(2 * bits) <= 2^53: every partial sum of a product of two grid rows is an integer
// that a double holds, so that doubles add without rounding, in any order. At most 22, so that three int8 digits hold it.
int grid_bits(std::int64_t dimension);

// Row x on the grid is rint(x * once * again): 2^shift itself may be no float.
struct Scale {
    float once, again;
};

// A way to compute the exact dot products of grid rows; all ways give the same numbers. Rows are packed first; those of
// names are then laid together by panels of `columns`, entry by entry as the product reads them.
struct Product {
    const char* name;
    int rows;     // prototypes are padded to a multiple of this
    int columns;  // names of a panel: 8 or 16
    std::size_t (*bytes)(int dimension);  // of one packed row
    // Rounds and packs one row of finite numbers; its squared norm.
    double (*pack)(const float* x, Scale scale, int dimension, char* out);
    // `columns` packed rows, bytes(dimension) apart, to a panel of as many bytes.
    void (*interleave)(const char* rows, int dimension, char* panel);
    // out (count, columns): a strip of packed prototypes, `bytes` apart, times one panel, of which the first `names` count.
    // count is a multiple of `rows`.
    void (*dots)(const char* prototypes, std::size_t bytes, int count, const char* panel, int names, int dimension, double* out);
};

const Product& doubles();      // product_doubles.cpp: float64, on any machine
const Product* pairs();        // product_pairs.cpp: int16 pairs, or null where the processor cannot
const Product& best_product(); // the faster one

// Rows on the grid, x -> rint(x * 2^(bits - e)) where max |x| lies in [2^(e-1), 2^e), and zero rows zero: packed.
struct Packed {
    const Product* product = nullptr;
    int rows = 0;
    int dimension = 0;
    int width = 0;                // 1, or product->columns
    std::size_t bytes = 0;        // of one packed row
    Lines<char> entries;          // (panels() * width, bytes)
    Lines<double> inverse;        // (panels() * width), 1 / norm of the grid row; 0 for zero rows and padding

    void allot(const Product& product, int rows, int dimension, int width);
    int panels() const { return padded_rows / width; }
    // Rounds and packs panel k of x (rows, dimension); false when an entry is NaN or infinite. Panels are independent.
    bool round(const float* x, int k);

private:
    int padded_rows = 0;
};

constexpr int kStrip = 48;  // prototypes that pass by while a slice of a panel of names stays in the first-level cache

// out[i * stride + j] = rint(cos(i, j) * 2^28) for the rows of one strip, i < min(first + kStrip, prototypes.rows).
// first is a multiple of kStrip; stride >= padded(names.rows).
void similarity(const Packed& prototypes, const Packed& names, int first, std::int32_t* out, int stride);

}  // namespace harness
