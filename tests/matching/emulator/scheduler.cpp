// The scheduler. Compiled without instrumentation in every build: sanitizers check kernels, and are notified by this file.
//
//     fibre    a CUDA thread: a stack and its groups
//     group    a warp, a block or the grid: threads that synchronise
//     block    its fibres run on one host thread, so that thread_local variables are shared by the block
//     wave     the blocks that are resident at once: all of a cooperative launch, else a few
//
// One host thread runs at a time, so that only `turn` needs a lock.

#include "scheduler.hpp"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "report.hpp"
#include "sanitizers.hpp"

namespace harness {
alignas(16) thread_local char shared[emulator::kLargestShared];  // declared in csrc/cuda/launch.cuh
}

Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

Device device;
std::vector<Launch> launches;

namespace {

constexpr int kLanes = 32;
constexpr int kOps = int(Op::count);
constexpr std::size_t kStack = 256 * 1024;  // bytes, most of them never used
constexpr unsigned kWave = 3;               // resident blocks of a launch that is not cooperative
constexpr std::array<const char*, kOps> kNames{
    "__syncthreads",     "__syncthreads_or", "grid.sync",   "__syncwarp",      "__reduce_min_sync",
    "__reduce_max_sync", "__ballot_sync",    "__shfl_sync", "__shfl_xor_sync", "mma"};

struct Fibre;
struct Block;

struct Group {
    const char* name = "";
    Fibre *first = nullptr, *last = nullptr;
    int arrived = 0, ended = 0;
    unsigned turn = 0;  // synchronisations so far
    Op op{};
    char order[2] = {};  // addresses for sanitizer::release, used alternately
    std::array<std::int64_t, kOps> synchronisations{};
};

struct Warp : Group {
    std::uint32_t values[2][kLanes * 8];  // of gather, used alternately
};

struct Fibre {
    char* stack = nullptr;
    void *at = nullptr, *context = nullptr, *fake_stack = nullptr;
    Block* block = nullptr;
    Warp* warp = nullptr;
    Group* waits_in = nullptr;
    unsigned rank = 0;
    bool ended = false;
};

struct Block : Group {
    unsigned index = 0;
    std::vector<Fibre*> ready;
    int any[2] = {};
    std::thread host;
    void *host_at = nullptr, *host_context = nullptr, *host_fake_stack = nullptr;
    const void* host_stack = nullptr;
    std::size_t host_stack_size = 0;
};

std::minstd_rand chance;
std::vector<Fibre> fibres;  // these three are reused from launch to launch
std::vector<Warp> warps;
std::vector<Block> blocks;
std::map<const void*, int> allowed_shared;

Fibre* now = nullptr;  // the running fibre; null on the host
Group grid;
const std::function<void()>* body = nullptr;
std::string kernel_name;
char begun = 0, over = 0;  // addresses for sanitizer::release before and after a launch

std::mutex guard;
std::condition_variable turn_changed;
Block* turn = nullptr;  // the block that may run; null: the launching thread

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...) {
    std::va_list rest;
    va_start(rest, format);
    std::fprintf(stderr, "%s", kernel_name.c_str());
    if (now) std::fprintf(stderr, ", block %u, thread %u", now->block->index, now->rank);
    std::fprintf(stderr, ": ");
    std::vfprintf(stderr, format, rest);
    std::fprintf(stderr, "\n");
    va_end(rest);
    std::abort();
}

// --------------------------------------------------------------------------------------------------------- switching

// Saves callee-saved registers and the stack pointer in `from`; continues where `to` was saved.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.globl emulator_switch
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

void run(Fibre* fibre) {
    Block& block = *fibre->block;
    now = fibre;
    threadIdx.x = fibre->rank;
    blockIdx.x = block.index;
    sanitizer::leave_stack(&block.host_fake_stack, fibre->stack, kStack);
    sanitizer::go_to(fibre->context);
    emulator_switch(&block.host_at, fibre->at);
    sanitizer::enter_stack(block.host_fake_stack, nullptr, nullptr);
    now = nullptr;
}

