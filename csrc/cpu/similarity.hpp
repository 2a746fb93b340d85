// Cosine similarity in exact arithmetic: the same int32 on every machine, thread count and order of summation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common.hpp"
#include "cpu/simd.hpp"

namespace harness {

// The power of two that scales a row to the grid, as two factors: 2^shift itself can exceed the range of float.
struct Scale {
    float first, second;
};

// One implementation of the exact dot products of grid rows; all give the same numbers. Rows are packed first; rows of names
// are then interleaved into panels of `columns` rows, in the order in which the product reads their entries.
struct Product {
    const char* name;
    int rows;     // prototypes are padded to a multiple of this
    int columns;  // names per panel: 8 or 16
    std::size_t (*bytes)(int dimension);  // of one packed row
    // Rounds and packs one row of finite numbers; returns its squared norm.
    double (*pack)(const float* x, Scale scale, int dimension, char* out);
    // Interleaves `columns` packed rows, bytes(dimension) apart, into a panel of the same size.
    void (*interleave)(const char* rows, int dimension, char* panel);
    // out (count, columns): a strip of packed prototypes, `bytes` apart, times the first `names` rows of one panel; count is a
    // multiple of `rows`.
    void (*dots)(const char* prototypes, std::size_t bytes, int count, const char* panel, int names, int dimension, double* out);
};

const Product& product_doubles();  // float64, on any machine
const Product* product_pairs();    // int16 pairs; null where the processor lacks AVX-512 VNNI
const Product& best_product();     // the faster of those available

// Packed grid rows: x -> rint(x * 2^(bits - e)) where max |x| is in [2^(e-1), 2^e); zero rows stay zero.
struct PackedRows {
    const Product* product = nullptr;
    int rows = 0;
    int dimension = 0;
    int width = 0;                // 1, or product->columns
    std::size_t bytes = 0;        // of one packed row
    AlignedVector<char> entries;          // (panels() * width, bytes)
    AlignedVector<double> inverse;        // (panels() * width), 1 / norm of the grid row; 0 for zero rows and padding

    void allocate(const Product& product, int rows, int dimension, int width);
    int panels() const { return padded_rows / width; }
    // Rounds and packs panel k of x (rows, dimension); false when an entry is NaN or infinite. Panels are independent.
    bool pack_panel(const float* x, int k);

private:
    int padded_rows = 0;
};

constexpr int kStrip = 48;  // prototypes processed while a slice of a panel of names stays in the L1 cache

// out[i * stride + j] = rint(cos(i, j) * 2^28) for the rows of one strip, i < min(first + kStrip, prototypes.rows).
// first is a multiple of kStrip; stride >= padded(names.rows).
void similarity_strip(const PackedRows& prototypes, const PackedRows& names, int first, std::int32_t* out, int stride);

}  // namespace harness
