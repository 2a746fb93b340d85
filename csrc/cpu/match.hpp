// Matching of batches on the CPU: each problem on one thread, problems in parallel. Arrays are contiguous.
#pragma once

#include <cstdint>

#include "common.hpp"

namespace harness {

// From embeddings to assignments.
void match_cpu(const float* prototypes, const float* names, const BatchShape& shape, int threads, const Results& results);

// The first half: similarity (batch, prototypes, names) and valid (batch). `doubles_alone` uses float64 where the processor has
// something faster: the same numbers, for tests.
void quantise_cpu(const float* prototypes, const float* names, const BatchShape& shape, int threads, bool doubles_alone,
                  std::int32_t* similarity, bool* valid);

// The second half: from similarity (batch, prototypes, names) to assignments.
void assign_cpu(const std::int32_t* similarity, const BatchShape& shape, int threads, const Results& results);

}  // namespace harness