void leave(bool forever = false) {
    Fibre& fibre = *now;
    Block& block = *fibre.block;
    sanitizer::leave_stack(forever ? nullptr : &fibre.fake_stack, block.host_stack, block.host_stack_size);
    sanitizer::go_to(block.host_context);
    emulator_switch(&fibre.at, block.host_at);
    sanitizer::enter_stack(fibre.fake_stack, &block.host_stack, &block.host_stack_size);
}

void fibre_main() {
    Fibre& fibre = *now;
    sanitizer::enter_stack(nullptr, &fibre.block->host_stack, &fibre.block->host_stack_size);
    sanitizer::acquire(&begun);
    (*body)();
    sanitizer::release(&over);
    fibre.ended = true;
    for (Group* group : {static_cast<Group*>(fibre.warp), static_cast<Group*>(fibre.block), &grid}) {
        if (group->arrived) fail("the thread ends while others of its %s wait at %s", group->name, kNames[int(group->op)]);
        ++group->ended;
    }
    leave(true);
    std::abort();
}

void prepare(Fibre& fibre, Block& block, Warp& warp, unsigned rank) {
    fibre.block = &block;
    fibre.warp = &warp;
    fibre.rank = rank;
    fibre.ended = false;
    fibre.waits_in = nullptr;
    sanitizer::permit(fibre.stack, kStack);
    void** top = reinterpret_cast<void**>(fibre.stack + kStack) - 2;
    *--top = nullptr;  // return address of fibre_main, which does not return
    *--top = reinterpret_cast<void*>(fibre_main);
    for (int k = 0; k < 6; ++k) *--top = nullptr;  // the registers of emulator_switch
    fibre.at = top;
}

// --------------------------------------------------------------------------------------------------- synchronisation

void synchronise(Group& group, Op op, bool barrier) {
    if (group.ended) fail("%s, but a thread of its %s has ended", kNames[int(op)], group.name);
    if (group.arrived && group.op != op)
        fail("%s, but others of its %s wait at %s", kNames[int(op)], group.name, kNames[int(group.op)]);
    group.op = op;
    char* const place = &group.order[group.turn % 2];
    if (barrier) sanitizer::release(place);
    if (++group.arrived == group.last - group.first) {
        group.arrived = 0;
        ++group.turn;
        ++group.synchronisations[int(op)];
        for (Fibre* fibre = group.first; fibre != group.last; ++fibre) {
            fibre->waits_in = nullptr;
            fibre->block->ready.push_back(fibre);
        }
    } else {
        now->waits_in = &group;
    }
    leave();
    if (barrier) sanitizer::acquire(place);
}

}  // namespace

void sync_block() { synchronise(*now->block, Op::sync_block, true); }
void sync_warp() { synchronise(*now->warp, Op::sync_warp, true); }
void sync_grid() {
    if (grid.first == grid.last) fail("grid.sync in a launch that is not cooperative");
    synchronise(grid, Op::sync_grid, true);
}

bool any_of_block(bool mine) {
    Block& block = *now->block;
    int& any = block.any[block.turn % 2];
    any = block.arrived ? any | int(mine) : int(mine);
    synchronise(block, Op::any_of_block, true);
    return any;
}

const void* gather(Op op, unsigned mask, const void* mine, std::size_t size) {
    Warp& warp = *now->warp;
    if (mask != 0xffffffffu) fail("%s of some lanes only: not emulated", kNames[int(op)]);
    std::uint32_t* const all = warp.values[warp.turn % 2];
    const std::size_t words = size / 4;
    for (std::size_t k = 0; k < words; ++k) all[now->rank % kLanes * words + k] = static_cast<const std::uint32_t*>(mine)[k];
    synchronise(warp, op, false);
    return all;
}

// ---------------------------------------------------------------------------------------------------------- launches

