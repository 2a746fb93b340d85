// Vectors of sixteen int32, eight int64 or eight double: one 64-byte register with AVX-512, two with AVX2, four with SSE2.
//
// The loops are written once with the compiler's vector types. HARNESS_CLONES compiles the function it stands before for
// several instruction sets and picks one when the module is loaded, so that one wheel runs on any x86-64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define HARNESS_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define HARNESS_CLONES_WITHOUT_V4 __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define HARNESS_CLONES
#define HARNESS_CLONES_WITHOUT_V4
#endif
#define HARNESS_INLINE inline __attribute__((always_inline))

namespace harness {

template <class T>
struct Wide {
    typedef T Vector __attribute__((vector_size(64), aligned(4), may_alias));
    static constexpr int lanes = 64 / sizeof(T);

    static HARNESS_INLINE Vector load(const T* from) { return *reinterpret_cast<const Vector*>(from); }
    static HARNESS_INLINE void store(T* to, Vector x) { *reinterpret_cast<Vector*>(to) = x; }
    static HARNESS_INLINE Vector all(T x) { return Vector{} + x; }
    static HARNESS_INLINE Vector count() {  // 0, 1, 2, ...
        Vector x{};
        for (int k = 0; k < lanes; ++k) x[k] = T(k);
        return x;
    }
    static HARNESS_INLINE Vector lesser(Vector x, Vector y) { return x < y ? x : y; }  // one instruction, not a mask and a blend
    static HARNESS_INLINE Vector greater(Vector x, Vector y) { return x < y ? y : x; }
    static HARNESS_INLINE T smallest(Vector x) {
        typedef T Half __attribute__((vector_size(32)));
        typedef T Quarter __attribute__((vector_size(16)));
        Half a, b;
        std::memcpy(&a, &x, 32);
        std::memcpy(&b, reinterpret_cast<const char*>(&x) + 32, 32);
        const Half half = a < b ? a : b;
        Quarter c, d;
        std::memcpy(&c, &half, 16);
        std::memcpy(&d, reinterpret_cast<const char*>(&half) + 16, 16);
        const Quarter quarter = c < d ? c : d;
        if constexpr (sizeof(T) == 4) {
            const Quarter other{quarter[2], quarter[3], quarter[0], quarter[1]}, pair = quarter < other ? quarter : other;
            const Quarter last{pair[1], pair[0], pair[3], pair[2]};
            return (pair < last ? pair : last)[0];
        } else {
            return quarter[0] < quarter[1] ? quarter[0] : quarter[1];
        }
    }
};

// Sixteen int32 costs, or eight of them widened to int64.
template <class T>
HARNESS_INLINE typename Wide<T>::Vector load_as(const std::int32_t* from) {
    if constexpr (sizeof(T) == 4) {
        return Wide<T>::load(from);
    } else {
        typedef std::int32_t Narrow __attribute__((vector_size(32), aligned(4), may_alias));
        return __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), typename Wide<T>::Vector);
    }
}

// A vector that begins at a cache line: loads of 64 bytes then touch one line, not two. A large one begins at a huge page and
// asks the system for such: with pages of 4 KiB, the first touch of a matrix can take as long as its assignment. What
// resize() adds is not set: whoever resizes writes first.
template <class T>
struct LineAllocator {
    using value_type = T;
    static constexpr std::size_t kHugePage = std::size_t(1) << 21;
    LineAllocator() = default;
    template <class U>
    LineAllocator(const LineAllocator<U>&) {}
    T* allocate(std::size_t n) {
        void* const at = ::operator new(n * sizeof(T), alignment(n));
#ifdef MADV_HUGEPAGE
        if (n * sizeof(T) >= kHugePage) madvise(at, n * sizeof(T) / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: may fail
#endif
        return static_cast<T*>(at);
    }
    void deallocate(T* at, std::size_t n) { ::operator delete(at, alignment(n)); }
    static std::align_val_t alignment(std::size_t n) { return std::align_val_t(n * sizeof(T) < kHugePage ? 64 : kHugePage); }
    template <class U>
    void construct(U* at) { ::new (static_cast<void*>(at)) U; }
    template <class U, class... Arguments>
    void construct(U* at, Arguments&&... arguments) { ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...); }
    bool operator==(const LineAllocator&) const { return true; }
    bool operator!=(const LineAllocator&) const { return false; }
};
template <class T>
using Lines = std::vector<T, LineAllocator<T>>;

constexpr int padded(int columns) { return (columns + 15) / 16 * 16; }

}  // namespace harness
