#pragma once

#include "../scheduler.hpp"

namespace cooperative_groups {

struct grid_group {
    void sync() const { emulator::sync_grid(); }
};
inline grid_group this_grid() { return {}; }

}  // namespace cooperative_groups
