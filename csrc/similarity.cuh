// similarity.cpp's whole numbers on the tensor cores of a GPU (sm_80 and later), exactly.
//
// A grid entry x (at most 2^22 in magnitude) is three signed digits, x = d0 + 256 d1 + 65536 d2, each an int8. The product
// of two rows is nine int8 products with int32 sums, kept apart by weight: sum over k of 256^k * (sum over a + b = k of
// <p_a, t_b>). Integers add exactly, so the result has the very bits of the CPU's float64 product, whatever the order.
// Nine int8 products stand against three TF32 products of the usual scheme for float32-like accuracy, at four times the rate.
//
// A block of 256 threads makes a tile of 64 prototypes by 64 names. It walks along the dimension in chunks of 32: the
// entries of the next chunk are fetched into registers while the tensor cores work on the digits of this one in shared
// memory. Rows beyond the end and dimensions beyond the end are zeros.
#pragma once

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace harness {

enum class Type : int { float32, float16, bfloat16 };

// One side of a product: (rows, dimension) contiguous, with what scan_rows found.
struct Side {
    const void* x;
    Type type;
    int rows, dimension;
    const double* inverse;  // (rows) 1 / norm of the grid row; 0 for zero rows and rows with NaN or infinity
    const int* shift;       // (rows) grid entry = rint(x * 2^shift)
};

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kChunk = 32;
constexpr int kPitch = 48;                              // bytes per row of digits: 16-byte stores, and loads without conflict
constexpr int kDigits = 3 * kTile * kPitch;             // bytes of one side
constexpr int kStaging = 2 * kDigits;                   // bytes of shared memory that a tile needs
constexpr int kLargestDimension = 1 << 15;              // 3 * dimension * 2^14 < 2^31

__host__ __device__ inline int device_grid_bits(int dimension) {  // grid_bits of similarity.hpp
    int log = 0;
    while ((1LL << log) < dimension) ++log;
    const int bits = (53 - log) / 2;
    return bits < 22 ? bits : 22;
}

__device__ __forceinline__ float element(const void* x, Type type, std::size_t k) {
    if (type == Type::float32) return static_cast<const float*>(x)[k];
    if (type == Type::float16) return __half2float(static_cast<const __half*>(x)[k]);
    return __bfloat162float(static_cast<const __nv_bfloat16*>(x)[k]);
}

// rint(x * 2^shift), by two exact steps: 2^shift itself may be no float32.
__device__ __forceinline__ int grid_entry(float x, int shift) {
    const int half = shift / 2;
    return __float2int_rn(x * __int_as_float((half + 127) << 23) * __int_as_float((shift - half + 127) << 23));
}

// Shift and inverse norm of one row, by one warp. True when an entry is NaN or infinite; the row then counts as zero.
__device__ inline bool scan_row(const void* x, Type type, std::size_t row, int dimension, double* inverse, int* shift) {
    const int lane = threadIdx.x % 32;
    const std::size_t first = row * dimension;
    unsigned largest = 0;  // as bits: without the sign, floats order like integers, and NaN lies above infinity
    for (int d = lane; d < dimension; d += 32)
        largest = max(largest, __float_as_uint(element(x, type, first + d)) & 0x7fffffffu);
    largest = __reduce_max_sync(0xffffffffu, largest);
    const bool bad = largest >= 0x7f800000u;
    // max |x| lies in [2^(exponent - 1), 2^exponent); the second case has no implicit bit
    const int exponent = largest >> 23 ? int(largest >> 23) - 126 : -117 - __clz(int(largest));
    const int s = bad || largest == 0 ? 0 : device_grid_bits(dimension) - exponent;
    long long norm = 0;
    if (!bad)
        for (int d = lane; d < dimension; d += 32) {
            const long long whole = grid_entry(element(x, type, first + d), s);
            norm += whole * whole;
        }
    for (int step = 16; step > 0; step /= 2) norm += __shfl_xor_sync(0xffffffffu, norm, step);
    if (lane == 0) {
        *inverse = norm > 0 ? 1.0 / sqrt(double(norm)) : 0.0;
        *shift = s;
    }
    return bad;
}

__device__ __forceinline__ void multiply(int (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Half a chunk of one row: 16 entries from dimension `first` on, zeros beyond the end.
__device__ __forceinline__ void fetch(const Side& side, int row, int first, float (&x)[16]) {
    const std::size_t at = std::size_t(row) * side.dimension + first;
    const bool inside = row < side.rows && first + 16 <= side.dimension;
    if (inside && side.type == Type::float32 && reinterpret_cast<std::uintptr_t>(static_cast<const float*>(side.x) + at) % 16 == 0) {
        const float4* four = reinterpret_cast<const float4*>(static_cast<const float*>(side.x) + at);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const float4 v = four[k];
            x[4 * k] = v.x, x[4 * k + 1] = v.y, x[4 * k + 2] = v.z, x[4 * k + 3] = v.w;
        }
        return;
    }
#pragma unroll
    for (int k = 0; k < 16; ++k)
        x[k] = row < side.rows && first + k < side.dimension ? element(side.x, side.type, at + k) : 0.0f;
}

// The three digits of 16 entries, into the three planes of one side.
__device__ __forceinline__ void store_digits(const float (&x)[16], int shift, signed char* plane) {
    unsigned digits[3][4] = {};
#pragma unroll
    for (int k = 0; k < 16; ++k) {
        const int whole = grid_entry(x[k], shift);
        const int upper = (whole + 128) >> 8;  // whole = 256 * upper + signed low byte of whole
        const int top = (upper + 128) >> 8;
        digits[0][k / 4] |= unsigned(whole & 255) << (8 * (k % 4));
        digits[1][k / 4] |= unsigned(upper & 255) << (8 * (k % 4));
        digits[2][k / 4] |= unsigned(top & 255) << (8 * (k % 4));
    }
#pragma unroll
    for (int digit = 0; digit < 3; ++digit)
        *reinterpret_cast<uint4*>(plane + digit * kTile * kPitch) =
            make_uint4(digits[digit][0], digits[digit][1], digits[digit][2], digits[digit][3]);
}

// The tile from (first_row, first_column) on: emit(i, j, rint(cos * 2^28)) for the pairs that exist. All 256 threads call
// it; `staging` is 16-byte aligned and free again afterwards.
template <class Emit>
__device__ __forceinline__ void similarity_tile(const Side& p, int first_row, const Side& t, int first_column, signed char* staging,
                                                const Emit& emit) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int group = lane / 4, within = lane % 4;                       // the places in an mma fragment
    const int warp_row = warp / 4 * 32, warp_column = warp % 4 * 16;     // a warp makes 32 x 16

    // Each thread brings half a chunk of one row: threads 0 to 127 of the prototypes, the others of the names.
    const bool of_names = threadIdx.x >= kThreads / 2;
    const Side mine{of_names ? t.x : p.x, p.type, of_names ? t.rows : p.rows, p.dimension, nullptr, of_names ? t.shift : p.shift};
    const int slot = threadIdx.x % (kThreads / 2) / 2, half = threadIdx.x % 2 * 16;
    const int my_row = (of_names ? first_column : first_row) + slot;
    const int shift = my_row < mine.rows ? mine.shift[my_row] : 0;
    signed char* const my_plane = staging + (of_names ? kDigits : 0) + slot * kPitch + half;

    int sum[2][2][5][4] = {};  // 2 x 2 fragments of 16 x 8, by weight 256^0 ... 256^4
    float next[16];
    fetch(mine, my_row, half, next);
    for (int d = 0; d < p.dimension; d += kChunk) {
        __syncthreads();
        store_digits(next, shift, my_plane);
        __syncthreads();
        if (d + kChunk < p.dimension) fetch(mine, my_row, d + kChunk + half, next);

        unsigned b[3][2][2];
#pragma unroll
        for (int digit = 0; digit < 3; ++digit)
#pragma unroll
            for (int n = 0; n < 2; ++n) {
                const signed char* at =
                    staging + kDigits + digit * kTile * kPitch + (warp_column + 8 * n + group) * kPitch + 4 * within;
                b[digit][n][0] = *reinterpret_cast<const unsigned*>(at);
                b[digit][n][1] = *reinterpret_cast<const unsigned*>(at + 16);
            }
#pragma unroll
        for (int digit = 0; digit < 3; ++digit)
#pragma unroll
            for (int m = 0; m < 2; ++m) {
                const signed char* at = staging + digit * kTile * kPitch + (warp_row + 16 * m + group) * kPitch + 4 * within;
                const unsigned a[4] = {
                    *reinterpret_cast<const unsigned*>(at), *reinterpret_cast<const unsigned*>(at + 8 * kPitch),
                    *reinterpret_cast<const unsigned*>(at + 16), *reinterpret_cast<const unsigned*>(at + 8 * kPitch + 16)};
#pragma unroll
                for (int other = 0; other < 3; ++other)
#pragma unroll
                    for (int n = 0; n < 2; ++n) multiply(sum[m][n][digit + other], a, b[other][n]);
            }
    }
    __syncthreads();

#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
        for (int n = 0; n < 2; ++n)
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                const int i = first_row + warp_row + 16 * m + group + (k / 2) * 8;
                const int j = first_column + warp_column + 8 * n + 2 * within + k % 2;
                if (i >= p.rows || j >= t.rows) continue;
                long long dot = 0;
#pragma unroll
                for (int weight = 4; weight >= 0; --weight) dot = dot * 256 + sum[m][n][weight][k];
                const double cosine = __dmul_rn(double(dot), __dmul_rn(p.inverse[i], t.inverse[j]));
                emit(i, j, __double2int_rn(cosine * 268435456.0));
            }
}

}  // namespace harness