namespace {

// Shared memory is uninitialised: filled with 0xcd, which makes large negative integers that are not valid indices.
void fill_shared(std::size_t bytes) {
    dl_iterate_phdr(
        [](dl_phdr_info* program, std::size_t, void*) {
            for (int k = 0; k < program->dlpi_phnum; ++k)
                if (program->dlpi_phdr[k].p_type == PT_TLS)
                    std::fill_n(static_cast<volatile char*>(program->dlpi_tls_data), program->dlpi_phdr[k].p_memsz, char(0xcd));
            return 1;  // the first is the program itself
        },
        nullptr);
    sanitizer::forbid(harness::shared + bytes, sizeof harness::shared - bytes);
}

void host(Block& block, std::size_t shared) {
    fill_shared(shared);
    sanitizer::release(&begun);
    block.host_context = sanitizer::this_fibre();
    for (int left = int(block.last - block.first); left > 0;) {
        std::unique_lock<std::mutex> lock(guard);
        turn_changed.wait(lock, [&] { return turn == &block; });
        do {
            std::swap(block.ready[chance() % block.ready.size()], block.ready.back());
            Fibre* const fibre = block.ready.back();
            block.ready.pop_back();
            run(fibre);
            left -= fibre->ended;
        } while (!block.ready.empty() && chance() % 1024);
        turn = nullptr;
        turn_changed.notify_all();
    }
    sanitizer::permit(harness::shared, sizeof harness::shared);
}

[[noreturn]] void deadlock(Fibre* first, Fibre* last) {
    for (Fibre* fibre = first; fibre != last; ++fibre)
        if (fibre->waits_in) {
            now = fibre;
            fail("waits at %s forever", kNames[int(fibre->waits_in->op)]);
        }
    fail("no thread can continue");
}

// A stack above a guard page.
char* new_stack() {
    const std::size_t page = 4096;
    void* const at = mmap(nullptr, page + kStack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char* const stack = static_cast<char*>(at) + page;
    if (at == MAP_FAILED || mprotect(stack, kStack, PROT_READ | PROT_WRITE)) fail("no memory for stacks");
    return stack;
}

void form(Group& group, const char* name, Fibre* first, unsigned size) {
    group = Group{};
    group.name = name;
    group.first = first;
    group.last = first + size;
}

void wave(const LaunchSize& extent, unsigned first, unsigned count, Launch& report) {
    Fibre* const end = fibres.data() + count * extent.threads;
    form(grid, "grid", fibres.data(), extent.cooperative ? count * extent.threads : 0);
    for (unsigned b = 0; b < count; ++b) {
        Block& block = blocks[b];
        form(block, "block", fibres.data() + b * extent.threads, extent.threads);
        block.index = first + b;
        for (unsigned rank = 0; rank < extent.threads; ++rank) {
            Warp& warp = warps[(b * extent.threads + rank) / kLanes];
            if (rank % kLanes == 0) form(warp, "warp", block.first + rank, kLanes);
            prepare(block.first[rank], block, warp, rank);
            block.ready.push_back(block.first + rank);
        }
    }
    for (unsigned b = 0; b < count; ++b) blocks[b].host = std::thread(host, std::ref(blocks[b]), extent.shared);
    for (;;) {
        std::vector<Block*> able;
        bool all_ended = true;
        for (unsigned b = 0; b < count; ++b) {
            if (!blocks[b].ready.empty()) able.push_back(&blocks[b]);
            all_ended = all_ended && blocks[b].ended == int(extent.threads);
        }
        if (all_ended) break;
        if (able.empty()) deadlock(fibres.data(), end);
        std::unique_lock<std::mutex> lock(guard);
        turn = able[chance() % able.size()];
        turn_changed.notify_all();
        turn_changed.wait(lock, [] { return turn == nullptr; });
    }
    const auto most = [&](const Group& group) {
        for (int op = 0; op < kOps; ++op) report.synchronisations[op].second = std::max(report.synchronisations[op].second, group.synchronisations[op]);
    };
    most(grid);
    for (unsigned b = 0; b < count; ++b) {
        blocks[b].host.join();
        most(blocks[b]);
    }
    for (unsigned w = 0; w < count * extent.threads / kLanes; ++w) most(warps[w]);
}

// "fused_kernel" of "0000000000403f10 t harness::(anonymous namespace)::fused_kernel(void const*, int)".
std::string short_name(std::string symbol) {
    const std::string nameless = "(anonymous namespace)::";
    for (std::size_t at; (at = symbol.find(nameless)) != std::string::npos;) symbol.erase(at, nameless.size());
    symbol = symbol.substr(0, symbol.find('('));
    return symbol.substr(symbol.find_last_of(": ") + 1);
}

// Names of kernels, from the symbols of this program's file.
std::string name_of(const void* kernel) {
    static const auto names = [] {
        std::map<std::uintptr_t, std::string> found;
        char line[4096];
        std::FILE* const symbols = popen(("nm -C /proc/" + std::to_string(getpid()) + "/exe").c_str(), "r");
        while (symbols && std::fgets(line, sizeof line, symbols))
            found.emplace(std::strtoull(line, nullptr, 16), short_name(line));
        if (symbols) pclose(symbols);
        return found;
    }();
    const auto at = names.find(reinterpret_cast<std::uintptr_t>(kernel));
    return at == names.end() ? "kernel" : at->second;
}

}  // namespace

const char* sentence(Error error) {
    switch (error) {
        case Error::none: return "no error";
        case Error::configuration: return "invalid launch configuration";
        case Error::shared_memory: return "more shared memory than a block may have";
        case Error::lowered: return "less shared memory than before, which is too little for a launch of another thread";
        case Error::too_large: return "more blocks than a cooperative launch may have";
    }
    return "unknown error";
}

Error allow_shared(const void* kernel, int bytes) {
    static std::map<std::pair<const void*, int>, int> before;  // kernel, limit of the device
    if (bytes + kStaticShared > device.shared_limit) return Error::shared_memory;
    int& most = before[{kernel, device.shared_limit}];
    if (bytes < most) return Error::lowered;
    allowed_shared[kernel] = most = bytes;
    return Error::none;
}

Error launch(const void* kernel, const LaunchSize& extent, const std::function<void()>& run_kernel) {
    if (extent.blocks == 0 || extent.threads == 0 || extent.threads > 1024) return Error::configuration;
    if (extent.shared > std::size_t(std::max(48 * 1024, allowed_shared[kernel]))) return Error::shared_memory;
    if (extent.cooperative && extent.blocks > unsigned(device.processors * kBlocksPerProcessor)) return Error::too_large;
    kernel_name = name_of(kernel);
    if (extent.threads % kLanes) fail("%u threads: warps that are not full are not emulated", extent.threads);
    body = &run_kernel;
    blockDim.x = extent.threads;
    gridDim.x = extent.blocks;
    const unsigned together = extent.cooperative ? extent.blocks : std::min(extent.blocks, kWave);
    const std::size_t most = std::size_t(together) * extent.threads;
    while (fibres.size() < most) {
        Fibre fibre;
        fibre.stack = new_stack();
        fibre.context = sanitizer::new_fibre();
        fibres.push_back(fibre);
    }
    if (warps.size() < most / kLanes) warps.resize(most / kLanes);
    while (blocks.size() < together) {
        blocks.emplace_back();
        blocks.back().ready.reserve(1024);
    }
    Launch report{kernel_name, extent.blocks, extent.threads, extent.shared, {}};
    for (const char* name : kNames) report.synchronisations.emplace_back(name, 0);
    sanitizer::release(&begun);
    for (unsigned first = 0; first < extent.blocks; first += together)
        wave(extent, first, std::min(together, extent.blocks - first), report);
    sanitizer::acquire(&over);
    launches.push_back(std::move(report));
    return Error::none;
}

void seed(unsigned value) { chance.seed(value); }

}  // namespace emulator

#if defined(EMULATOR_RACES)
// The compiler calls these before volatile accesses, which the PTX ISA defines as relaxed atomics.
extern "C" int __tsan_atomic32_load(const volatile int* at, int order);
extern "C" int __tsan_atomic32_fetch_or(volatile int* at, int bits, int order);
extern "C" void __tsan_volatile_read4(int* at) { __tsan_atomic32_load(at, __ATOMIC_RELAXED); }
extern "C" long __tsan_atomic64_load(const volatile long* at, int order);
extern "C" void __tsan_volatile_read8(long* at) { __tsan_atomic64_load(at, __ATOMIC_RELAXED); }
extern "C" void __tsan_volatile_write4(int* at) { __tsan_atomic32_fetch_or(at, 0, __ATOMIC_RELAXED); }
#endif
