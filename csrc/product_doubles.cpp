// Exact dot products in float64: every partial sum is a whole number below 2^53.
//
// Tiles of six prototypes by eight names in registers (twelve sums of four with AVX2, six of eight with AVX-512), over
// slices of the dimension that let a panel of names stay in the first-level cache while a strip of prototypes passes by.

#include <algorithm>

#include "similarity.hpp"

namespace harness {

namespace {

using Doubles = Wide<double>;

constexpr int kRows = 6, kColumns = Doubles::lanes;
constexpr int kSlice = 256;  // of the dimension: 16 KiB of names, 12 KiB of prototypes

std::size_t bytes(int dimension) { return std::size_t(dimension + kColumns - 1) / kColumns * 64 + 64; }

void pack(const float* whole, int width, int pitch, int dimension, char* out) {
    double* to = reinterpret_cast<double*>(out);
    for (int d = 0; d < dimension; ++d)
        for (int r = 0; r < width; ++r) *to++ = double(whole[std::size_t(r) * pitch + d]);
}

HARNESS_INLINE void tile(const double* p, std::size_t pitch, const double* t, int dimension, double* out) {
    Doubles::Vector sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = Doubles::load(out + r * kColumns);
    for (int d = 0; d < dimension; ++d) {
        const Doubles::Vector names = Doubles::load(t + d * kColumns);
        for (int r = 0; r < kRows; ++r) sum[r] += p[r * pitch + d] * names;
    }
    for (int r = 0; r < kRows; ++r) Doubles::store(out + r * kColumns, sum[r]);
}

HARNESS_CLONES void dots(const char* prototypes, std::size_t bytes, int count, const char* panel, int /*names*/,
                         int dimension, double* out) {
    const double *p = reinterpret_cast<const double*>(prototypes), *t = reinterpret_cast<const double*>(panel);
    std::fill_n(out, count * kColumns, 0.0);
    for (int slice = 0; slice < dimension; slice += kSlice)
        for (int i = 0; i < count; i += kRows)
            tile(p + i * (bytes / 8) + slice, bytes / 8, t + std::size_t(slice) * kColumns, std::min(kSlice, dimension - slice),
                 out + i * kColumns);
}

}  // namespace

const Product& doubles() {
    static constexpr Product product{"doubles", kRows, kColumns, bytes, pack, dots};
    return product;
}

}  // namespace harness
