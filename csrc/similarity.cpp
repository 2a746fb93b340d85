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
// Fast version: p @ t.T by one of two products (product_doubles.cpp, product_pairs.cpp), a strip of prototypes and a panel
// of names at a time.

#include "similarity.hpp"

#include <algorithm>
#include <cmath>

namespace harness {

namespace {

using Doubles = Wide<double>;
typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));  // as many as doubles

constexpr int kPitch = 32;                          // rows are padded to a multiple of this for packing
constexpr float kRoundFloat = 12582912.0f;          // 1.5 * 2^23: adding and subtracting it rounds |x| <= 2^22 to even
constexpr double kRoundDouble = 6755399441055744.0;  // 1.5 * 2^52

}  // namespace

int grid_bits(std::int64_t dimension) {
    int log = 0;
    while ((std::int64_t(1) << log) < dimension) ++log;
    return std::min(22, (53 - log) / 2);
}

// One row on the grid, and its squared norm; a negative one when an entry is NaN or infinite.
HARNESS_CLONES double round_row(const float* row, int dimension, int bits, float* out) {
    using Words = Wide<std::int32_t>;
    Words::Vector most{};  // as bits: without the sign, floats order like integers, and NaN lies above infinity
    int first = 0;
    for (; first + Words::lanes <= dimension; first += Words::lanes) {
        __builtin_prefetch(row + first + dimension);  // the next row: in another page, as likely as not
        const Words::Vector x = Words::load(reinterpret_cast<const std::int32_t*>(row + first)) & 0x7fffffff;
        most = x > most ? x : most;
    }
    std::int32_t largest = -Words::smallest(-most);
    for (; first < dimension; ++first) {
        std::int32_t word;
        std::memcpy(&word, row + first, 4);
        largest = std::max(largest, word & 0x7fffffff);
    }
    if (largest >= 0x7f800000) return -1.0;
    float top;
    std::memcpy(&top, &largest, 4);
    int exponent = 0;
    std::frexp(top, &exponent);
    const int shift = bits - exponent;  // 2^shift may be no float: two steps, exact but for what rounds to zero anyway
    const float once = std::ldexp(1.0f, shift / 2), again = std::ldexp(1.0f, shift - shift / 2);
    Doubles::Vector even{}, odd{};  // exact in any order
    int d = 0;
    for (; d + 16 <= dimension; d += 16)
        for (int half = 0; half < 2; ++half) {
            const Floats x = *reinterpret_cast<const Floats*>(row + d + 8 * half);
            const Floats whole = (x * once * again + kRoundFloat) - kRoundFloat;
            *reinterpret_cast<Floats*>(out + d + 8 * half) = whole;
            const Doubles::Vector wide = __builtin_convertvector(whole, Doubles::Vector);
            (half ? odd : even) += wide * wide;
        }
    even += odd;
    double norm = 0.0;
    for (int k = 0; k < Doubles::lanes; ++k) norm += even[k];
    for (; d < dimension; ++d) {
        out[d] = (row[d] * once * again + kRoundFloat) - kRoundFloat;
        norm += double(out[d]) * double(out[d]);
    }
    return norm;
}

const Product& best_product() { return pairs() ? *pairs() : doubles(); }

void Packed::allot(const Product& by, int n, int dim, int panel_width) {
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

bool Packed::round(const float* x, int k) {
    static thread_local Lines<float> whole;
    const int pitch = (dimension + kPitch - 1) / kPitch * kPitch, bits = grid_bits(dimension);
    whole.resize(std::size_t(width) * pitch);
    for (int i = k * width; i < (k + 1) * width; ++i) {
        float* const out = whole.data() + std::size_t(i - k * width) * pitch;
        std::fill(i < rows ? out + dimension : out, out + pitch, 0.0f);
        if (i >= rows) continue;
        const double norm = round_row(x + std::size_t(i) * dimension, dimension, bits, out);
        if (norm < 0.0) return false;
        if (norm > 0.0) inverse[i] = 1.0 / std::sqrt(norm);
    }
    product->pack(whole.data(), width, pitch, dimension, entries.data() + std::size_t(k) * width * bytes);
    return true;
}

// dots (count, columns) to whole numbers.
HARNESS_CLONES void quantise(const double* dots, int count, int columns, const double* row, const double* column,
                             std::int32_t* out, int stride) {
    typedef std::int32_t Ints __attribute__((vector_size(32), aligned(4), may_alias));
    for (int i = 0; i < count; ++i)
        for (int j = 0; j < columns; j += Doubles::lanes) {
            const Doubles::Vector cosine = Doubles::load(dots + i * columns + j) * (row[i] * Doubles::load(column + j));
            // times 2^28 is exact, so a fused multiply-add changes nothing
            *reinterpret_cast<Ints*>(out + std::size_t(i) * stride + j) =
                __builtin_convertvector((cosine * 268435456.0 + kRoundDouble) - kRoundDouble, Ints);
        }
}

void similarity(const Packed& prototypes, const Packed& names, int first, std::int32_t* out, int stride) {
    const Product& product = *names.product;
    const int count = std::min(kStrip, prototypes.rows - first);
    const int padded = (count + product.rows - 1) / product.rows * product.rows;
    alignas(64) double dots[kStrip * 16];
    for (int k = 0; k < names.panels(); ++k) {
        const int j = k * product.columns;
        product.dots(prototypes.entries.data() + first * prototypes.bytes, prototypes.bytes, padded,
                     names.entries.data() + j * names.bytes, std::min(product.columns, names.rows - j), names.dimension, dots);
        quantise(dots, count, product.columns, &prototypes.inverse[first], &names.inverse[j],
                 out + std::size_t(first) * stride + j, stride);
    }
}

}  // namespace harness
