// Kernels with one fault each, which the emulator has to report, and without it, which has to pass.

#include <cstring>

#include "cuda/launch.cuh"

namespace {

__global__ void race_in_block(int* out, bool sound) {
    __shared__ int x[64];
    x[threadIdx.x] = int(threadIdx.x);
    if (sound) __syncthreads();
    out[threadIdx.x] = x[(threadIdx.x + 32) % 64];
}

__global__ void race_in_warp(int* out, bool sound) {
    out[threadIdx.x] = 1;
    __ballot_sync(0xffffffffu, 1);  // synchronises lanes, but is no memory barrier
    if (sound) __syncwarp();
    if (threadIdx.x % 32 == 0) out[threadIdx.x] = out[threadIdx.x + 1];
}

__global__ void race_of_blocks(int* out, bool sound) {
    if (threadIdx.x == 0) out[sound ? blockIdx.x : 0] = 1;
}

__global__ void race_in_grid(int* out, bool sound) {
    out[blockIdx.x * blockDim.x + threadIdx.x] = 1;
    if (sound)
        cooperative_groups::this_grid().sync();
    else
        __syncthreads();
    if (threadIdx.x == 0) out[blockIdx.x * blockDim.x] = out[(1 - blockIdx.x) * blockDim.x + 1];
}

__global__ void race_with_atomic(int* out, bool sound) {
    if (sound)
        atomicAdd(out, 1);
    else if (threadIdx.x == 0)
        *out = 1;
    else
        atomicAdd(out, 1);
}

__global__ void race_with_volatile(int* out, bool sound) {
    const int next = harness::load_volatile(out) + 1;
    if (sound)
        harness::store_volatile(out, next);
    else
        *out = next;
}

__global__ void past_the_end(int* out, bool sound) { out[threadIdx.x + (sound ? 0 : 2)] = 1; }

__global__ void past_dynamic_shared(int*, bool sound) { harness::shared[threadIdx.x + (sound ? 0 : 1)] = 1; }

__global__ void shift_too_far(int* out, bool sound) { *out = 1 << (sound ? threadIdx.x % 31 : threadIdx.x); }

__global__ void early_end(int*, bool sound) {
    if (!sound && threadIdx.x == 3) return;
    __syncthreads();
}

__global__ void different_barriers(int*, bool sound) {
    if (sound || threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads_or(0);
}

__global__ void different_lanes(int*, bool sound) {
    if (sound || threadIdx.x % 2)
        __syncwarp();
    else
        __ballot_sync(0xffffffffu, 1);
}

__global__ void endless_wait(int*, bool sound) {
    if (sound || threadIdx.x % 32) __syncwarp();
    __syncthreads();
    if (!sound) __syncwarp();
}

__global__ void lone_grid(int*, bool sound) {
    if (!sound) cooperative_groups::this_grid().sync();
}

struct Fault {
    const char* name;
    void (*kernel)(int*, bool);
    harness::LaunchSize extent = {2, 64, 64};
};
const Fault faults[] = {
    {"race_in_block", race_in_block, {1, 64}},
    {"race_in_warp", race_in_warp, {1, 64}},
    {"race_of_blocks", race_of_blocks},
    {"race_in_grid", race_in_grid, {2, 32, 0, true}},
    {"race_with_atomic", race_with_atomic, {1, 64}},
    {"race_with_volatile", race_with_volatile, {1, 64}},
    {"past_the_end", past_the_end, {1, 64}},
    {"past_dynamic_shared", past_dynamic_shared},
    {"shift_too_far", shift_too_far, {1, 64}},
    {"early_end", early_end},
    {"different_barriers", different_barriers},
    {"different_lanes", different_lanes},
    {"endless_wait", endless_wait},
    {"lone_grid", lone_grid},
};

}  // namespace

// faults NAME [sound]
int main(int count, char** arguments) {
    emulator::device = {2, 1, 163 * 1024};
    int* const out = new int[65]();
    for (const Fault& fault : faults) {
        if (std::strcmp(fault.name, arguments[1])) continue;
        harness::launch(fault.name, fault.kernel, fault.extent, nullptr, out, count > 2);
    }
    delete[] out;
}
