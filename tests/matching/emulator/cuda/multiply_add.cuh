// csrc/multiply_add.cuh as the PTX ISA writes it down ("Matrix fragments for mma.m16n8k32").
#pragma once

#include <cstdint>
#include <cstring>

#include "../scheduler.hpp"

namespace harness {

// Element i of a lane's fragment, group = lane / 4, lies at
//     a  row group, + 8 where 4 <= i < 8 or i >= 12; column 4 (lane % 4) + i % 4, + 16 where i >= 8
//     b  row 4 (lane % 4) + i % 4, + 16 where i >= 4; column group
//     c  row group, + 8 where i >= 2; column 2 (lane % 4) + i % 2
inline __attribute__((no_sanitize("thread"))) void multiply_add(int (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    struct Fragments {
        signed char a[16], b[8];
    } mine;
    __builtin_memcpy(mine.a, a, 16);
    __builtin_memcpy(mine.b, b, 8);
    const Fragments* const all = emulator::gather(emulator::Op::multiply, 0xffffffffu, mine);
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + (i >= 2 ? 8 : 0), column = 2 * (lane % 4) + i % 2;
        for (int k = 0; k < 32; ++k) {
            const int within = k % 16 / 4, upper = k / 16;
            sum[i] += all[row % 8 * 4 + within].a[k % 4 + (row >= 8 ? 4 : 0) + 8 * upper] * all[column * 4 + within].b[k % 4 + 4 * upper];
        }
    }
}

}  // namespace harness
