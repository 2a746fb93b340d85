// Attention of the nodes of a prefix tree over their prefixes, forward and backward.
#pragma once

#include <cstddef>
#include <cstdint>

namespace harness::text {

constexpr int kLanes = 16;  // the size of a head is a multiple of it

// n queries. Query i stands at `place[i]` = prompt * length + position, and attends to the nodes of its prompt up to there.
struct Queries {
    const std::int64_t* path;   // (prompts, length): the node at every position
    const std::int64_t* place;  // (n)
    std::int64_t count;
    int length;
};

// A matrix (rows, heads * size): contiguous rows, `stride` entries apart.
template <class T>
struct Rows {
    T* first;
    std::ptrdiff_t stride;
    T* operator[](std::int64_t row) const { return first + row * stride; }
};

struct Heads {
    int count, size;
};

// taken: (n, heads * size). weight: (n, heads, padded(length)), written up to the position of each query; the backward pass
// reads it.
void attend(const Queries& queries, const Heads& heads, Rows<const float> q, Rows<const float> k, Rows<const float> v,
            Rows<float> taken, float* weight);

// Writes to_q and adds to to_k and to_v, for the gradient of `taken`.
void attend_backward(const Queries& queries, const Heads& heads, Rows<const float> q, Rows<const float> k, Rows<const float> v,
                     const float* weight, Rows<const float> gradient, Rows<float> to_q, Rows<float> to_k, Rows<float> to_v);

}  // namespace harness::text
