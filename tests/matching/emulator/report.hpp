// The host's interface to the emulator, for main.cpp; kernels do not use it.
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
    std::vector<std::pair<std::string, std::int64_t>> synchronisations;  // by name, the maximum over warps, blocks and the grid
};
extern std::vector<Launch> launches;  // since the last clear()

void seed(unsigned value);  // of the order in which threads run

}  // namespace emulator
