// SIMD vectors of one register: 64 bytes with AVX-512, 32 with AVX2, 16 otherwise.
//
// Loops are written once with the compiler's vector types and compiled for each width; `dispatch` calls the version for the
// processor, so that one wheel runs on any x86-64. A vector may not be wider than the register: GCC then compares and
// selects entry by entry, which took an assignment seventeen times as long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define HARNESS_INLINE inline __attribute__((always_inline))

namespace harness {

#if defined(__x86_64__) && defined(__GNUC__)
#define HARNESS_LEVELS
#define HARNESS_AVX2 "avx2,fma,bmi,bmi2"
#define HARNESS_AVX512 HARNESS_AVX2 ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
inline int widest_register_bytes() {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) return 16;
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") ? 64 : 32;
}
#else
inline int widest_register_bytes() { return 16; }
#endif

// Register width in bytes: the processor's widest, or less when a test limits it.
inline int register_bytes = widest_register_bytes();

#ifdef HARNESS_LEVELS
template <class Kernel, class... Arguments>
__attribute__((target(HARNESS_AVX512))) auto with_64(Arguments&... arguments) {
    return Kernel::template run<64>(arguments...);
}
template <class Kernel, class... Arguments>
__attribute__((target(HARNESS_AVX2))) auto with_32(Arguments&... arguments) {
    return Kernel::template run<32>(arguments...);
}
#endif

// Calls Kernel::run<register_bytes>(arguments...), which is inlined.
template <class Kernel, class... Arguments>
auto dispatch(Arguments&&... arguments) {
#ifdef HARNESS_LEVELS
    if (register_bytes == 64) return with_64<Kernel>(arguments...);
    if (register_bytes == 32) return with_32<Kernel>(arguments...);
#endif
    return Kernel::template run<16>(arguments...);
}

template <class T, int bytes>
struct Simd {
    typedef T Vector __attribute__((vector_size(bytes), aligned(4), may_alias));
    static constexpr int lanes = bytes / sizeof(T);

    static HARNESS_INLINE Vector load(const T* from) { return *reinterpret_cast<const Vector*>(from); }
    static HARNESS_INLINE void store(T* to, Vector x) { *reinterpret_cast<Vector*>(to) = x; }
    static HARNESS_INLINE Vector broadcast(T x) { return Vector{} + x; }
    static HARNESS_INLINE Vector iota() {  // 0, 1, 2, ...
        Vector x{};
        for (int k = 0; k < lanes; ++k) x[k] = T(k);
        return x;
    }
    static HARNESS_INLINE Vector min(Vector x, Vector y) { return x < y ? x : y; }  // one instruction, not a mask and a blend
    static HARNESS_INLINE Vector max(Vector x, Vector y) { return x < y ? y : x; }
    static HARNESS_INLINE T reduce_min(Vector x) {
        if constexpr (bytes > 16) {
            using Half = Simd<T, bytes / 2>;
            typename Half::Vector a, b;
            std::memcpy(&a, &x, bytes / 2);
            std::memcpy(&b, reinterpret_cast<const char*>(&x) + bytes / 2, bytes / 2);
            return Half::reduce_min(Half::min(a, b));
        } else if constexpr (lanes == 4) {
            const Vector other{x[2], x[3], x[0], x[1]}, pair = min(x, other), last{pair[1], pair[0], pair[3], pair[2]};
            return min(pair, last)[0];
        } else {
            return x[0] < x[1] ? x[0] : x[1];
        }
    }
};

// Loads int32 similarities into one register of T: unchanged, or widened to int64.
template <class T, int bytes>
HARNESS_INLINE typename Simd<T, bytes>::Vector load_as(const std::int32_t* from) {
    if constexpr (sizeof(T) == 4) {
        return Simd<T, bytes>::load(from);
    } else {
        typedef std::int32_t Narrow __attribute__((vector_size(bytes / 2), aligned(4), may_alias));
        return __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), typename Simd<T, bytes>::Vector);
    }
}

// Aligns to a cache line, so that a load of 64 bytes touches one line, not two. Large allocations are aligned to huge pages and
// request them: with pages of 4 KiB, the first touch of a matrix can take as long as its assignment. resize() leaves new
// entries uninitialised.
template <class T>
struct AlignedAllocator {
    using value_type = T;
    static constexpr std::size_t kHugePage = std::size_t(1) << 21;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t n) {
        void* const at = ::operator new(n * sizeof(T), alignment(n));
#ifdef MADV_HUGEPAGE
        if (n * sizeof(T) >= kHugePage) madvise(at, n * sizeof(T) / kHugePage * kHugePage, MADV_HUGEPAGE);  // a hint: may fail
#endif
        return static_cast<T*>(at);
    }
    void deallocate(T* at, std::size_t n) { ::operator delete(at, alignment(n)); }
    static std::align_val_t alignment(std::size_t n) { return std::align_val_t(n * sizeof(T) < kHugePage ? 64 : kHugePage); }
    template <class U>
    void construct(U* at) { ::new (static_cast<void*>(at)) U; }
    template <class U, class... Arguments>
    void construct(U* at, Arguments&&... arguments) { ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...); }
    bool operator==(const AlignedAllocator&) const { return true; }
    bool operator!=(const AlignedAllocator&) const { return false; }
};
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

constexpr int padded(int columns) { return (columns + 15) / 16 * 16; }

}  // namespace harness
