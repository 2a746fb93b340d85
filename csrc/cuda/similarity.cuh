// Exact cosine similarity by a block, on the tensor cores of a GPU (sm_80 and later): the same integers as on the CPU.
//
// Slow truth: cpu/similarity.cpp.
//
// A grid entry x (at most 2^22 in magnitude) is three signed digits, x = d0 + 256 d1 + 65536 d2, each an int8. The product
// of two rows is nine int8 products with int32 sums, one sum per weight: sum over k of 256^k * (sum over a + b = k of
// <p_a, t_b>). Integers add exactly, so the result has the same bits as the CPU's float64 product, in any order.
// The usual scheme for float32-like accuracy needs three TF32 products, at a quarter of the rate of int8.
//
// A block of 256 threads computes a tile of 64 prototypes by 64 names, in chunks of 32 dimensions: the entries of the next chunk
// are loaded into registers while the tensor cores work on the digits of this one in shared memory. Rows and dimensions beyond
// the end are zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <cuda_fp16.h>

#include "cuda/match.hpp"
#include "cuda/team.cuh"

namespace harness {

// One operand of a product: (rows, dimension) contiguous, with the results of scan_row.
struct ScaledRows {
    const void* x;
    EntryType type;
    int rows, dimension;
    const double* inverse;  // (rows) 1 / norm of the grid row; 0 for zero rows and rows with NaN or infinity
    const int* shift;       // (rows) grid entry = rint(x * 2^shift)
};

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kChunk = 32;
constexpr int kPitch = 48;                              // bytes per row of digits: 16-byte stores, and loads without bank conflicts
constexpr int kDigits = 3 * kTile * kPitch;             // bytes of one operand
constexpr int kStaging = 2 * kDigits;                   // bytes of shared memory that a tile needs
constexpr int kLargestDimension = 1 << 15;              // 3 * dimension * 2^14 < 2^31

HARNESS_DEVICE float entry_of_16_bits(EntryType type, std::uint32_t bits) {  // bfloat16 is the upper half of a float32
    if (type == EntryType::bfloat16) return __int_as_float(int(bits << 16));
    return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}
HARNESS_DEVICE float element(const void* x, EntryType type, std::size_t k) {
    if (type == EntryType::float32) return static_cast<const float*>(x)[k];
    return entry_of_16_bits(type, static_cast<const unsigned short*>(x)[k]);
}

HARNESS_DEVICE float power_of_two(int exponent) { return __int_as_float((exponent + 127) << 23); }  // from -126 to 127

// Grid entries of a row, rint(x * 2^shift), ties to even, at most 2^22 in magnitude; two factors, since 2^shift itself can exceed
// the range of float32. Adding 1.5 * 2^23 rounds, and puts the entry into the low bits.
struct GridScale {
    float first, second;

    HARNESS_DEVICE explicit GridScale(int shift) : first(power_of_two(shift / 2)), second(power_of_two(shift - shift / 2)) {}
    HARNESS_DEVICE int entry(float x) const { return __float_as_int(x * first * second + 12582912.0f) - 0x4b400000; }
};

struct alignas(16) Words4 {  // one load or store
    std::uint32_t word[4];
};
struct alignas(8) Words2 {
    std::uint32_t word[2];
};

// Loads 16 entries of one row: four from dimension `first` on, four from `stride` further on, and so on; zeros beyond the end.
template <int stride>
HARNESS_DEVICE void fetch(const ScaledRows& side, int row, int first, float (&x)[16]) {
    const std::size_t at = std::size_t(row) * side.dimension + first, size = side.type == EntryType::float32 ? 4 : 2;
    const char* const from = static_cast<const char*>(side.x) + at * size;
    const bool inside = row < side.rows && first + 3 * stride + 4 <= side.dimension;
    if (!inside || reinterpret_cast<std::uintptr_t>(from) % (4 * size) != 0) {
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            const int d = k / 4 * stride + k % 4;
            x[k] = row < side.rows && first + d < side.dimension ? element(side.x, side.type, at + d) : 0.0f;
        }
    } else if (side.type == EntryType::float32) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const Words4 four = *reinterpret_cast<const Words4*>(from + 4 * k * stride);
            std::memcpy(x + 4 * k, four.word, 16);
        }
    } else {
        Words2 halves[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) halves[k] = *reinterpret_cast<const Words2*>(from + 2 * k * stride);
#pragma unroll
        for (int k = 0; k < 16; ++k) x[k] = entry_of_16_bits(side.type, halves[k / 4].word[k % 4 / 2] >> 16 * (k % 2) & 0xffffu);
    }
}

// A warp's load of a part of a row: neighbouring entries in neighbouring lanes.
constexpr int kRowPart = 16 * 32;  // entries per part
template <class Warp>
HARNESS_DEVICE void fetch_row_part(const Warp& warp, const ScaledRows& side, int row, int first, float (&x)[16]) {
    fetch<kRowPart / 4>(side, row, first + 4 * warp.rank(), x);
}

