#pragma once

#include <cstdint>
#include <cstring>

struct __nv_bfloat16 {
    std::uint16_t upper;  // half of a float32
};
inline float __bfloat162float(__nv_bfloat16 x) {
    const std::uint32_t bits = std::uint32_t(x.upper) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
