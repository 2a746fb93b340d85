// What the C++ and the CUDA solver share: the unit of similarities, the grid of rows, and the shape and results of a batch.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define HARNESS_HOST_DEVICE __host__ __device__
#else
#define HARNESS_HOST_DEVICE
#endif

namespace harness {

extern const char* const sources;  // sha256 over csrc/; setup.py writes its definition

// Similarities are fixed-point numbers in Q3.28: int32 in units of 2^-28. kUnit is 1.0, and no cosine is larger.
constexpr std::int32_t kUnit = 1 << 28;

constexpr int kUnassigned = -1;  // the column of a row, or the row of a column, without a partner

// Bits of a grid entry. dimension * 2^(2 * bits) <= 2^53: every partial sum of a product of two grid rows is an integer
// that a double represents, so that doubles add without rounding, in any order. At most 22, which three int8 digits represent.
HARNESS_HOST_DEVICE constexpr int grid_bits(std::int64_t dimension) {
    int log = 0;
    while ((std::int64_t(1) << log) < dimension) ++log;
    const int bits = (53 - log) / 2;
    return bits < 22 ? bits : 22;
}

// Embeddings: prototypes (batch, prototypes, dimension) and names (batch, names, dimension), contiguous.
struct BatchShape {
    std::int64_t batch;
    int prototypes, names;
    int dimension = 0;  // 0 where similarities are given
};

// Output arrays. columns is (batch, prototypes), -1 where unmatched; the others are (batch).
struct Results {
    std::int64_t* columns;
    double* similarity;  // total cosine; NaN for a problem with bad input
    double* gap;         // cosine units; exactly 0 when optimal
    bool* valid;         // false: the input contains NaN or infinity, and nothing is matched
    std::int64_t* steps = nullptr;  // rows scanned by bids and path searches, for tests; may be null; not written by CUDA
};

}  // namespace harness
