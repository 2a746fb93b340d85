// Threads that work on one problem together: what the assignment on the GPU (team_assign.hpp) asks of them.
//
// A team has rank(), size() and sync(), finds the least of one value per member, and consists of warps. On the device it is
// a warp, a block or the whole grid. The same algorithms also compile for the CPU, where each member is a std::thread: so
// their logic is tested without a GPU. Warps have 32 lanes there too and multiply matrices as the tensor cores do
// (EmulatedBlock), or one lane, which is faster and allows any number of members (Threads).
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#include <cooperative_groups.h>
#include <multiply_add.cuh>  // <>: tests put their own before it
#define HARNESS_TEAM __device__ __forceinline__
#define HARNESS_BOTH __host__ __device__ inline
#define HARNESS_UNROLL _Pragma("unroll")
#else
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <vector>
#define HARNESS_TEAM inline
#define HARNESS_BOTH inline
#define HARNESS_UNROLL
#endif

namespace harness {

template <class T>
struct Least {
    T value;
    int where;  // the lowest among equals
};

#ifdef __CUDACC__

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

#else

template <class T>
void keep_largest(T* at, T x) {
    T seen = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (seen < x && !__atomic_compare_exchange_n(at, &seen, x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
inline void keep_smallest(std::int32_t* at, std::int32_t x) {
    std::int32_t seen = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (x < seen && !__atomic_compare_exchange_n(at, &seen, x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}
inline void add(std::int64_t* at, std::int64_t x) { __atomic_fetch_add(at, x, __ATOMIC_RELAXED); }
inline void clear_bits(std::uint32_t* at, std::uint32_t bits) { __atomic_fetch_and(at, ~bits, __ATOMIC_RELAXED); }
inline std::int32_t fetch_add(std::int32_t* at, std::int32_t x) { return __atomic_fetch_add(at, x, __ATOMIC_RELAXED); }
inline void write(std::int32_t* at, std::int32_t x) { __atomic_store_n(at, x, __ATOMIC_RELAXED); }
inline std::int32_t read(const std::int32_t* at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
inline int lowest_bit(std::uint32_t bits) { return __builtin_ctz(bits); }
inline int length(std::uint32_t bits) { return bits ? 32 - __builtin_clz(bits) : 0; }

struct Lane {  // a warp of one
    int rank() const { return 0; }
    int size() const { return 1; }
    void sync() const {}
    template <class T>
    T least(T x) const {
        return x;
    }
    template <class Test>
    std::uint32_t bits(const Test& test) const {
        std::uint32_t all = 0;
        for (int k = 0; k < 32; ++k) all |= std::uint32_t(test(k)) << k;
        return all;
    }
};

// What the members share: a barrier and a place for each.
struct Meeting {
    explicit Meeting(int members) : size(members), values(members), places(members) {}

    void wait() {
        std::unique_lock<std::mutex> lock(guard);
        const std::int64_t mine = turn;
        if (++arrived == size) {
            arrived = 0;
            ++turn;
            everyone.notify_all();
        } else {
            everyone.wait(lock, [&] { return turn != mine; });
        }
    }

    int size, arrived = 0;
    std::int64_t turn = 0, reductions = 0;
    std::mutex guard;
    std::condition_variable everyone;
    std::vector<std::int64_t> values;
    std::vector<int> places;
};

struct Threads {
    int mine;
    Meeting* meeting;

    int rank() const { return mine; }
    int size() const { return meeting->size; }
    void sync() const { meeting->wait(); }
    Lane warp() const { return {}; }
    int warp_index() const { return mine; }
    int warps() const { return meeting->size; }

    template <class T>
    Least<T> least(Least<T> x) const {
        if (mine == 0) ++meeting->reductions;  // steps of the path searches, for tests
        meeting->values[mine] = x.value;
        meeting->places[mine] = x.where;
        sync();
        for (int k = 0; k < size(); ++k) {
            const T value = T(meeting->values[k]);
            const int where = meeting->places[k];
            if (value < x.value || (value == x.value && where < x.where)) x = {value, where};
        }
        sync();
        return x;
    }
};

// 32 lanes, and what each of them brings to a meeting.
struct WarpMeeting : Meeting {
    WarpMeeting() : Meeting(32) {}
    signed char a[32][16], b[32][8];
};

struct EmulatedWarp {
    int mine;
    WarpMeeting* meeting;

    int rank() const { return mine; }
    int size() const { return 32; }
    void sync() const { meeting->wait(); }

    template <class T, class Join>
    T reduce(T x, const Join& join) const {
        meeting->values[mine] = std::int64_t(x);
        sync();
        for (const std::int64_t other : meeting->values) x = join(x, T(other));
        sync();
        return x;
    }
    template <class T>
    T least(T x) const {
        return reduce(x, [](T p, T q) { return std::min(p, q); });
    }
    template <class T>
    Least<T> least(Least<T> x) const {
        const T value = least(x.value);
        return {value, least(x.value == value ? x.where : 0x7fffffff)};
    }
    int first(bool x) const {
        if (mine == 0) ++meeting->reductions;  // steps of the path searches, for tests
        const int lane = least(x ? mine : 32);
        return lane < 32 ? lane : -1;
    }
    int from(int lane, int x) const {
        meeting->values[mine] = x;
        sync();
        x = int(meeting->values[lane]);
        sync();
        return x;
    }
    std::uint32_t most(std::uint32_t x) const {
        return reduce(x, [](std::uint32_t p, std::uint32_t q) { return std::max(p, q); });
    }
    std::int64_t sum(std::int64_t x) const {
        return reduce(x, [](std::int64_t p, std::int64_t q) { return p + q; }) - x;  // its own was counted twice
    }
    template <class Test>
    std::uint32_t bits(const Test& test) const {
        return reduce(std::uint32_t(test(mine)) << mine, [](std::uint32_t p, std::uint32_t q) { return p | q; });
    }

    // As the PTX ISA writes it down ("Matrix Fragments for mma.m16n8k32"): element i of a lane's fragment, group = lane / 4, lies at
    //     a  row group + 8 where 4 <= i < 8 or i >= 12, column 4 (lane % 4) + i % 4, + 16 where i >= 8
    //     b  row 4 (lane % 4) + i % 4, + 16 where i >= 4, column group
    //     c  row group, + 8 where i >= 2, column 2 (lane % 4) + i % 2
    void multiply(int (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) const {
        std::memcpy(meeting->a[mine], a, 16);
        std::memcpy(meeting->b[mine], b, 8);
        sync();
        signed char left[16][32], right[32][8];
        for (int lane = 0; lane < 32; ++lane) {
            const int group = lane / 4, within = lane % 4;
            for (int i = 0; i < 16; ++i)
                left[group + ((i >= 4 && i < 8) || i >= 12 ? 8 : 0)][4 * within + i % 4 + (i >= 8 ? 16 : 0)] = meeting->a[lane][i];
            for (int i = 0; i < 8; ++i) right[4 * within + i % 4 + (i >= 4 ? 16 : 0)][group] = meeting->b[lane][i];
        }
        for (int i = 0; i < 4; ++i)
            for (int k = 0; k < 32; ++k) sum[i] += left[mine / 4 + (i >= 2 ? 8 : 0)][k] * right[k][2 * (mine % 4) + i % 2];
        sync();
    }
};

// A block as on the device: full warps, a reduction in two levels.
struct EmulatedBlock {
    int mine;
    Meeting* meeting;
    WarpMeeting* warp_meetings;  // (warps())

    int rank() const { return mine; }
    int size() const { return meeting->size; }
    void sync() const { meeting->wait(); }
    EmulatedWarp warp() const { return {mine % 32, warp_meetings + mine / 32}; }
    int warp_index() const { return mine / 32; }
    int warps() const { return size() / 32; }
    bool any(bool x) const {
        meeting->values[mine] = x;
        sync();
        const bool found = std::count(meeting->values.begin(), meeting->values.end(), 1) > 0;
        sync();
        return found;
    }
};

#endif

}  // namespace harness
