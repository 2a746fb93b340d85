// out[i][j] = rint(2^28 * <p_i, t_j> / (|p_i| |t_j|)) on rows that were first rounded to a grid of integers.
//
// Slow truth, in numpy (harness/matching/quantise.py computes exactly these integers):
//
//     p, t = grid(prototypes), grid(names)                    integers, stored as float64
//     r, s = 1 / sqrt((p * p).sum(1)), 1 / sqrt((t * t).sum(1))
//     out = rint((p @ t.T) * (r[:, None] * s[None, :]) * 2**28)
//
// The sums are exact (see grid_bits), each of the four other operations rounds once as IEEE 754 says, and r * s commutes:
// the result depends neither on blocking, threads or fused multiply-add, nor on which side is called prototypes.
//
// Fast version: p @ t.T by one of two products (product_doubles.cpp, product_pairs.cpp), a strip of prototypes and a panel
// of names at a time.

#include "cpu/similarity.hpp"

#include <algorithm>
#include <cmath>

namespace harness {

namespace {

constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding and subtracting it rounds to even

// The largest magnitude of a row, as bits: without the sign, floats order like integers, and NaN is above infinity.
struct LargestBits {
    template <int bytes>
    static HARNESS_INLINE std::int32_t run(const float* row, int dimension) {
        using Words = Simd<std::int32_t, bytes>;
        typename Words::Vector most{};
        int d = 0;
        for (; d + Words::lanes <= dimension; d += Words::lanes)
            most = Words::max(most, Words::load(reinterpret_cast<const std::int32_t*>(row + d)) & 0x7fffffff);
        std::int32_t largest = -Words::reduce_min(-most);
        for (; d < dimension; ++d) {
            std::int32_t word;
            std::memcpy(&word, row + d, 4);
            largest = std::max(largest, word & 0x7fffffff);
        }
        return largest;
    }
};

// Rounds dots (count, columns) to similarities.
struct Quantise {
    template <int bytes>
    static HARNESS_INLINE void run(const double* dots, int count, int columns, const double* row, const double* column,
                                   std::int32_t* out, int stride) {
        using Doubles = Simd<double, bytes>;
        typedef std::int32_t Ints __attribute__((vector_size(bytes / 2), aligned(4), may_alias));
        for (int i = 0; i < count; ++i)
            for (int j = 0; j < columns; j += Doubles::lanes) {
                const typename Doubles::Vector cosine = Doubles::load(dots + i * columns + j) * (row[i] * Doubles::load(column + j));
                // times 2^28 is exact, so a fused multiply-add changes nothing
                *reinterpret_cast<Ints*>(out + std::size_t(i) * stride + j) =
                    __builtin_convertvector((cosine * double(kUnit) + kRound) - kRound, Ints);
            }
    }
};

}  // namespace

Scale scale_of(float largest, int bits) {
    int exponent = 0;
    std::frexp(largest, &exponent);
    const int shift = bits - exponent;  // two exact steps, except where the result rounds to zero anyway
    return {std::ldexp(1.0f, shift / 2), std::ldexp(1.0f, shift - shift / 2)};
}

const Product& best_product() { return product_pairs() ? *product_pairs() : product_doubles(); }

void PackedRows::allocate(const Product& by, int n, int dim, int panel_width) {
    const int unit = panel_width == 1 ? by.rows : panel_width;
    product = &by;
    rows = n;
    dimension = dim;
    width = panel_width;
    padded_rows = (n + unit - 1) / unit * unit;
    bytes = by.bytes(dim);
    entries.resize(padded_rows * bytes);
    inverse.assign(padded_rows, 0.0);
}

bool PackedRows::pack_panel(const float* x, int k) {
    static thread_local AlignedVector<char> scratch;
    char* const panel = entries.data() + std::size_t(k) * width * bytes;
    if (width > 1) scratch.resize(width * bytes);
    char* out = width > 1 ? scratch.data() : panel;
    for (int i = k * width; i < (k + 1) * width; ++i, out += bytes) {
        const float* const row = x + std::size_t(i) * dimension;
        const std::int32_t bits = i < rows ? dispatch<LargestBits>(row, dimension) : 0;
        if (bits >= 0x7f800000) return false;
        if (bits == 0) {  // a zero row, or none
            std::memset(out, 0, bytes);
            continue;
        }
        float largest;
        std::memcpy(&largest, &bits, 4);
        inverse[i] = 1.0 / std::sqrt(product->pack(row, scale_of(largest, grid_bits(dimension)), dimension, out));
    }
    if (width > 1) product->interleave(scratch.data(), dimension, panel);
    return true;
}

void similarity_strip(const PackedRows& prototypes, const PackedRows& names, int first, std::int32_t* out, int stride) {
    const Product& product = *names.product;
    const int count = std::min(kStrip, prototypes.rows - first);
    const int padded = (count + product.rows - 1) / product.rows * product.rows;
    alignas(64) double dots[kStrip * 16];
    for (int k = 0; k < names.panels(); ++k) {
        const int j = k * product.columns;
        product.dots(prototypes.entries.data() + first * prototypes.bytes, prototypes.bytes, padded,
                     names.entries.data() + j * names.bytes, std::min(product.columns, names.rows - j), names.dimension, dots);
        dispatch<Quantise>(dots, count, product.columns, &prototypes.inverse[first], &names.inverse[j],
                 out + std::size_t(first) * stride + j, stride);
    }
}

}  // namespace harness