// Shift and inverse norm of one row, by a warp that has loaded its first part. True when an entry is NaN or infinite; the row
// then counts as zero.
template <class Warp>
HARNESS_DEVICE bool scan_row(const Warp& warp, const ScaledRows& side, int row, float (&x)[16], double* inverse, int* shift) {
    std::uint32_t largest = 0;  // as bits: without the sign, floats order like integers, and NaN is above infinity
    for (int first = 0; first < side.dimension; first += kRowPart) {
        if (first) fetch_row_part(warp, side, row, first, x);
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            const std::uint32_t size = std::uint32_t(__float_as_int(x[k])) & 0x7fffffffu;
            largest = size > largest ? size : largest;
        }
    }
    largest = warp.max(largest);
    const bool bad = largest >= 0x7f800000u;
    // max |x| is in [2^(exponent - 1), 2^exponent); the second case has no implicit bit
    const int exponent = largest >> 23 ? int(largest >> 23) - 126 : -149 + bit_length(largest);
    const int s = bad || largest == 0 ? 0 : grid_bits(side.dimension) - exponent;
    const GridScale scale(s);
    std::int64_t norm = 0;
    for (int first = 0; first < side.dimension && !bad; first += kRowPart) {
        if (side.dimension > kRowPart) fetch_row_part(warp, side, row, first, x);
#pragma unroll
        for (int k = 0; k < 16; ++k) {
            const std::int64_t whole = scale.entry(x[k]);
            norm += whole * whole;
        }
    }
    norm = warp.sum(norm);
    if (warp.rank() == 0) {
        *inverse = norm > 0 ? 1.0 / sqrt(double(norm)) : 0.0;
        *shift = s;
    }
    return bad;
}

// Stores the three digits of 16 entries in the three planes of one operand. With 128 added to every digit they are the bytes of
// an integer, which byte permutations sort into words of four entries.
HARNESS_DEVICE void store_digits(const float (&x)[16], const GridScale& scale, signed char* plane) {
    Words4 digits[3];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        std::uint32_t whole[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) whole[i] = std::uint32_t(scale.entry(x[4 * k + i]) + 0x808080);
        const std::uint32_t lower = __byte_perm(whole[0], whole[1], 0x5140), upper = __byte_perm(whole[2], whole[3], 0x5140);
        const std::uint32_t lower_top = __byte_perm(whole[0], whole[1], 0x62), upper_top = __byte_perm(whole[2], whole[3], 0x62);
        digits[0].word[k] = __byte_perm(lower, upper, 0x5410) ^ 0x80808080u;
        digits[1].word[k] = __byte_perm(lower, upper, 0x7632) ^ 0x80808080u;
        digits[2].word[k] = __byte_perm(lower_top, upper_top, 0x5410) ^ 0x80808080u;
    }
#pragma unroll
    for (int digit = 0; digit < 3; ++digit) *reinterpret_cast<Words4*>(plane + digit * kTile * kPitch) = digits[digit];
}

HARNESS_DEVICE std::uint32_t word_at(const signed char* at) { return *reinterpret_cast<const std::uint32_t*>(at); }

// Computes the tile at (first_row, first_column) and calls emit(i, j, rint(cos * 2^28)) for the pairs that exist. All 256 threads
// of a block call it; `staging` is 16-byte aligned, and free again after their next barrier.
template <class Block, class Emit>
HARNESS_DEVICE void similarity_tile(Block& team, const ScaledRows& p, int first_row, const ScaledRows& t, int first_column,
                                  signed char* staging, const Emit& emit) {
    const auto warp = team.warp();
    const int group = warp.rank() / 4, within = warp.rank() % 4;                                     // position in a fragment
    const int warp_row = team.warp_index() / 4 * 32, warp_column = team.warp_index() % 4 * 16;  // a warp computes 32 x 16

    // Each thread loads half a chunk of one row: threads 0 to 127 of the prototypes, the others of the names.
    const bool of_names = team.rank() >= kThreads / 2;
    const ScaledRows& operand = of_names ? t : p;
    const ScaledRows mine{operand.x, p.type, operand.rows, p.dimension, nullptr, operand.shift};
    const int slot = team.rank() % (kThreads / 2) / 2, half = team.rank() % 2 * 16;
    const int my_row = (of_names ? first_column : first_row) + slot;
    const GridScale scale(my_row < mine.rows ? mine.shift[my_row] : 0);
    signed char* const my_plane = staging + (of_names ? kDigits : 0) + slot * kPitch + half;

    int sum[2][2][5][4] = {};  // 2 x 2 fragments of 16 x 8, by weight 256^0 ... 256^4
    float next[16];
    fetch<4>(mine, my_row, half, next);
    for (int d = 0; d < p.dimension; d += kChunk) {
        team.sync();
        store_digits(next, scale, my_plane);
        team.sync();
        if (d + kChunk < p.dimension) fetch<4>(mine, my_row, d + kChunk + half, next);

        std::uint32_t b[3][2][2];
#pragma unroll
        for (int digit = 0; digit < 3; ++digit)
#pragma unroll
            for (int n = 0; n < 2; ++n) {
                const signed char* at =
                    staging + kDigits + digit * kTile * kPitch + (warp_column + 8 * n + group) * kPitch + 4 * within;
                b[digit][n][0] = word_at(at);
                b[digit][n][1] = word_at(at + 16);
            }
#pragma unroll
        for (int digit = 0; digit < 3; ++digit)
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                const signed char* at = staging + digit * kTile * kPitch + (warp_row + 16 * m + group) * kPitch + 4 * within;
                const std::uint32_t a[4] = {word_at(at), word_at(at + 8 * kPitch), word_at(at + 16), word_at(at + 8 * kPitch + 16)};
#pragma unroll
                for (int other = 0; other < 3; ++other)
#pragma unroll
                    for (int n = 0; n < 2; ++n) warp.multiply(sum[m][n][digit + other], a, b[other][n]);
            }
    }

#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const int i = first_row + warp_row + 16 * m + group + (k / 2) * 8;
                const int j = first_column + warp_column + 8 * n + 2 * within + k % 2;
                if (i >= p.rows || j >= t.rows) continue;
                std::int64_t dot = 0;
#pragma unroll
                for (int weight = 4; weight >= 0; --weight) dot = dot * 256 + sum[m][n][weight][k];
                const double cosine = __dmul_rn(double(dot), __dmul_rn(p.inverse[i], t.inverse[j]));
                emit(i, j, __double2int_rn(cosine * kUnit));
            }
}

}  // namespace harness
