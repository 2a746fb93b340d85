// Teams: groups of threads that work on one problem together, and their reductions.
//
// A team is a warp, a block or the whole grid. It has rank(), size() and sync(), reduces one value per member to the minimum,
// and consists of warps. Tests run the kernels on the CPU (tests/matching/emulator), each thread a fibre.
#pragma once

#include <cstdint>

#include <cooperative_groups.h>
#include "common.hpp"
#include <cuda/multiply_add.cuh>  // <>: the emulator's include path comes first

#define HARNESS_DEVICE __device__ __forceinline__

namespace harness {

constexpr int kMaxThreads = 1024;  // per block
constexpr int kMaxWarps = kMaxThreads / 32;

// A value and its index; reduces to the smallest value, and the lowest index among equals.
template <class T>
struct ArgMin {
    T value;
    int index;
};

// The two smallest values, and the index of the smallest: the lowest index among equals.
struct TwoSmallest {
    std::int32_t first = 0x7fffffff, second = 0x7fffffff;
    int index = 0x7fffffff;

    HARNESS_DEVICE void add(std::int32_t x, int at) {  // indices are added in ascending order
        const std::int32_t larger = x < first ? first : x;
        second = larger < second ? larger : second;
        index = x < first ? at : index;
        first = x < first ? x : first;
    }
};

// The nearest column of a path search: its distance, its owner, and the owner's loss there.
struct Nearest {
    std::int32_t length;
    int owner;
    std::int32_t owners_loss;
    int column;
};

// Atomics whose result does not depend on their order, and volatile accesses.
HARNESS_DEVICE void atomic_max(std::uint64_t* at, std::uint64_t x) {
    atomicMax(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(x));
}
HARNESS_DEVICE void atomic_max(std::int32_t* at, std::int32_t x) { atomicMax(at, x); }
HARNESS_DEVICE void atomic_max(std::int64_t* at, std::int64_t x) {
    atomicMax(reinterpret_cast<long long*>(at), static_cast<long long>(x));
}
HARNESS_DEVICE void atomic_min(std::int32_t* at, std::int32_t x) { atomicMin(at, x); }
HARNESS_DEVICE void atomic_add(std::int64_t* at, std::int64_t x) {
    atomicAdd(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(x));
}
HARNESS_DEVICE void atomic_clear_bits(std::uint32_t* at, std::uint32_t bits) { atomicAnd(at, ~bits); }
HARNESS_DEVICE std::int32_t atomic_fetch_add(std::int32_t* at, std::int32_t x) { return atomicAdd(at, x); }
HARNESS_DEVICE void store_volatile(std::int32_t* at, std::int32_t x) { *reinterpret_cast<volatile std::int32_t*>(at) = x; }
HARNESS_DEVICE std::int32_t load_volatile(const std::int32_t* at) { return *reinterpret_cast<const volatile std::int32_t*>(at); }
HARNESS_DEVICE std::uint64_t load_volatile(const std::uint64_t* at) { return *reinterpret_cast<const volatile std::uint64_t*>(at); }
HARNESS_DEVICE int lowest_bit(std::uint32_t bits) { return __ffs(int(bits)) - 1; }
HARNESS_DEVICE int bit_length(std::uint32_t bits) { return 32 - __clz(int(bits)); }

struct Warp {
    static constexpr unsigned all = 0xffffffffu;

    HARNESS_DEVICE int rank() const { return threadIdx.x % 32; }
    HARNESS_DEVICE int size() const { return 32; }
    HARNESS_DEVICE void sync() const { __syncwarp(); }

    HARNESS_DEVICE std::int32_t min(std::int32_t x) const { return __reduce_min_sync(all, x); }
    HARNESS_DEVICE std::int64_t min(std::int64_t x) const {
        for (int step = 16; step > 0; step /= 2) {
            const std::int64_t other = __shfl_xor_sync(all, static_cast<long long>(x), step);
            x = other < x ? other : x;
        }
        return x;
    }
    template <class T>
    HARNESS_DEVICE ArgMin<T> min(ArgMin<T> mine) const {
        __syncwarp();  // a reduction is also a memory barrier
        const T value = min(mine.value);
        return {value, min(std::int32_t(mine.value == value ? mine.index : 0x7fffffff))};
    }
    HARNESS_DEVICE TwoSmallest min(TwoSmallest mine) const {
        TwoSmallest all;
        all.first = min(mine.first);
        all.index = min(std::int32_t(mine.first == all.first ? mine.index : 0x7fffffff));
        all.second = min(mine.index == all.index ? mine.second : mine.first);
        return all;
    }
    HARNESS_DEVICE Nearest nearest(Nearest mine) const {
        const std::int32_t length = min(mine.length);
        const int lane = first(mine.length == length);
        return {length, from(lane, mine.owner), from(lane, mine.owners_loss), from(lane, mine.column)};
    }
    HARNESS_DEVICE bool any(bool x) const {
        __syncwarp();
        return __ballot_sync(all, x) != 0;
    }
    // Bit k is test(k).
    template <class Test>
    HARNESS_DEVICE std::uint32_t bits(const Test& test) const {
        return __ballot_sync(all, test(rank()));
    }
    HARNESS_DEVICE int first(bool x) const { return __ffs(int(__ballot_sync(all, x))) - 1; }  // the lowest lane, -1 for none
    HARNESS_DEVICE int from(int lane, int x) const { return __shfl_sync(all, x, lane); }
    HARNESS_DEVICE std::uint32_t max(std::uint32_t x) const { return __reduce_max_sync(all, x); }
    HARNESS_DEVICE std::int64_t sum(std::int64_t x) const {
        for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(all, static_cast<long long>(x), step);
        return x;
    }
    HARNESS_DEVICE void multiply(int (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) const {
        multiply_add(sum, a, b);
    }
};

// Shared memory for a block's reductions. Each warp alternates between two slots, so that a reduction costs one barrier: the
// next one does not overwrite what this one still reads.
struct BlockScratch {
    std::int64_t value[2][kMaxWarps];
    std::int32_t a[2][kMaxWarps], b[2][kMaxWarps], c[2][kMaxWarps];
    std::uint16_t members[kMaxThreads];
    int found[2];
};

class Block {
    BlockScratch& scratch;
    int parity = 0, list = 0;  // the slot in use, 0 or 1: of reductions, of compact

