// The GPU's assignment on threads of the CPU: slow, for tests of its logic alone.

#include <thread>
#include <vector>

#include "match_cpu.hpp"
#include "team_assign.hpp"

namespace harness {

namespace {

template <class T>
bool finish(Threads& team, const Problem<T>& w) {
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
    if (large && n == m)
        for (int phase = 0; phase < kPhases; ++phase) {
            auction(team, get, 1, n, m, phase_epsilon(phase), kPhaseRounds, few(n), counts);
            release(team, get, 1, n, m);
        }
    auction(team, get, 1, n, m, 0, kLastRounds, 0, counts);
    if (finish(team, w)) return;
    team.sync();
    const Problem<std::int64_t> wide = Problem<std::int64_t>::at(room, s, n, m);
    begin<std::int64_t>(team, [&](int) { return wide; }, 1, n, m);
    finish(team, wide);
}

}  // namespace

void assign_team(const std::int32_t* similarity, Shape shape, int members, bool large, Results out) {
    const int n = shape.prototypes, m = shape.names;  // 1 <= n <= m
    std::vector<std::int64_t> room(room_bytes(n, m) / 8);
    for (std::int64_t k = 0; k < shape.batch; ++k) {
        const std::int32_t* s = similarity + k * n * m;
        std::int32_t counts[3];
        Meeting meeting(members);
        std::vector<std::thread> threads;
        for (int t = 0; t < members; ++t)
            threads.emplace_back([&, t] { solve({t, &meeting}, reinterpret_cast<char*>(room.data()), counts, s, n, m, large); });
        for (std::thread& thread : threads) thread.join();
        const auto w = Problem<std::int64_t>::at(reinterpret_cast<char*>(room.data()), s, n, m);
        for (int i = 0; i < n; ++i) out.columns[k * n + i] = w.column_of[i];
        out.similarity[k] = double(w.sums[1]) / kOne;
        out.gap[k] = double(w.sums[0] - w.sums[1]) / kOne;
        out.valid[k] = true;
    }
}

}  // namespace harness
