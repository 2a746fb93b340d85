// Exact dot products by pairs of int16: one instruction (vpdpwssd of AVX-512 VNNI) multiplies 32 of them and adds the
// products of neighbours to 16 sums of int32. Four times the products of float64 per instruction.
//
// A grid entry is two digits, x = 2048 a + b, |a| <= 2^11, |b| <= 2^10. Three products give <x, y> (Karatsuba 1962):
//
//     <x, y> = 2^22 <a, a'> + 2^11 (<a + b, a' + b'> - <a, a'> - <b, b'>) + <b, b'>
//
// Over a slice of 256 dimensions <a, a'> and the bracket stay within 2^30. int32 sums may wrap on the way: only the
// bracket's final value has to fit. Slices are added in float64, exactly as in product_doubles.cpp.

#include "cpu/similarity.hpp"

#if defined(__x86_64__) && defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 12)  // with GCC 11 it is slower than doubles

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns about its own intrinsics (bug 105593)
#endif

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define HARNESS_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define HARNESS_VNNI_INLINE HARNESS_VNNI inline __attribute__((always_inline))

namespace harness {

namespace {

constexpr int kRows = 4;      // prototypes of the smaller tile; the other has twice as many
constexpr int kColumns = 16;  // names of a panel
constexpr int kSlice = 128;   // words of two entries

// A packed row has three planes: a, b and a + b. One more cache line between rows avoids conflicts in the L1 cache.
int words(int dimension) { return (dimension + 31) / 32 * 16; }
std::size_t bytes(int dimension) { return 3 * 4 * std::size_t(words(dimension)) + 64; }

// 16 x 16 words: row r, word k becomes row k, word r, by exchanging one bit of r with one bit of k after the other.
HARNESS_VNNI_INLINE void transpose(__m512i (&x)[16]) {
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#pragma GCC unroll 4
    for (int step = 1; step < 16; step *= 2) {
        const __m512i bit = _mm512_set1_epi32(step), other = _mm512_xor_si512(lane, bit), second = _mm512_set1_epi32(16);
        const __mmask16 has = _mm512_test_epi32_mask(lane, bit);
        const __m512i to_first = _mm512_mask_add_epi32(lane, has, other, second);
        const __m512i to_second = _mm512_mask_add_epi32(other, has, lane, second);
#pragma GCC unroll 16
        for (int r = 0; r < 16; ++r) {
            if (r & step) continue;
            const __m512i a = x[r], b = x[r + step];
            x[r] = _mm512_permutex2var_epi32(a, to_first, b);
            x[r + step] = _mm512_permutex2var_epi32(a, to_second, b);
        }
    }
}

// Loads sixteen grid entries, of which `left` exist.
HARNESS_VNNI_INLINE __m512i sixteen(const float* x, int left, __m512 once, __m512 again) {
    const __mmask16 inside = left >= 16 ? 0xffff : left > 0 ? __mmask16((1 << left) - 1) : 0;
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_mul_ps(_mm512_maskz_loadu_ps(inside, x), once), again));
}

// Splits a row into digits; returns its squared norm from the same digits: x^2 = 2^22 a^2 + 2^12 a b + b^2.
HARNESS_VNNI double pack(const float* x, Scale scale, int dimension, char* out) {
    const __m512 once = _mm512_set1_ps(scale.first), again = _mm512_set1_ps(scale.second);
    const int all = words(dimension);
    std::int32_t* plane = reinterpret_cast<std::int32_t*>(out);
    double norm = 0.0;
    for (int slice = 0; slice < all; slice += kSlice) {
        __m512i high = _mm512_setzero_si512(), low = high, both = high;
        for (int k = slice; k < std::min(slice + kSlice, all); k += 16) {
            const float* const from = x + 2 * k;
            __builtin_prefetch(from + 2 * dimension);  // two rows ahead, often in another page
            __builtin_prefetch(from + 2 * dimension + 16);
            const __m512i first = sixteen(from, dimension - 2 * k, once, again);
            const __m512i second = sixteen(from + 16, dimension - 2 * k - 16, once, again);
            const __m512i half = _mm512_set1_epi32(1024);
            const __m512i a1 = _mm512_srai_epi32(_mm512_add_epi32(first, half), 11);
            const __m512i a2 = _mm512_srai_epi32(_mm512_add_epi32(second, half), 11);
            // packs mixes the entries of a block of 32, of every row alike
            const __m512i a = _mm512_packs_epi32(a1, a2);
            const __m512i b = _mm512_packs_epi32(_mm512_sub_epi32(first, _mm512_slli_epi32(a1, 11)),
                                                 _mm512_sub_epi32(second, _mm512_slli_epi32(a2, 11)));
            _mm512_storeu_si512(plane + k, a);
            _mm512_storeu_si512(plane + all + k, b);
            _mm512_storeu_si512(plane + 2 * all + k, _mm512_add_epi16(a, b));
            high = _mm512_dpwssd_epi32(high, a, a);
            low = _mm512_dpwssd_epi32(low, b, b);
            both = _mm512_dpwssd_epi32(both, a, b);
        }
        norm += 4194304.0 * _mm512_reduce_add_epi32(high) + 4096.0 * _mm512_reduce_add_epi32(both) + _mm512_reduce_add_epi32(low);
    }
    return norm;
}

