// out[i][j] = rint(2^28 * <p_i, t_j> / (|p_i| |t_j|)) on rows that were first rounded to a grid of whole numbers.
//
// Slow truth, in numpy (harness/matching/quantise.py computes exactly these integers):
//
//     p, t = grid(prototypes), grid(names)                    whole numbers, kept as float64
//     r, s = 1 / sqrt((p * p).sum(1)), 1 / sqrt((t * t).sum(1))
//     out = rint((p @ t.T) * (r[:, None] * s[None, :]) * 2**28)
//
// The sums are exact (see grid_bits), each of the four other operations rounds once as IEEE 754 says, and r * s commutes:
// the result depends neither on blocking, threads or fused multiply-add, nor on which side is called prototypes.
//
// Fast version: both sides packed into panels; tiles of six prototypes by eight names in registers, over slices of the
// dimension that let a panel of names stay in the first-level cache while a strip of prototypes passes by.

#include "similarity.hpp"

#include <algorithm>
#include <cmath>

#include "wide.hpp"

namespace harness {

namespace {

using Doubles = Wide<double>;
using Sums = Doubles::Vector[kTileRows];

constexpr int kSlice = 256;                           // of the dimension: 16 KiB of names, 12 KiB of prototypes
constexpr double kRound = 6755399441055744.0;         // 1.5 * 2^52: adding and subtracting it rounds to even

HARNESS_INLINE void tile(const double* p, const double* t, int dimension, Sums& sums) {
    Doubles::Vector sum[kTileRows];
    for (int r = 0; r < kTileRows; ++r) sum[r] = sums[r];
    for (int d = 0; d < dimension; ++d, p += kTileRows, t += kTileColumns) {
        const Doubles::Vector names = Doubles::load(t);
        for (int r = 0; r < kTileRows; ++r) sum[r] += p[r] * names;
    }
    for (int r = 0; r < kTileRows; ++r) sums[r] = sum[r];
}

HARNESS_INLINE void quantise(Doubles::Vector sum, Doubles::Vector scale, std::int32_t* out) {
    typedef std::int32_t Ints __attribute__((vector_size(32), aligned(4), may_alias));
    const Doubles::Vector cosine = sum * scale;  // times 2^28 is exact, so a fused multiply-add changes nothing
    *reinterpret_cast<Ints*>(out) = __builtin_convertvector((cosine * 268435456.0 + kRound) - kRound, Ints);
}

}  // namespace

int grid_bits(std::int64_t dimension) {
    int log = 0;
    while ((std::int64_t(1) << log) < dimension) ++log;
    return std::min(22, (53 - log) / 2);
}

// One row on the grid, and its squared norm; a negative one when an entry is NaN or infinite.
HARNESS_CLONES double round_row(const float* row, int dimension, int bits, double* out) {
    typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));
    std::uint32_t largest = 0;  // as bits: without the sign, floats order like integers, and NaN lies above infinity
    for (int d = 0; d < dimension; ++d) {
        std::uint32_t word;
        std::memcpy(&word, row + d, 4);
        largest = std::max(largest, word & 0x7fffffffu);
    }
    if (largest >= 0x7f800000u) return -1.0;
    float top;
    std::memcpy(&top, &largest, 4);
    int exponent = 0;
    std::frexp(double(top), &exponent);
    const double scale = std::ldexp(1.0, bits - exponent);  // a power of two: multiplying by it is exact
    Doubles::Vector squares{};                              // exact in any order
    int d = 0;
    for (; d + Doubles::lanes <= dimension; d += Doubles::lanes) {
        const Doubles::Vector x = __builtin_convertvector(*reinterpret_cast<const Floats*>(row + d), Doubles::Vector);
        const Doubles::Vector whole = (x * scale + kRound) - kRound;
        Doubles::store(out + d, whole);
        squares += whole * whole;
    }
    double norm = 0.0;
    for (int k = 0; k < Doubles::lanes; ++k) norm += squares[k];
    for (; d < dimension; ++d) {
        out[d] = (double(row[d]) * scale + kRound) - kRound;
        norm += out[d] * out[d];
    }
    return norm;
}

bool Panels::round(const float* x, int n, int dim, int panel_width) {
    rows = n;
    dimension = dim;
    width = panel_width;
    entries.resize(std::size_t(count()) * dim * width);
    inverse.assign(std::size_t(count()) * width, 0.0);
    std::vector<double> whole(dim);
    const int bits = grid_bits(dim);
    for (int i = 0; i < count() * width; ++i) {
        const double norm = i < n ? round_row(x + std::size_t(i) * dim, dim, bits, whole.data()) : 0.0;
        if (norm < 0.0) return false;
        if (norm > 0.0) inverse[i] = 1.0 / std::sqrt(norm);
        if (i == n) std::fill(whole.begin(), whole.end(), 0.0);
        double* out = entries.data() + std::size_t(i / width) * dim * width + i % width;
        for (int d = 0; d < dim; ++d) out[std::size_t(d) * width] = whole[d];
    }
    return true;
}

HARNESS_CLONES void similarity(const Panels& prototypes, const Panels& names, int first, std::int32_t* out, int stride) {
    const int dimension = names.dimension, last = std::min(first + kStrip, prototypes.rows);
    for (int column = 0; column < names.count(); ++column) {
        Sums sums[kStrip / kTileRows] = {};
        for (int slice = 0; slice < dimension; slice += kSlice)
            for (int i = first; i < last; i += kTileRows)
                tile(prototypes.panel(i / kTileRows) + std::size_t(slice) * kTileRows,
                     names.panel(column) + std::size_t(slice) * kTileColumns, std::min(kSlice, dimension - slice),
                     sums[(i - first) / kTileRows]);
        const Doubles::Vector inverse = Doubles::load(names.inverse.data() + column * kTileColumns);
        for (int i = first; i < last; ++i)
            quantise(sums[(i - first) / kTileRows][(i - first) % kTileRows], prototypes.inverse[i] * inverse,
                     out + std::size_t(i) * stride + column * kTileColumns);
    }
}

}  // namespace harness
