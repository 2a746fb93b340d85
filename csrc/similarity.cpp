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
// Fast version: names repacked into panels of eight columns, six prototypes against one panel held in registers,
// panels in groups that stay in the second-level cache while the prototypes pass by.

#include "similarity.hpp"

#include <algorithm>
#include <cmath>

#include "wide.hpp"

namespace harness {

namespace {

using Doubles = Wide<double>;
constexpr int kRows = 6;     // prototypes per tile: 6 x 8 sums, two loads and a broadcast fit 16 AVX2 registers
constexpr int kColumns = 8;  // names per panel
constexpr int kGroup = 8;    // panels per group: 256 KiB at dimension 512

HARNESS_INLINE void tile(const double* const (&p)[kRows], const double* panel, int dimension, Doubles::Vector (&sum)[kRows]) {
    for (int r = 0; r < kRows; ++r) sum[r] = Doubles::Vector{};
    for (int d = 0; d < dimension; ++d) {
        const Doubles::Vector t = Doubles::load(panel + std::size_t(d) * kColumns);
        for (int r = 0; r < kRows; ++r) sum[r] += p[r][d] * t;
    }
}

HARNESS_INLINE void quantise(Doubles::Vector sum, Doubles::Vector scale, std::int32_t* out) {
    typedef std::int32_t Ints __attribute__((vector_size(32), aligned(4), may_alias));
    constexpr double unit = 268435456.0;               // 2^28
    constexpr double round = 6755399441055744.0;       // 1.5 * 2^52: adding it rounds to even at the unit place
    const Doubles::Vector cosine = sum * scale;        // * 2^28 is exact, so a fused multiply-add changes nothing
    const Doubles::Vector whole = (cosine * unit + round) - round;
    *reinterpret_cast<Ints*>(out) = __builtin_convertvector(whole, Ints);
}

}  // namespace

int grid_bits(std::int64_t dimension) {
    int log = 0;
    while ((std::int64_t(1) << log) < dimension) ++log;
    return std::min(22, (53 - log) / 2);
}

HARNESS_CLONES bool Grid::round(const float* x, int n, int dim) {
    rows = n;
    dimension = dim;
    entries.resize(std::size_t(n) * dim);
    inverse.assign(n, 0.0);
    const int bits = grid_bits(dim);
    for (int i = 0; i < n; ++i) {
        const float* row = x + std::size_t(i) * dim;
        double* out = entries.data() + std::size_t(i) * dim;
        std::uint32_t largest = 0;  // as bits: without the sign, floats order like integers, and NaN lies above infinity
        for (int d = 0; d < dim; ++d) {
            std::uint32_t word;
            std::memcpy(&word, row + d, 4);
            largest = std::max(largest, word & 0x7fffffffu);
        }
        if (largest >= 0x7f800000u) return false;
        float top;
        std::memcpy(&top, &largest, 4);
        int exponent = 0;
        std::frexp(double(top), &exponent);
        const double scale = std::ldexp(1.0, bits - exponent);
        constexpr double round = 6755399441055744.0;
        Doubles::Vector sums{};  // in any order: exact
        int d = 0;
        for (; d + Doubles::lanes <= dim; d += Doubles::lanes) {
            typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));
            const Doubles::Vector wide = __builtin_convertvector(*reinterpret_cast<const Floats*>(row + d), Doubles::Vector);
            const Doubles::Vector whole = (wide * scale + round) - round;  // wide * scale is exact: a power of two
            Doubles::store(out + d, whole);
            sums += whole * whole;
        }
        double norm = 0.0;
        for (int k = 0; k < Doubles::lanes; ++k) norm += sums[k];
        for (; d < dim; ++d) {
            out[d] = (double(row[d]) * scale + round) - round;
            norm += out[d] * out[d];
        }
        if (norm > 0.0) inverse[i] = 1.0 / std::sqrt(norm);
    }
    return true;
}

void Panels::pack(const Grid& grid) {
    rows = grid.rows;
    dimension = grid.dimension;
    const int panels = (rows + kColumns - 1) / kColumns;
    entries.assign(std::size_t(panels) * dimension * kColumns, 0.0);
    inverse.assign(std::size_t(panels) * kColumns, 0.0);
    std::copy(grid.inverse.begin(), grid.inverse.end(), inverse.begin());
    for (int j = 0; j < rows; ++j) {
        const double* row = grid.entries.data() + std::size_t(j) * dimension;
        double* panel = entries.data() + std::size_t(j / kColumns) * dimension * kColumns + j % kColumns;
        for (int d = 0; d < dimension; ++d) panel[std::size_t(d) * kColumns] = row[d];
    }
}

HARNESS_CLONES void similarity(const Grid& prototypes, const Panels& names, int first, int last, std::int32_t* out, int stride) {
    const int dimension = names.dimension;
    const int panels = (names.rows + kColumns - 1) / kColumns;
    for (int group = 0; group < panels; group += kGroup) {
        for (int i = first; i < last; i += kRows) {
            const double* p[kRows];
            for (int r = 0; r < kRows; ++r) p[r] = prototypes.entries.data() + std::size_t(std::min(i + r, last - 1)) * dimension;
            for (int panel = group; panel < std::min(group + kGroup, panels); ++panel) {
                Doubles::Vector sum[kRows];
                tile(p, names.entries.data() + std::size_t(panel) * dimension * kColumns, dimension, sum);
                const Doubles::Vector inverse = Doubles::load(names.inverse.data() + panel * kColumns);
                for (int r = 0; r < kRows && i + r < last; ++r)
                    quantise(sum[r], prototypes.inverse[i + r] * inverse, out + std::size_t(i + r) * stride + panel * kColumns);
            }
        }
    }
}

}  // namespace harness
