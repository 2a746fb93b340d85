#include "match_cpu.hpp"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "assign.hpp"
#include "similarity.hpp"
#include "wide.hpp"

namespace harness {

namespace {

constexpr double kUnit = 268435456.0;  // 2^28: one, in Q3.28

// Rounding to nearest, and denormal numbers as they are, whatever the caller has set (torch.set_flush_denormal, say). Threads
// begin with what their parent has.
class DefaultArithmetic {
public:
    DefaultArithmetic() {
        std::fegetenv(&kept);
        std::fesetenv(FE_DFL_ENV);
    }
    ~DefaultArithmetic() { std::fesetenv(&kept); }

private:
    std::fenv_t kept;
};

// Calls work(0) ... work(count - 1) from up to `threads` threads; the first exception is thrown again here.
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
    } catch (const std::system_error&) {  // fewer threads than asked for: the work is done all the same
    }
    run();
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

// The shorter side gives the rows of the assignment.
struct Problem {
    Packed rows, columns;
    Lines<std::int32_t> matrix;  // (rows, padded(columns))
    Assignment found;

    void allot(int n, int m) {
        const int stride = padded(m);
        matrix.resize(std::size_t(n) * stride);
        for (int i = 0; i < n; ++i) std::fill_n(matrix.data() + std::size_t(i) * stride + m, stride - m, 0);
    }

    bool measure(const float* a, int n, const float* b, int m, int dimension, const Product& product, int threads) {
        rows.allot(product, n, dimension, 1);
        columns.allot(product, m, dimension, product.columns);
        std::atomic<bool> finite{true};
        parallel(rows.panels() + columns.panels(), threads, [&](std::int64_t k) {
            const int panel = int(k) - rows.panels();
            if (!(panel < 0 ? rows.round(a, int(k)) : columns.round(b, panel))) finite = false;
        });
        if (!finite) return false;
        allot(n, m);
        parallel((n + kStrip - 1) / kStrip, threads,
                 [&](std::int64_t k) { similarity(rows, columns, int(k) * kStrip, matrix.data(), padded(m)); });
        return true;
    }
};

// Threads that are worth starting: with less to do than this, a thread takes longer to start than to do its share.
int worthwhile(int threads, double products) { return int(std::min(double(threads), 1 + products / 2e7)); }

double products(Shape shape, int dimension) { return double(shape.prototypes) * shape.names * (dimension + 100); }

std::int64_t magnitude(const std::int32_t* row, int count) {
    std::int32_t low = 0, high = 0;
    for (int j = 0; j < count; ++j) {
        low = std::min(low, row[j]);
        high = std::max(high, row[j]);
    }
    return std::max(-std::int64_t(low), std::int64_t(high));
}

// Buffers that a thread keeps from problem to problem; large ones it gives back.
class Scratch {
public:
    ~Scratch() {
        if (kept().matrix.capacity() > std::size_t(1) << 22) kept() = Problem();
    }
    Problem* operator->() { return &kept(); }

private:
    static Problem& kept() {
        static thread_local Problem problem;
        return problem;
    }
};

void write(const Assignment& found, Shape shape, std::int64_t k, Results out) {
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

void clear(Shape shape, std::int64_t k, Results out, bool valid) {
    std::fill_n(out.columns + k * shape.prototypes, shape.prototypes, -1);
    out.similarity[k] = out.gap[k] = valid ? 0.0 : std::numeric_limits<double>::quiet_NaN();
    out.valid[k] = valid;
    if (out.steps) out.steps[k] = 0;
}

}  // namespace

void match_cpu(const float* prototypes, const float* names, Shape shape, int dimension, int threads, Results out) {
    const double each = products(shape, dimension);
    threads = worthwhile(threads, each * shape.batch);
    const int within = worthwhile(std::max<int>(1, int(threads / std::max<std::int64_t>(1, shape.batch))), each);
    parallel(shape.batch, threads, [&](std::int64_t k) {
        const float* p = prototypes + k * shape.prototypes * dimension;
        const float* t = names + k * shape.names * dimension;
        const bool swapped = shape.prototypes > shape.names;
        const int n = std::min(shape.prototypes, shape.names), m = std::max(shape.prototypes, shape.names);
        Scratch problem;
        const bool valid = problem->measure(swapped ? t : p, n, swapped ? p : t, m, dimension, best_product(), within);
        clear(shape, k, out, valid);
        if (!valid || n == 0) return;
        assign(problem->matrix.data(), n, m, std::int64_t(kUnit), problem->found);
        write(problem->found, shape, k, out);
    });
}

void quantise_cpu(const float* prototypes, const float* names, Shape shape, int dimension, int threads, bool doubles_alone,
                  std::int32_t* similarity, bool* valid) {
    const Product& product = doubles_alone ? doubles() : best_product();
    const int n = shape.prototypes, m = shape.names;
    parallel(shape.batch, worthwhile(threads, products(shape, dimension) * shape.batch), [&](std::int64_t k) {
        Scratch problem;
        valid[k] = problem->measure(prototypes + k * n * dimension, n, names + k * m * dimension, m, dimension, product, 1);
        std::int32_t* out = similarity + k * n * m;
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < m; ++j) *out++ = valid[k] ? problem->matrix[std::size_t(i) * padded(m) + j] : 0;
    });
}

void assign_cpu(const std::int32_t* similarity, Shape shape, int threads, Results out) {
    parallel(shape.batch, worthwhile(threads, products(shape, 0) * shape.batch), [&](std::int64_t k) {
        const std::int32_t* s = similarity + k * shape.prototypes * shape.names;
        const bool swapped = shape.prototypes > shape.names;
        const int n = std::min(shape.prototypes, shape.names), m = std::max(shape.prototypes, shape.names);
        clear(shape, k, out, true);
        if (n == 0) return;
        Scratch problem;
        problem->allot(n, m);
        std::int64_t largest = 0;
        for (int i = 0; i < n; ++i) {
            std::int32_t* row = problem->matrix.data() + std::size_t(i) * padded(m);
            if (swapped)
                for (int j = 0; j < m; ++j) row[j] = s[std::size_t(j) * n + i];
            else
                std::copy_n(s + std::size_t(i) * m, m, row);
            largest = std::max(largest, magnitude(row, m));
        }
        assign(problem->matrix.data(), n, m, largest, problem->found);
        write(problem->found, shape, k, out);
    });
}

}  // namespace harness
