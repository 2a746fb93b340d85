// Batches on the CPU: similarity and assignment of each problem by one thread, problems in parallel.
#pragma once

#include <cstdint>

namespace harness {

struct Shape {
    std::int64_t batch;
    int prototypes, names;
};

// What is written for each problem; columns (batch, prototypes) is -1 where unmatched, the others are (batch).
struct Results {
    std::int64_t* columns;
    double* similarity;  // total cosine; NaN for a problem with bad input
    double* gap;         // cosine units; exactly 0 when optimal
    bool* valid;         // false: the input holds NaN or infinity, nothing was matched
    std::int64_t* steps = nullptr;  // rows looked at while bidding and on paths; for tests, null otherwise
};

// prototypes (batch, N, dimension), names (batch, M, dimension), contiguous.
void match_cpu(const float* prototypes, const float* names, Shape shape, int dimension, int threads, Results results);

// The first half alone: similarity (batch, N, M) as whole numbers; valid (batch). `doubles_alone` keeps to float64 where the
// processor could do better: the same numbers, for tests.
void quantise_cpu(const float* prototypes, const float* names, Shape shape, int dimension, int threads, bool doubles_alone,
                  std::int32_t* similarity, bool* valid);

// The second half alone: similarity (batch, N, M) as whole numbers.
void assign_cpu(const std::int32_t* similarity, Shape shape, int threads, Results results);

}  // namespace harness