    HARNESS_DEVICE bool is_warp_leader() const { return threadIdx.x % 32 == 0; }
    HARNESS_DEVICE int partial_lane() const { return warp().rank() < warps() ? warp().rank() : 0; }

public:
    HARNESS_DEVICE explicit Block(BlockScratch& scratch) : scratch(scratch) {
        if (rank() == 0) scratch.found[0] = scratch.found[1] = 0;
    }

    HARNESS_DEVICE int rank() const { return threadIdx.x; }
    HARNESS_DEVICE int size() const { return blockDim.x; }
    HARNESS_DEVICE void sync() const { __syncthreads(); }
    HARNESS_DEVICE Warp warp() const { return {}; }
    HARNESS_DEVICE int warp_index() const { return threadIdx.x / 32; }
    HARNESS_DEVICE int warps() const { return blockDim.x / 32; }
    HARNESS_DEVICE Block& block() { return *this; }
    HARNESS_DEVICE int blocks() const { return 1; }
    HARNESS_DEVICE int block_index() const { return 0; }
    HARNESS_DEVICE bool any(bool x) const { return __syncthreads_or(x); }

    template <class T>
    HARNESS_DEVICE ArgMin<T> min(ArgMin<T> mine) {
        mine = warp().min(mine);
        parity ^= 1;
        if (is_warp_leader()) {
            scratch.value[parity][warp_index()] = mine.value;
            scratch.a[parity][warp_index()] = mine.index;
        }
        sync();
        const int k = partial_lane();
        return warp().min(ArgMin<T>{T(scratch.value[parity][k]), scratch.a[parity][k]});
    }
    HARNESS_DEVICE TwoSmallest min(TwoSmallest mine) {
        mine = warp().min(mine);
        parity ^= 1;
        if (is_warp_leader()) {
            scratch.a[parity][warp_index()] = mine.first;
            scratch.b[parity][warp_index()] = mine.second;
            scratch.c[parity][warp_index()] = mine.index;
        }
        sync();
        TwoSmallest other;
        if (warp().rank() < warps()) {
            other.first = scratch.a[parity][warp().rank()];
            other.second = scratch.b[parity][warp().rank()];
            other.index = scratch.c[parity][warp().rank()];
        }
        return warp().min(other);
    }
    HARNESS_DEVICE Nearest nearest(Nearest mine) {
        const std::int32_t length = warp().min(mine.length);
        parity ^= 1;
        if (warp().rank() == warp().first(mine.length == length)) {
            scratch.value[parity][warp_index()] = length;
            scratch.a[parity][warp_index()] = mine.owner;
            scratch.b[parity][warp_index()] = mine.owners_loss;
            scratch.c[parity][warp_index()] = mine.column;
        }
        sync();
        const std::int32_t partial = std::int32_t(scratch.value[parity][partial_lane()]), all = warp().min(partial);
        const int k = warp().first(partial == all);
        return {all, scratch.a[parity][k], scratch.b[parity][k], scratch.c[parity][k]};
    }

    // Lists the selected members, in any order, and returns their number. The list is valid until the next call; every call
    // needs a barrier before it.
    HARNESS_DEVICE int compact(bool selected) {
        list ^= 1;
        const std::uint32_t mask = warp().bits([&](int) { return selected; });
        int slot = 0;
        if (is_warp_leader() && mask) slot = atomic_fetch_add(&scratch.found[list], __popc(mask));
        slot = warp().from(0, slot) + __popc(mask & ((1u << warp().rank()) - 1));
        if (selected) scratch.members[slot] = std::uint16_t(rank());
        if (rank() == 0) scratch.found[list ^ 1] = 0;
        sync();
        return scratch.found[list];
    }
    HARNESS_DEVICE int compacted(int k) const { return scratch.members[k]; }
};

class Grid {  // all threads of a cooperative launch
    Block own;

public:
    HARNESS_DEVICE explicit Grid(BlockScratch& scratch) : own(scratch) {}

    HARNESS_DEVICE int rank() const { return blockIdx.x * blockDim.x + threadIdx.x; }
    HARNESS_DEVICE int size() const { return gridDim.x * blockDim.x; }
    HARNESS_DEVICE void sync() const { cooperative_groups::this_grid().sync(); }
    HARNESS_DEVICE Block& block() { return own; }
    HARNESS_DEVICE int blocks() const { return gridDim.x; }
    HARNESS_DEVICE int block_index() const { return blockIdx.x; }
};

}  // namespace harness
