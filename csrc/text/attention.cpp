// Softmax attention (Vaswani et al., 2017) along the paths of a tree, in float32 on one thread.
//
// A node attends to as many nodes as it has before it, which are few: no padding is gathered or computed, and what stays
// in memory for the backward pass are the weights. Every sum of a vector has sixteen partial sums, whatever the registers.

#include "text/attention.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/simd.hpp"

namespace harness::text {

namespace {

static_assert(padded(1) == kLanes);

constexpr float kNothing = std::numeric_limits<float>::lowest();

// The sum of a register, by halves.
template <int bytes>
HARNESS_INLINE float sum_of(typename Simd<float, bytes>::Vector x) {
    if constexpr (bytes == 16) {
        return (x[0] + x[2]) + (x[1] + x[3]);
    } else {
        typename Simd<float, bytes / 2>::Vector half[2];
        std::memcpy(half, &x, bytes);
        return sum_of<bytes / 2>(half[0] + half[1]);
    }
}

// Sixteen numbers, in as many registers as they need.
template <int bytes>
struct Sixteen {
    using V = Simd<float, bytes>;
    using Bits = typename Simd<std::int32_t, bytes>::Vector;
    static constexpr int kParts = kLanes / V::lanes;
    typename V::Vector part[kParts];

    static HARNESS_INLINE Sixteen load(const float* from) {
        Sixteen x;
        for (int p = 0; p < kParts; ++p) x.part[p] = V::load(from + p * V::lanes);
        return x;
    }
    static HARNESS_INLINE Sixteen all(float value) {
        Sixteen x;
        for (int p = 0; p < kParts; ++p) x.part[p] = V::broadcast(value);
        return x;
    }
    HARNESS_INLINE void store(float* to) const {
        for (int p = 0; p < kParts; ++p) V::store(to + p * V::lanes, part[p]);
    }
    HARNESS_INLINE void add(const Sixteen& y) {
        for (int p = 0; p < kParts; ++p) part[p] += y.part[p];
    }
    HARNESS_INLINE void add_product(const Sixteen& y, const Sixteen& z) {
        for (int p = 0; p < kParts; ++p) part[p] += y.part[p] * z.part[p];
    }
    HARNESS_INLINE void scale(float factor) {
        for (int p = 0; p < kParts; ++p) part[p] *= factor;
    }
    HARNESS_INLINE float sum() const {
        auto total = part[0];
        if constexpr (kParts == 2) total += part[1];
        if constexpr (kParts == 4) total = (total + part[2]) + (part[1] + part[3]);
        return sum_of<bytes>(total);
    }
    // e^(x - largest) for x <= largest, within two units in the last place; 0 below e^-87. Cephes' expf.
    HARNESS_INLINE void exp_below(float largest) {
        const auto round = V::broadcast(12582912.f);  // 1.5 * 2^23: adding it leaves no fraction
        for (int p = 0; p < kParts; ++p) {
            const auto given = part[p] - largest, x = V::max(given, V::broadcast(-87.f));
            const auto n = (x * 1.44269504f + round) - round;
            const auto r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
            auto series = r * 1.9875691500e-4f + 1.3981999507e-3f;
            series = series * r + 8.3334519073e-3f;
            series = series * r + 4.1665795894e-2f;
            series = series * r + 1.6666665459e-1f;
            series = series * r + 5.0000001201e-1f;
            series = series * r * r + r + 1.f;
            const Bits exponent = (__builtin_convertvector(n, Bits) + 127) << 23;
            part[p] = given < -87.f ? V::broadcast(0.f) : series * reinterpret_cast<const typename V::Vector&>(exponent);
        }
    }
};

template <int bytes>
HARNESS_INLINE float dot(const float* x, const float* y, int size) {
    auto parts = Sixteen<bytes>::all(0.f);
    for (int d = 0; d < size; d += kLanes) parts.add_product(Sixteen<bytes>::load(x + d), Sixteen<bytes>::load(y + d));
    return parts.sum();
}

// Turns n scores into weights of sum 1; the array goes on to a multiple of kLanes, with zeros.
template <int bytes>
HARNESS_INLINE void softmax(float* score, int n) {
    using S = Sixteen<bytes>;
    const int end = padded(n);
    float largest = kNothing;
    for (int j = 0; j < n; ++j) largest = score[j] > largest ? score[j] : largest;
    for (int j = n; j < end; ++j) score[j] = kNothing;
    auto total = S::all(0.f);
    for (int j = 0; j < end; j += kLanes) {
        auto weights = S::load(score + j);
        weights.exp_below(largest);
        weights.store(score + j);
        total.add(weights);
    }
    const float share = 1.f / total.sum();
    for (int j = 0; j < end; j += kLanes) {
        auto weights = S::load(score + j);
        weights.scale(share);
        weights.store(score + j);
    }
}

// The nodes that a query attends to.
struct Prefix {
    const std::int64_t* node;
    int count;
    Prefix(const Queries& queries, std::int64_t query)
        : node(queries.path + queries.place[query] / queries.length * queries.length),
          count(int(queries.place[query] % queries.length) + 1) {}
};

float score_scale(const Heads& heads) { return 1.f / std::sqrt(float(heads.size)); }

struct Forward {
    template <int bytes>
    static HARNESS_INLINE void run(const Queries& queries, const Heads& heads, Rows<const float> q, Rows<const float> k,
                                   Rows<const float> v, Rows<float> taken, float* weight) {
        using S = Sixteen<bytes>;
        const float scale = score_scale(heads);
        const int stride = padded(queries.length);
        for (std::int64_t i = 0; i < queries.count; ++i) {
            const Prefix seen(queries, i);
            for (int h = 0; h < heads.count; ++h, weight += stride) {
                const int first = h * heads.size;
                for (int j = 0; j < seen.count; ++j)
                    weight[j] = scale * dot<bytes>(q[i] + first, k[seen.node[j]] + first, heads.size);
                softmax<bytes>(weight, seen.count);
                for (int d = first; d < first + heads.size; d += kLanes) {
                    auto sum = S::all(0.f);
                    for (int j = 0; j < seen.count; ++j) sum.add_product(S::all(weight[j]), S::load(v[seen.node[j]] + d));
                    sum.store(taken[i] + d);
                }
            }
        }
    }
};

struct Backward {
    template <int bytes>
    static HARNESS_INLINE void run(const Queries& queries, const Heads& heads, Rows<const float> q, Rows<const float> k,
                                   Rows<const float> v, const float* weight, Rows<const float> gradient, Rows<float> to_q,
                                   Rows<float> to_k, Rows<float> to_v) {
        using S = Sixteen<bytes>;
        const float scale = score_scale(heads);
        const int stride = padded(queries.length);
        std::vector<float> to_score(queries.length);
        for (std::int64_t i = 0; i < queries.count; ++i) {
            const Prefix seen(queries, i);
            for (int h = 0; h < heads.count; ++h, weight += stride) {
                const int first = h * heads.size;
                float mean = 0;
                for (int j = 0; j < seen.count; ++j) {
                    to_score[j] = dot<bytes>(gradient[i] + first, v[seen.node[j]] + first, heads.size);
                    mean += weight[j] * to_score[j];
                }
                for (int j = 0; j < seen.count; ++j) to_score[j] = scale * weight[j] * (to_score[j] - mean);
                for (int d = first; d < first + heads.size; d += kLanes) {
                    const auto query = S::load(q[i] + d), from = S::load(gradient[i] + d);
                    auto sum = S::all(0.f);
                    for (int j = 0; j < seen.count; ++j) {
                        const std::int64_t node = seen.node[j];
                        const auto score = S::all(to_score[j]);
                        sum.add_product(score, S::load(k[node] + d));
                        auto key = S::load(to_k[node] + d), value = S::load(to_v[node] + d);
                        key.add_product(score, query);
                        value.add_product(S::all(weight[j]), from);
                        key.store(to_k[node] + d);
                        value.store(to_v[node] + d);
                    }
                    sum.store(to_q[i] + d);
                }
            }
        }
    }
};

}  // namespace

void attend(const Queries& queries, const Heads& heads, Rows<const float> q, Rows<const float> k, Rows<const float> v,
            Rows<float> taken, float* weight) {
    dispatch<Forward>(queries, heads, q, k, v, taken, weight);
}

void attend_backward(const Queries& queries, const Heads& heads, Rows<const float> q, Rows<const float> k, Rows<const float> v,
                     const float* weight, Rows<const float> gradient, Rows<float> to_q, Rows<float> to_k, Rows<float> to_v) {
    dispatch<Backward>(queries, heads, q, k, v, weight, gradient, to_q, to_k, to_v);
}

}  // namespace harness::text
