// The part of CUDA that the kernels use, implemented by the emulator's scheduler. Other parts do not compile until added.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../scheduler.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ thread_local  // each block runs on its own host thread

// ------------------------------------------------------------------------------------------------- synchronisation

inline void __syncthreads() { emulator::sync_block(); }
inline int __syncthreads_or(int x) { return emulator::any_of_block(x != 0); }
inline void __syncwarp() { emulator::sync_warp(); }

inline int __reduce_min_sync(unsigned mask, int x) {
    const int* const all = emulator::gather(emulator::Op::reduce_min, mask, x);
    for (int lane = 0; lane < 32; ++lane) x = all[lane] < x ? all[lane] : x;
    return x;
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned x) {
    const unsigned* const all = emulator::gather(emulator::Op::reduce_max, mask, x);
    for (int lane = 0; lane < 32; ++lane) x = all[lane] > x ? all[lane] : x;
    return x;
}
inline unsigned __ballot_sync(unsigned mask, int x) {
    const int* const all = emulator::gather(emulator::Op::ballot, mask, x);
    unsigned bits = 0;
    for (int lane = 0; lane < 32; ++lane) bits |= unsigned(all[lane] != 0) << lane;
    return bits;
}
inline int __shfl_sync(unsigned mask, int x, int lane) {
    return emulator::gather(emulator::Op::shuffle, mask, x)[lane & 31];
}
inline long long __shfl_xor_sync(unsigned mask, long long x, int step) {
    return emulator::gather(emulator::Op::shuffle_xor, mask, x)[(threadIdx.x % 32) ^ unsigned(step)];
}

// ------------------------------------------------------------------------------ atomics, relaxed

template <class T, class Change>
T emulated_atomic(T* at, const Change& change) {
    T seen = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &seen, change(seen), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return seen;
}
template <class T>
T atomicMax(T* at, T x) {
    return emulated_atomic(at, [x](T seen) { return x > seen ? x : seen; });
}
template <class T>
T atomicMin(T* at, T x) {
    return emulated_atomic(at, [x](T seen) { return x < seen ? x : seen; });
}
template <class T>
T atomicAdd(T* at, T x) {
    return __atomic_fetch_add(at, x, __ATOMIC_RELAXED);
}
template <class T>
T atomicAnd(T* at, T x) {
    return __atomic_fetch_and(at, x, __ATOMIC_RELAXED);
}

// ---------------------------------------------------------------------------------------------------------- arithmetic

inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
inline float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {  // selects four of the eight bytes of y and x
    const unsigned long long bytes = static_cast<unsigned long long>(y) << 32 | x;
    unsigned found = 0;
    for (int k = 0; k < 4; ++k) found |= unsigned(bytes >> (selector >> (4 * k) & 7) * 8 & 255) << (8 * k);
    return found;
}
inline int __double2int_rn(double x) { return int(std::nearbyint(x)); }
inline double __dmul_rn(double x, double y) { return x * y; }

// ------------------------------------------------------------------------------------------------------------- the host

using cudaStream_t = struct EmulatedStream*;
using cudaError_t = emulator::Error;
constexpr cudaError_t cudaSuccess = emulator::Error::none;

enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin, cudaDevAttrMultiProcessorCount, cudaDevAttrCooperativeLaunch };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative };

struct cudaFuncAttributes {
    std::size_t sharedSizeBytes;
};
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    struct {
        int cooperative;
    } val;
};
struct cudaLaunchConfig_t {
    unsigned gridDim, blockDim;
    std::size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute* attrs;
    unsigned numAttrs;
};

inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t error) { return emulator::sentence(error); }

inline cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = emulator::device.shared_limit; break;
        case cudaDevAttrMultiProcessorCount: *value = emulator::device.processors; break;
        case cudaDevAttrCooperativeLaunch: *value = emulator::device.cooperative; break;
    }
    return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel*) {
    attributes->sharedSizeBytes = emulator::kStaticShared;
    return cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
    return emulator::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int, std::size_t) {
    *blocks = emulator::kBlocksPerProcessor;
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t) {
    std::memset(at, value, bytes);
    return cudaSuccess;
}
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), const Arguments&... arguments) {
    const bool cooperative = config->numAttrs > 0 && config->attrs[0].val.cooperative;
    const emulator::LaunchSize extent{config->gridDim, config->blockDim, config->dynamicSmemBytes, cooperative};
    return emulator::launch(reinterpret_cast<const void*>(kernel), extent, [&] { kernel(Parameters(arguments)...); });
}
