#pragma once

struct __half {
    _Float16 value;
};
inline float __half2float(__half x) { return float(x.value); }
inline __half __ushort_as_half(unsigned short bits) { return {__builtin_bit_cast(_Float16, bits)}; }
