// csrc/cuda/multiply_add.cuh as the PTX ISA defines it ("Matrix fragments for mma.m16n8k32").
#pragma once

#include <cstdint>

#include "../../scheduler.hpp"

namespace harness {

// Element i of a lane's fragment, group = lane / 4, is at
//     a  row group, + 8 where 4 <= i < 8 or i >= 12; column 4 (lane % 4) + i % 4, + 16 where i >= 8
//     b  row 4 (lane % 4) + i % 4, + 16 where i >= 4; column group
//     c  row group, + 8 where i >= 2; column 2 (lane % 4) + i % 2
__attribute__((no_sanitize("thread"))) inline void multiply_add(int (&sum)[4], const std::uint32_t (&a)[4],
                                                                const std::uint32_t (&b)[2]) {
    struct Fragments {
        signed char a[16], b[8];
    } mine;
    __builtin_memcpy(mine.a, a, 16);
    __builtin_memcpy(mine.b, b, 8);
    const Fragments* const all = emulator::gather(emulator::Op::multiply, 0xffffffffu, mine);
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; ++i) {
        const bool lower = i >= 2;  // row group + 8
        const Fragments *row = all + lane / 4 * 4, *column = all + (2 * (lane % 4) + i % 2) * 4;
        for (int within = 0; within < 4; ++within)
            for (int right = 0; right < 2; ++right) {  // columns 16 to 31 of a
                const signed char *x = row[within].a + 4 * lower + 8 * right, *y = column[within].b + 4 * right;
                sum[i] += x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
            }
    }
}

}  // namespace harness
