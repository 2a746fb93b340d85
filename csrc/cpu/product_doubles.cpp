// Exact dot products in float64: every partial sum is an integer below 2^53.
//
// Tiles of six prototypes by eight names in registers (twelve sums of four with AVX2, six of eight with AVX-512), over
// slices of the dimension, so that a panel of names stays in the L1 cache while a strip of prototypes is processed.

#include <algorithm>

#include "cpu/similarity.hpp"

namespace harness {

namespace {

constexpr int kRows = 6, kColumns = 8;
constexpr int kSlice = 256;  // of the dimension: 16 KiB of names, 12 KiB of prototypes
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds |x| <= 2^22 to even

std::size_t bytes(int dimension) { return std::size_t(dimension + kColumns - 1) / kColumns * 64 + 64; }

struct Pack {
    template <int bytes>
    static HARNESS_INLINE double run(const float* x, Scale scale, int dimension, char* out) {
        using Doubles = Simd<double, bytes>;
        typedef float Floats __attribute__((vector_size(bytes / 2), aligned(4), may_alias));  // as many as doubles
        double* const to = reinterpret_cast<double*>(out);
        typename Doubles::Vector sum{};  // exact in any order
        int d = 0;
        for (; d + Doubles::lanes <= dimension; d += Doubles::lanes) {
            const Floats entries = *reinterpret_cast<const Floats*>(x + d);
            const Floats whole = (entries * scale.first * scale.second + kRound) - kRound;
            const typename Doubles::Vector wide = __builtin_convertvector(whole, typename Doubles::Vector);
            Doubles::store(to + d, wide);
            sum += wide * wide;
        }
        double norm = 0.0;
        for (int k = 0; k < Doubles::lanes; ++k) norm += sum[k];
        for (; d < dimension; ++d) {
            to[d] = (x[d] * scale.first * scale.second + kRound) - kRound;
            norm += to[d] * to[d];
        }
        return norm;
    }
};

double pack(const float* x, Scale scale, int dimension, char* out) { return dispatch<Pack>(x, scale, dimension, out); }

void interleave(const char* rows, int dimension, char* panel) {
    double* to = reinterpret_cast<double*>(panel);
    for (int d = 0; d < dimension; ++d)
        for (int r = 0; r < kColumns; ++r) *to++ = reinterpret_cast<const double*>(rows + r * bytes(dimension))[d];
}

template <int bytes>
HARNESS_INLINE void tile(const double* p, std::size_t pitch, const double* t, int dimension, double* out) {
    using Doubles = Simd<double, bytes>;
    constexpr int parts = kColumns / Doubles::lanes;
    typename Doubles::Vector sum[kRows][parts];
    for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < parts; ++c) sum[r][c] = Doubles::load(out + r * kColumns + c * Doubles::lanes);
    for (int d = 0; d < dimension; ++d) {
        typename Doubles::Vector names[parts];
        for (int c = 0; c < parts; ++c) names[c] = Doubles::load(t + d * kColumns + c * Doubles::lanes);
        for (int r = 0; r < kRows; ++r)
            for (int c = 0; c < parts; ++c) sum[r][c] += p[r * pitch + d] * names[c];
    }
    for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < parts; ++c) Doubles::store(out + r * kColumns + c * Doubles::lanes, sum[r][c]);
}

struct Dots {
    template <int bytes>
    static HARNESS_INLINE void run(const double* p, std::size_t pitch, int count, const double* t, int dimension, double* out) {
        std::fill_n(out, count * kColumns, 0.0);
        for (int slice = 0; slice < dimension; slice += kSlice)
            for (int i = 0; i < count; i += kRows)
                tile<bytes>(p + i * pitch + slice, pitch, t + std::size_t(slice) * kColumns, std::min(kSlice, dimension - slice),
                            out + i * kColumns);
    }
};

void dots(const char* prototypes, std::size_t bytes, int count, const char* panel, int /*names*/, int dimension, double* out) {
    dispatch<Dots>(reinterpret_cast<const double*>(prototypes), bytes / 8, count, reinterpret_cast<const double*>(panel), dimension,
                 out);
}

}  // namespace

const Product& product_doubles() {
    static constexpr Product product{"doubles", kRows, kColumns, bytes, pack, interleave, dots};
    return product;
}

}  // namespace harness
