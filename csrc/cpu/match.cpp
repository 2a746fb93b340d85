// From batches to results, with threads.

#include "cpu/match.hpp"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "cpu/assign.hpp"
#include "cpu/similarity.hpp"
#include "cpu/simd.hpp"

namespace harness {

namespace {

// Sets rounding to nearest and no flushing of denormal numbers, whatever the caller has set (by torch.set_flush_denormal, for
// example), and restores the caller's settings. New threads inherit these.
class DefaultArithmetic {
public:
    DefaultArithmetic() {
        std::fegetenv(&callers);
        std::fesetenv(FE_DFL_ENV);
    }
    ~DefaultArithmetic() { std::fesetenv(&callers); }

private:
    std::fenv_t callers;
};

// Calls work(0) ... work(count - 1) on up to `threads` threads; rethrows an exception.
template <class Work>
void parallel(std::int64_t count, int threads, const Work& work) {
    const DefaultArithmetic arithmetic;
    threads = int(std::min<std::int64_t>(threads, count));
    if (threads <= 1) {
        for (std::int64_t k = 0; k < count; ++k) work(k);
        return;
    }
    std::atomic<std::int64_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    const auto run = [&] {
        try {
            for (std::int64_t k; (k = next++) < count;) work(k);
        } catch (...) {
            next = count;
            const std::lock_guard<std::mutex> lock(guard);
            failure = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    try {
        for (int k = 1; k < threads; ++k) others.emplace_back(run);
    } catch (const std::system_error&) {  // fewer threads than requested do all the work
    }
    run();
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

// Buffers of one problem. The shorter side gives the rows of the assignment.
struct Buffers {
    PackedRows rows, columns;
    AlignedVector<std::int32_t> similarity;  // (rows, padded(columns))
    Assignment found;

    void allocate(int n, int m) {
        const int stride = padded(m);
        similarity.resize(std::size_t(n) * stride);
        for (int i = 0; i < n; ++i) std::fill_n(similarity.data() + std::size_t(i) * stride + m, stride - m, 0);
    }

    // Computes the similarities of rows a (n, dimension) and columns b (m, dimension); false when an entry is not finite.
    bool quantise(const float* a, int n, const float* b, int m, int dimension, const Product& product, int threads) {
        rows.allocate(product, n, dimension, 1);
        columns.allocate(product, m, dimension, product.columns);
        std::atomic<bool> finite{true};
        parallel(rows.panels() + columns.panels(), threads, [&](std::int64_t k) {
            const int panel = int(k) - rows.panels();
            if (!(panel < 0 ? rows.pack_panel(a, int(k)) : columns.pack_panel(b, panel))) finite = false;
        });
        if (!finite) return false;
        allocate(n, m);
        parallel((n + kStrip - 1) / kStrip, threads,
                 [&](std::int64_t k) { similarity_strip(rows, columns, int(k) * kStrip, similarity.data(), padded(m)); });
        return true;
    }
};

// Threads to start: with less work than this each, a thread takes longer to start than to do its share.
int useful_threads(int threads, double products) { return int(std::min(double(threads), 1 + products / 2e7)); }

double products_per_problem(const BatchShape& shape) { return double(shape.prototypes) * shape.names * (shape.dimension + 100); }

std::int64_t largest_magnitude(const std::int32_t* row, int count) {
    std::int32_t low = 0, high = 0;
    for (int j = 0; j < count; ++j) {
        low = std::min(low, row[j]);
        high = std::max(high, row[j]);
    }
    return std::max(-std::int64_t(low), std::int64_t(high));
}

// The buffers of this thread, reused from problem to problem; large ones are freed after use.
class ThreadBuffers {
public:
    ~ThreadBuffers() {
        if (buffers().similarity.capacity() > std::size_t(1) << 22) buffers() = Buffers();
    }
    Buffers* operator->() { return &buffers(); }

private:
    static Buffers& buffers() {
        static thread_local Buffers own;
        return own;
    }
};

void write_problem(const Assignment& found, const BatchShape& shape, std::int64_t k, const Results& out) {
    const bool swapped = shape.prototypes > shape.names;
    std::int64_t* columns = out.columns + k * shape.prototypes;
    for (std::size_t i = 0; i < found.column_of_row.size(); ++i) {
        const std::int64_t j = found.column_of_row[i];
        columns[swapped ? j : std::int64_t(i)] = swapped ? std::int64_t(i) : j;
    }
    out.similarity[k] = double(found.total) / kUnit;
    out.gap[k] = double(found.gap) / kUnit;
    if (out.steps) out.steps[k] = found.steps;
}

void clear_problem(const BatchShape& shape, std::int64_t k, const Results& out, bool valid) {
    std::fill_n(out.columns + k * shape.prototypes, shape.prototypes, -1);
    out.similarity[k] = out.gap[k] = valid ? 0.0 : std::numeric_limits<double>::quiet_NaN();
    out.valid[k] = valid;
    if (out.steps) out.steps[k] = 0;
}

}  // namespace

void match_cpu(const float* prototypes, const float* names, const BatchShape& shape, int threads, const Results& out) {
    const double products = products_per_problem(shape);
    threads = useful_threads(threads, products * shape.batch);
    const int within = useful_threads(std::max<int>(1, int(threads / std::max<std::int64_t>(1, shape.batch))), products);
    parallel(shape.batch, threads, [&](std::int64_t k) {
        const float* p = prototypes + k * shape.prototypes * shape.dimension;
        const float* t = names + k * shape.names * shape.dimension;
        const bool swapped = shape.prototypes > shape.names;
        const int n = std::min(shape.prototypes, shape.names), m = std::max(shape.prototypes, shape.names);
        ThreadBuffers buffers;
        const bool valid = buffers->quantise(swapped ? t : p, n, swapped ? p : t, m, shape.dimension, best_product(), within);
        clear_problem(shape, k, out, valid);
        if (!valid || n == 0) return;
        assign(buffers->similarity.data(), n, m, kUnit, buffers->found);
        write_problem(buffers->found, shape, k, out);
    });
}

void quantise_cpu(const float* prototypes, const float* names, const BatchShape& shape, int threads, bool doubles_alone,
                  std::int32_t* similarity, bool* valid) {
    const Product& product = doubles_alone ? product_doubles() : best_product();
    const int n = shape.prototypes, m = shape.names, dimension = shape.dimension;
    parallel(shape.batch, useful_threads(threads, products_per_problem(shape) * shape.batch), [&](std::int64_t k) {
        ThreadBuffers buffers;
        valid[k] = buffers->quantise(prototypes + k * n * dimension, n, names + k * m * dimension, m, dimension, product, 1);
        std::int32_t* out = similarity + k * n * m;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < m; ++j) *out++ = valid[k] ? buffers->similarity[std::size_t(i) * padded(m) + j] : 0;
    });
}

void assign_cpu(const std::int32_t* similarity, const BatchShape& shape, int threads, const Results& out) {
    parallel(shape.batch, useful_threads(threads, products_per_problem(shape) * shape.batch), [&](std::int64_t k) {
        const std::int32_t* s = similarity + k * shape.prototypes * shape.names;
        const bool swapped = shape.prototypes > shape.names;
        const int n = std::min(shape.prototypes, shape.names), m = std::max(shape.prototypes, shape.names);
        clear_problem(shape, k, out, true);
        if (n == 0) return;
        ThreadBuffers buffers;
        buffers->allocate(n, m);
        std::int64_t largest = 0;
        for (int i = 0; i < n; ++i) {
            std::int32_t* row = buffers->similarity.data() + std::size_t(i) * padded(m);
            if (swapped)
                for (int j = 0; j < m; ++j) row[j] = s[std::size_t(j) * n + i];
            else
                std::copy_n(s + std::size_t(i) * m, m, row);
            largest = std::max(largest, largest_magnitude(row, m));
        }
        assign(buffers->similarity.data(), n, m, largest, buffers->found);
        write_problem(buffers->found, shape, k, out);
    });
}

}  // namespace harness
