// The host's side of the emulator: what main.cpp asks of it, and what kernels have no business with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace emulator {

constexpr std::size_t kLargestShared = 227 * 1024;  // of sm_90

struct Launch {
    std::string kernel;
    unsigned blocks, threads;
    std::size_t shared;
    std::vector<std::pair<std::string, std::int64_t>> meetings;  // by name, the most that any warp, block or grid had
};
extern std::vector<Launch> launches;  // since it was last cleared

void seed(unsigned value);  // of the order in which threads run

}  // namespace emulator
