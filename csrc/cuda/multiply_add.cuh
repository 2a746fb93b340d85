// The tensor cores' product of small int8 matrices, for which CUDA C++ has no function.
#pragma once

#include <cstdint>

namespace harness {

// By the 32 lanes of a warp: sum (16, 8) int32 += a (16, 32) int8 times b (32, 8) int8. The layout of fragments: PTX ISA, "Matrix
// fragments for mma.m16n8k32".
__device__ __forceinline__ void multiply_add(int (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace harness
