// The GPU's algorithms on threads of the CPU: slow, for tests of their logic alone.

#include <thread>
#include <vector>

#include "match_cpu.hpp"
#include "team_match.hpp"
#include "wide.hpp"

namespace harness {

namespace {

// Calls run(k) in `count` threads at once.
template <class Run>
void together(int count, const Run& run) {
    std::vector<std::thread> threads;
    for (int k = 0; k < count; ++k) threads.emplace_back([&run, k] { run(k); });
    for (std::thread& thread : threads) thread.join();
}

// As the fused kernel does it, by full warps: calls run(block) in all their threads. The steps of the path searches.
template <class Run>
std::int64_t by_block(int warps, const Run& run) {
    Meeting meeting(32 * warps);
    std::vector<WarpMeeting> meetings(warps);
    together(32 * warps, [&](int t) {
        EmulatedBlock team{t, &meeting, meetings.data()};
        run(team);
    });
    return meetings[0].reductions;
}

// As the large kernels do it: paths by the whole team.
template <class T>
bool finish_together(Threads& team, const Problem<T>& w) {
    if (!paths(team, w)) return false;
    certify(team, w);
    if (w.sums[0] == w.sums[1]) lowest(team, w);
    team.sync();
    return true;
}

void assign_large(Threads team, const std::int32_t* s, int n, int m, char* room, std::int32_t* counts) {
    const Problem<std::int32_t> w = Problem<std::int32_t>::at(room, s, n, m);
    const auto get = [&](int) { return w; };
    begin<std::int32_t>(team, get, 1, n, m);
    scaled_auction(team, get, 1, n, m, counts);
    if (finish_together(team, w)) return;
    team.sync();
    const Problem<std::int64_t> wide = Problem<std::int64_t>::at(room, s, n, m);
    begin<std::int64_t>(team, [&](int) { return wide; }, 1, n, m);
    finish_together(team, wide);
}

std::int64_t by_threads(int members, const std::int32_t* s, int n, int m, char* room, std::int32_t* counts) {
    Meeting meeting(members);
    together(members, [&](int t) { assign_large({t, &meeting}, s, n, m, room, counts); });
    return meeting.reductions;
}

}  // namespace

void assign_team(const std::int32_t* similarity, Shape shape, int members, bool large, Results out) {
    const int n = shape.prototypes, m = shape.names;  // 1 <= n <= m
    Lines<char> memory(room_bytes(n, m));
    char* const room = memory.data();
    for (std::int64_t k = 0; k < shape.batch; ++k) {
        const std::int32_t* s = similarity + k * n * m;
        std::int32_t counts[3];
        const std::int64_t steps = large ? by_threads(members, s, n, m, room, counts)
                                         : by_block(members, [&](EmulatedBlock& team) { assign_block(team, s, n, m, room, counts); });
        const auto w = Problem<std::int32_t>::at(room, s, n, m);
        for (int i = 0; i < n; ++i) out.columns[k * n + i] = w.column_of[i];
        out.similarity[k] = double(w.sums[1]) / kOne;
        out.gap[k] = double(w.sums[0] - w.sums[1]) / kOne;
        out.valid[k] = true;
        if (out.steps) out.steps[k] = steps;
    }
}

void match_team(const float* prototypes, const float* names, Shape shape, int dimension, Results out) {
    const bool swapped = shape.prototypes > shape.names;
    const int n = swapped ? shape.names : shape.prototypes, m = swapped ? shape.prototypes : shape.names;
    const float *rows = swapped ? names : prototypes, *columns = swapped ? prototypes : names;
    Lines<char> shared(block_bytes(n, m));
    for (std::int64_t k = 0; k < shape.batch; ++k) {
        std::int32_t counts[3];
        by_block(kThreads / 32, [&](EmulatedBlock& team) {
            match_block(team, rows, columns, Type::float32, k, n, m, dimension, swapped, shared.data(), counts, out);
        });
    }
}

}  // namespace harness
