// Runs CUDA kernels on the CPU: each CUDA thread is a fibre that runs until it synchronises with others, in random order.
//
// Undefined behaviour of a GPU ends the program with a message: threads of a block at different barriers, lanes of a warp at
// different operations, a thread that ends while others wait for it, an endless wait. The headers in include/ implement CUDA
// by the functions here.
#pragma once

#include <cstddef>
#include <functional>
#include <type_traits>

struct Index {
    unsigned x;
};
extern Index threadIdx, blockIdx, blockDim, gridDim;  // of the thread that runs now

namespace emulator {

// Operations at which threads synchronise.
enum class Op {
    sync_block,
    any_of_block,
    sync_grid,
    sync_warp,
    reduce_min,
    reduce_max,
    ballot,
    shuffle,
    shuffle_xor,
    multiply,
    count
};

// Barriers: all threads see what others wrote before.
void sync_block();
void sync_grid();
void sync_warp();
bool any_of_block(bool mine);

// Exchanges one value of each of 32 lanes. No memory barrier, as in CUDA.
const void* gather(Op op, unsigned mask, const void* mine, std::size_t size);
template <class T>
const T* gather(Op op, unsigned mask, const T& mine) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0 && sizeof(T) <= 32);
    return static_cast<const T*>(gather(op, mask, &mine, sizeof mine));
}

enum class Error { none, configuration, shared_memory, lowered, too_large };
const char* sentence(Error error);

struct Device {
    int processors, cooperative, shared_limit;  // shared_limit: bytes of shared memory available to a block
};
extern Device device;
constexpr int kStaticShared = 3360;        // bytes, as nvcc reports for the fused kernel
constexpr int kBlocksPerProcessor = 4;  // of any kernel

struct LaunchSize {
    unsigned blocks, threads;
    std::size_t shared;  // bytes of dynamic shared memory
    bool cooperative;
};
Error allow_shared(const void* kernel, int bytes);
Error launch(const void* kernel, const LaunchSize& extent, const std::function<void()>& body);

}  // namespace emulator