HARNESS_VNNI void interleave(const char* rows, int dimension, char* panel) {
    for (std::size_t k = 0; k < 12 * std::size_t(words(dimension)); k += 64) {
        __m512i block[kColumns];
        for (int r = 0; r < kColumns; ++r) block[r] = _mm512_loadu_si512(rows + r * bytes(dimension) + k);
        transpose(block);
        for (int r = 0; r < kColumns; ++r) _mm512_storeu_si512(panel + (k + 4 * r) * kColumns, block[r]);
    }
}

// sum += products of the words of `names` with one word. The intrinsic for this costs GCC 12 a copy of `sum` each time.
HARNESS_VNNI_INLINE void multiply(__m512i& sum, __m512i names, const std::int32_t& word) {
    asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(names), "m"(word));
}
HARNESS_VNNI_INLINE void multiply(__m256i& sum, __m256i names, const std::int32_t& word) {
    asm("vpdpwssd %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(names), "m"(word));
}

HARNESS_VNNI_INLINE __m512i widened(__m512i x) { return x; }
HARNESS_VNNI_INLINE __m512i widened(__m256i x) { return _mm512_zextsi256_si512(x); }

// out (rows, 16) int32: the sums over `count` words, of a whole panel, or (__m256i) of its first eight names.
template <int rows, class Vector>
HARNESS_VNNI_INLINE void tile(const std::int32_t* p, std::size_t pitch, const std::int32_t* t, int count, std::int32_t* out) {
    Vector sum[rows] = {};
    for (int k = 0; k < count; ++k) {
        Vector names;
        std::memcpy(&names, t + k * kColumns, sizeof names);
        for (int r = 0; r < rows; ++r) multiply(sum[r], names, p[r * pitch + k]);
    }
    for (int r = 0; r < rows; ++r) _mm512_storeu_si512(out + r * kColumns, widened(sum[r]));
}

// A strip, `pitch` words from row to row.
template <class Vector>
HARNESS_VNNI_INLINE void strip(const std::int32_t* p, std::size_t pitch, int count, const std::int32_t* t, int size,
                               std::int32_t* out) {
    int i = 0;
    for (; i + 8 <= count; i += 8) tile<8, Vector>(p + i * pitch, pitch, t, size, out + i * kColumns);
    if (i < count) tile<kRows, Vector>(p + i * pitch, pitch, t, size, out + i * kColumns);
}

HARNESS_VNNI_INLINE void combine(const std::int32_t* high, const std::int32_t* low, const std::int32_t* both, double* out) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low));
    const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(both));
    const __m512d bracket = _mm512_cvtepi32_pd(_mm256_sub_epi32(c, _mm256_add_epi32(a, b)));
    __m512d sum = _mm512_add_pd(_mm512_loadu_pd(out), _mm512_cvtepi32_pd(b));
    sum = _mm512_fmadd_pd(bracket, _mm512_set1_pd(2048.0), sum);
    _mm512_storeu_pd(out, _mm512_fmadd_pd(_mm512_cvtepi32_pd(a), _mm512_set1_pd(4194304.0), sum));
}

HARNESS_VNNI void dots(const char* prototypes, std::size_t bytes, int count, const char* panel, int names, int dimension,
                       double* out) {
    const std::int32_t* p = reinterpret_cast<const std::int32_t*>(prototypes);
    const std::int32_t* t = reinterpret_cast<const std::int32_t*>(panel);
    const int all = words(dimension);
    alignas(64) std::int32_t sums[3][kStrip * kColumns];
    std::fill_n(out, count * kColumns, 0.0);
    for (int slice = 0; slice < all; slice += kSlice) {
        for (int plane = 0; plane < 3; ++plane) {
            const std::size_t from = std::size_t(plane) * all + slice;
            const int size = std::min(kSlice, all - slice);
            if (names > kColumns / 2)
                strip<__m512i>(p + from, bytes / 4, count, t + from * kColumns, size, sums[plane]);
            else
                strip<__m256i>(p + from, bytes / 4, count, t + from * kColumns, size, sums[plane]);
        }
        for (int k = 0; k < count * kColumns; k += 8) combine(sums[0] + k, sums[1] + k, sums[2] + k, out + k);
    }
}

}  // namespace

const Product* product_pairs() {
    static constexpr Product product{"pairs", kRows, kColumns, bytes, pack, interleave, dots};
    static const bool possible = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return possible && register_bytes == 64 ? &product : nullptr;
}

}  // namespace harness

#else

namespace harness {

const Product* product_pairs() { return nullptr; }

}  // namespace harness

#endif
