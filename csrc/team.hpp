// Threads that work on one problem together: what the assignment on the GPU (team_assign.hpp) asks of them.
//
// A team has rank(), size() and sync(), finds the least of one value per member, and consists of warps of 32 lanes: a warp,
// a block or the whole grid. Tests run these kernels on the CPU (tests/matching/emulator), each thread a fibre.
#pragma once

#include <cstdint>

#include <cooperative_groups.h>
#include <multiply_add.cuh>  // <>: tests put their own before it

#define HARNESS_TEAM __device__ __forceinline__
#define HARNESS_BOTH __host__ __device__ inline
#define HARNESS_UNROLL _Pragma("unroll")

namespace harness {

template <class T>
struct Least {
    T value;
    int where;  // the lowest among equals
};

// Atomics whose outcome does not depend on their order.
HARNESS_TEAM void keep_largest(std::uint64_t* at, std::uint64_t x) {
    atomicMax(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(x));
}
HARNESS_TEAM void keep_largest(std::int32_t* at, std::int32_t x) { atomicMax(at, x); }
HARNESS_TEAM void keep_largest(std::int64_t* at, std::int64_t x) { atomicMax(reinterpret_cast<long long*>(at), static_cast<long long>(x)); }
HARNESS_TEAM void keep_smallest(std::int32_t* at, std::int32_t x) { atomicMin(at, x); }
HARNESS_TEAM void add(std::int64_t* at, std::int64_t x) {
    atomicAdd(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(x));
}
HARNESS_TEAM void clear_bits(std::uint32_t* at, std::uint32_t bits) { atomicAnd(at, ~bits); }
HARNESS_TEAM std::int32_t fetch_add(std::int32_t* at, std::int32_t x) { return atomicAdd(at, x); }
HARNESS_TEAM void write(std::int32_t* at, std::int32_t x) { *reinterpret_cast<volatile std::int32_t*>(at) = x; }
HARNESS_TEAM std::int32_t read(const std::int32_t* at) { return *reinterpret_cast<const volatile std::int32_t*>(at); }
HARNESS_TEAM int lowest_bit(std::uint32_t bits) { return __ffs(int(bits)) - 1; }
HARNESS_TEAM int length(std::uint32_t bits) { return 32 - __clz(int(bits)); }

struct Warp {
    static constexpr unsigned all = 0xffffffffu;

    HARNESS_TEAM int rank() const { return threadIdx.x % 32; }
    HARNESS_TEAM int size() const { return 32; }
    HARNESS_TEAM void sync() const { __syncwarp(); }

    HARNESS_TEAM std::int32_t least(std::int32_t x) const { return __reduce_min_sync(all, x); }
    HARNESS_TEAM std::int64_t least(std::int64_t x) const {
        for (int step = 16; step > 0; step /= 2) {
            const std::int64_t other = __shfl_xor_sync(all, static_cast<long long>(x), step);
            x = other < x ? other : x;
        }
        return x;
    }
    template <class T>
    HARNESS_TEAM Least<T> least(Least<T> mine) const {
        __syncwarp();  // a reduction is also a barrier for memory
        const T value = least(mine.value);
        return {value, least(std::int32_t(mine.value == value ? mine.where : 0x7fffffff))};
    }
    // Bit k is test(k).
    template <class Test>
    HARNESS_TEAM std::uint32_t bits(const Test& test) const {
        return __ballot_sync(all, test(rank()));
    }
    HARNESS_TEAM int first(bool x) const { return __ffs(int(__ballot_sync(all, x))) - 1; }  // the lowest lane, -1 for none
    HARNESS_TEAM int from(int lane, int x) const { return __shfl_sync(all, x, lane); }
    HARNESS_TEAM std::uint32_t most(std::uint32_t x) const { return __reduce_max_sync(all, x); }
    HARNESS_TEAM std::int64_t sum(std::int64_t x) const {
        for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(all, static_cast<long long>(x), step);
        return x;
    }
    HARNESS_TEAM void multiply(int (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) const {
        multiply_add(sum, a, b);
    }
};

struct Block {
    int turn = 0;

    HARNESS_TEAM int rank() const { return threadIdx.x; }
    HARNESS_TEAM int size() const { return blockDim.x; }
    HARNESS_TEAM void sync() const { __syncthreads(); }
    HARNESS_TEAM Warp warp() const { return {}; }
    HARNESS_TEAM int warp_index() const { return threadIdx.x / 32; }
    HARNESS_TEAM int warps() const { return blockDim.x / 32; }
    HARNESS_TEAM bool any(bool x) const { return __syncthreads_or(x); }

    // One barrier: two buffers in turn, so that the next call does not overwrite what this one still reads.
    template <class T>
    HARNESS_TEAM Least<T> least(Least<T> mine) {
        __shared__ T value[2][32];
        __shared__ int where[2][32];
        mine = warp().least(mine);
        turn ^= 1;
        if (warp().rank() == 0) {
            value[turn][warp_index()] = mine.value;
            where[turn][warp_index()] = mine.where;
        }
        __syncthreads();
        const int k = warp().rank() < warps() ? warp().rank() : 0;
        return warp().least(Least<T>{value[turn][k], where[turn][k]});
    }
};

struct Grid {  // of a cooperative launch
    HARNESS_TEAM int rank() const { return blockIdx.x * blockDim.x + threadIdx.x; }
    HARNESS_TEAM int size() const { return gridDim.x * blockDim.x; }
    HARNESS_TEAM void sync() const { cooperative_groups::this_grid().sync(); }
    HARNESS_TEAM Warp warp() const { return {}; }
    HARNESS_TEAM int warp_index() const { return rank() / 32; }
    HARNESS_TEAM int warps() const { return size() / 32; }
};

}  // namespace harness
