// Text read in blocks of characters, as bit masks of what they are.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/simd.hpp"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace harness::corpus {

constexpr std::size_t kBlock = 64;  // characters whose masks are made at once

// What has an instruction of its own at some levels: the first bits of a vector's bytes, and the lowest bit of a number,
// which is anything for 0.
template <int bytes>
struct Bits {
    using Vector = typename Simd<signed char, bytes>::Vector;
    static HARNESS_INLINE std::uint64_t of(const Vector& x) {
#ifdef __SSE2__
        return std::uint32_t(_mm_movemask_epi8(__m128i(x)));
#else
        std::uint64_t bits = 0;
        for (int k = 0; k < bytes; ++k) bits |= std::uint64_t(x[k] < 0) << k;
        return bits;
#endif
    }
    static HARNESS_INLINE std::uint32_t lowest(std::uint64_t x) { return std::uint32_t(__builtin_ctzll(x | std::uint64_t(1) << 63)); }
};

#ifdef HARNESS_LEVELS
template <>
struct Bits<32> {
    using Vector = Simd<signed char, 32>::Vector;
    __attribute__((target(HARNESS_AVX2))) static inline std::uint64_t of(const Vector& x) {
        return std::uint32_t(_mm256_movemask_epi8(__m256i(x)));
    }
    __attribute__((target(HARNESS_AVX2))) static inline std::uint32_t lowest(std::uint64_t x) { return std::uint32_t(_tzcnt_u64(x)); }
};
#endif

struct AsciiMasks {
    std::uint64_t words = 0;  // letters and numbers
    std::uint64_t spaces = 0;
    std::uint64_t ampersands = 0;
    std::uint64_t printable = 0;
};

// Copies a block of characters in lower case.
template <int bytes>
HARNESS_INLINE AsciiMasks lower_block(const char* from, char* to) {
    using Vector = typename Bits<bytes>::Vector;
    const auto between = [](const Vector& x, signed char low, signed char high) {  // one comparison, because a sum wraps around
        return Vector(Vector(x + static_cast<signed char>(127 - high)) > static_cast<signed char>(126 - high + low));
    };
    AsciiMasks masks;
    for (std::size_t part = 0; part < kBlock; part += bytes) {
        Vector x;
        std::memcpy(&x, from + part, bytes);
        const Vector letters = between(x | static_cast<signed char>(0x20), 'a', 'z');
        masks.words |= Bits<bytes>::of(letters | between(x, '0', '9')) << part;
        masks.spaces |= Bits<bytes>::of(Vector(x == static_cast<signed char>(' '))) << part;
        masks.ampersands |= Bits<bytes>::of(Vector(x == static_cast<signed char>('&'))) << part;
        masks.printable |= Bits<bytes>::of(between(x, ' ', '~')) << part;
        x |= letters & static_cast<signed char>(0x20);
        std::memcpy(to + part, &x, bytes);
    }
    return masks;
}

}  // namespace harness::corpus
