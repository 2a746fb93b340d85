// Threads that work on one problem together: what the matching on the GPU asks of them.
//
// A team is a warp, a block or the whole grid. It has rank(), size() and sync(), finds the least of one value per member, and
// consists of warps. Tests run the kernels on the CPU (tests/matching/emulator), each thread a fibre.
#pragma once

#include <cstdint>

#include <cooperative_groups.h>
#include <multiply_add.cuh>  // <>: tests put their own before it

#define HARNESS_TEAM __device__ __forceinline__
#define HARNESS_BOTH __host__ __device__ inline

namespace harness {

constexpr int kMostThreads = 1024;  // of a block
constexpr int kMostWarps = kMostThreads / 32;
constexpr int kNobody = -1;

// One value per member; the least, and the lowest place among equals.
template <class T>
struct Least {
    T value;
    int where;
};

// The two least values that a member saw, and where the least was: the lowest place among equals.
struct TwoLeast {
    std::int32_t first = 0x7fffffff, second = 0x7fffffff;
    int where = 0x7fffffff;

    HARNESS_TEAM void add(std::int32_t x, int at) {  // places come in ascending order
        const std::int32_t larger = x < first ? first : x;
        second = larger < second ? larger : second;
        where = x < first ? at : where;
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
HARNESS_TEAM std::uint64_t read(const std::uint64_t* at) { return *reinterpret_cast<const volatile std::uint64_t*>(at); }
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
    HARNESS_TEAM TwoLeast least(TwoLeast mine) const {
        TwoLeast all;
        all.first = least(mine.first);
        all.where = least(std::int32_t(mine.first == all.first ? mine.where : 0x7fffffff));
        all.second = least(mine.where == all.where ? mine.second : mine.first);
        return all;
    }
    HARNESS_TEAM Nearest nearest(Nearest mine) const {
        const std::int32_t length = least(mine.length);
        const int lane = first(mine.length == length);
        return {length, from(lane, mine.owner), from(lane, mine.owners_loss), from(lane, mine.column)};
    }
    HARNESS_TEAM bool any(bool x) const {
        __syncwarp();
        return __ballot_sync(all, x) != 0;
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

// What a block's reductions need of its shared memory: two places in turn for each warp, so that a reduction costs one
// barrier: the next one does not overwrite what this one still reads.
struct Scratch {
    std::int64_t value[2][kMostWarps];
    std::int32_t a[2][kMostWarps], b[2][kMostWarps], c[2][kMostWarps];
    std::uint16_t members[kMostThreads];
    int found[2];
};

class Block {
    Scratch& scratch;
    int turn = 0, list = 0;  // which of two places is in use

    HARNESS_TEAM bool speaks() const { return threadIdx.x % 32 == 0; }
    HARNESS_TEAM int listens_to() const { return warp().rank() < warps() ? warp().rank() : 0; }

public:
    HARNESS_TEAM explicit Block(Scratch& scratch) : scratch(scratch) {
        if (rank() == 0) scratch.found[0] = scratch.found[1] = 0;
    }

    HARNESS_TEAM int rank() const { return threadIdx.x; }
    HARNESS_TEAM int size() const { return blockDim.x; }
    HARNESS_TEAM void sync() const { __syncthreads(); }
    HARNESS_TEAM Warp warp() const { return {}; }
    HARNESS_TEAM int warp_index() const { return threadIdx.x / 32; }
    HARNESS_TEAM int warps() const { return blockDim.x / 32; }
    HARNESS_TEAM Block& block() { return *this; }
    HARNESS_TEAM int blocks() const { return 1; }
    HARNESS_TEAM int block_index() const { return 0; }
    HARNESS_TEAM bool any(bool x) const { return __syncthreads_or(x); }

    template <class T>
    HARNESS_TEAM Least<T> least(Least<T> mine) {
        mine = warp().least(mine);
        turn ^= 1;
        if (speaks()) {
            scratch.value[turn][warp_index()] = mine.value;
            scratch.a[turn][warp_index()] = mine.where;
        }
        sync();
        const int k = listens_to();
        return warp().least(Least<T>{T(scratch.value[turn][k]), scratch.a[turn][k]});
    }
    HARNESS_TEAM TwoLeast least(TwoLeast mine) {
        mine = warp().least(mine);
        turn ^= 1;
        if (speaks()) {
            scratch.a[turn][warp_index()] = mine.first;
            scratch.b[turn][warp_index()] = mine.second;
            scratch.c[turn][warp_index()] = mine.where;
        }
        sync();
        TwoLeast other;
        if (warp().rank() < warps()) {
            other.first = scratch.a[turn][warp().rank()];
            other.second = scratch.b[turn][warp().rank()];
            other.where = scratch.c[turn][warp().rank()];
        }
        return warp().least(other);
    }
    HARNESS_TEAM Nearest nearest(Nearest mine) {
        const std::int32_t length = warp().least(mine.length);
        turn ^= 1;
        if (warp().rank() == warp().first(mine.length == length)) {
            scratch.value[turn][warp_index()] = length;
            scratch.a[turn][warp_index()] = mine.owner;
            scratch.b[turn][warp_index()] = mine.owners_loss;
            scratch.c[turn][warp_index()] = mine.column;
        }
        sync();
        const std::int32_t heard = std::int32_t(scratch.value[turn][listens_to()]), all = warp().least(heard);
        const int k = warp().first(heard == all);
        return {all, scratch.a[turn][k], scratch.b[turn][k], scratch.c[turn][k]};
    }

    // Lists the members that say yes, in any order; how many. The list holds until the next call; every call needs a
    // barrier before it.
    HARNESS_TEAM int gather(bool yes) {
        list ^= 1;
        const std::uint32_t those = warp().bits([&](int) { return yes; });
        int place = 0;
        if (speaks() && those) place = fetch_add(&scratch.found[list], __popc(those));
        place = warp().from(0, place) + __popc(those & ((1u << warp().rank()) - 1));
        if (yes) scratch.members[place] = std::uint16_t(rank());
        if (rank() == 0) scratch.found[list ^ 1] = 0;
        sync();
        return scratch.found[list];
    }
    HARNESS_TEAM int gathered(int k) const { return scratch.members[k]; }
};

class Grid {  // of a cooperative launch
    Block own;

public:
    HARNESS_TEAM explicit Grid(Scratch& scratch) : own(scratch) {}

    HARNESS_TEAM int rank() const { return blockIdx.x * blockDim.x + threadIdx.x; }
    HARNESS_TEAM int size() const { return gridDim.x * blockDim.x; }
    HARNESS_TEAM void sync() const { cooperative_groups::this_grid().sync(); }
    HARNESS_TEAM Block& block() { return own; }
    HARNESS_TEAM int blocks() const { return gridDim.x; }
    HARNESS_TEAM int block_index() const { return blockIdx.x; }
};

}  // namespace harness
