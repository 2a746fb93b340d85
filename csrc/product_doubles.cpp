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
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds |x| <= 2^22 to even

std::size_t bytes(int dimension) { return std::size_t(dimension + kColumns - 1) / kColumns * 64 + 64; }

HARNESS_CLONES double pack(const float* x, Scale scale, int dimension, char* out) {
    typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));  // as many as doubles
    double* const to = reinterpret_cast<double*>(out);
    Doubles::Vector sum{};  // exact in any order
    int d = 0;
    for (; d + Doubles::lanes <= dimension; d += Doubles::lanes) {
        const Floats entries = *reinterpret_cast<const Floats*>(x + d);
        const Floats whole = (entries * scale.once * scale.again + kRound) - kRound;
        const Doubles::Vector wide = __builtin_convertvector(whole, Doubles::Vector);
        Doubles::store(to + d, wide);
        sum += wide * wide;
    }
    double norm = 0.0;
    for (int k = 0; k < Doubles::lanes; ++k) norm += sum[k];
    for (; d < dimension; ++d) {
        to[d] = (x[d] * scale.once * scale.again + kRound) - kRound;
        norm += to[d] * to[d];
    }
    return norm;
}

void interleave(const char* rows, int dimension, char* panel) {
    double* to = reinterpret_cast<double*>(panel);
    for (int d = 0; d < dimension; ++d)
        for (int r = 0; r < kColumns; ++r) *to++ = reinterpret_cast<const double*>(rows + r * bytes(dimension))[d];
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
    static constexpr Product product{"doubles", kRows, kColumns, bytes, pack, interleave, dots};
    return product;
}

}  // namespace harness
