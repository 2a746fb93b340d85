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

// As the large kernels do: paths by the whole team.
template <class T>
bool finish_together(Threads& team, const Problem<T>& w) {
    if (!paths(team, w)) return false;
    certify(team, w);
    if (w.sums[0] == w.sums[1]) lowest(team, w);
    team.sync();
    return true;
}

void solve(Threads team, char* room, std::int32_t* counts, const std::int32_t* s, int n, int m, bool large) {
    const Problem<std::int32_t> w = Problem<std::int32_t>::at(room, s, n, m);
    const auto get = [&](int) { return w; };
    begin<std::int32_t>(team, get, 1, n, m);
    if (large)
        scaled_auction(team, get, 1, n, m, counts);
    else
        auction(team, get, 1, n, m, 0, kLastRounds, 0, counts);
    if (finish_together(team, w)) return;
    team.sync();
    const Problem<std::int64_t> wide = Problem<std::int64_t>::at(room, s, n, m);
    begin<std::int64_t>(team, [&](int) { return wide; }, 1, n, m);
    finish_together(team, wide);
}

}  // namespace

void assign_team(const std::int32_t* similarity, Shape shape, int members, bool large, Results out) {
    const int n = shape.prototypes, m = shape.names;  // 1 <= n <= m
    std::vector<std::int64_t> room(room_bytes(n, m) / 8);
    for (std::int64_t k = 0; k < shape.batch; ++k) {
        const std::int32_t* s = similarity + k * n * m;
        std::int32_t counts[3];
        Meeting meeting(members);
        together(members, [&](int t) { solve({t, &meeting}, reinterpret_cast<char*>(room.data()), counts, s, n, m, large); });
        const auto w = Problem<std::int64_t>::at(reinterpret_cast<char*>(room.data()), s, n, m);
        for (int i = 0; i < n; ++i) out.columns[k * n + i] = w.column_of[i];
        out.similarity[k] = double(w.sums[1]) / kOne;
        out.gap[k] = double(w.sums[0] - w.sums[1]) / kOne;
        out.valid[k] = true;
        if (out.steps) out.steps[k] = meeting.reductions;
    }
}

void match_team(const float* prototypes, const float* names, Shape shape, int dimension, Results out) {
    const bool swapped = shape.prototypes > shape.names;
    const int n = swapped ? shape.names : shape.prototypes, m = swapped ? shape.prototypes : shape.names;
    const float *rows = swapped ? names : prototypes, *columns = swapped ? prototypes : names;
    Lines<char> shared(block_bytes(n, m));
    for (std::int64_t k = 0; k < shape.batch; ++k) {
        std::int32_t counts[3];
        Meeting meeting(kThreads);
        std::vector<WarpMeeting> warps(kThreads / 32);
        together(kThreads, [&](int t) {
            EmulatedBlock team{t, &meeting, warps.data()};
            match_block(team, rows, columns, Type::float32, k, n, m, dimension, swapped, shared.data(), counts, out);
        });
    }
}

}  // namespace harness
