// Reads problems from standard input and writes results to standard output, until the input ends.
//
//     in    a line: kernel type batch prototypes names dimension offset processors cooperative shared_limit seed
//           then the bytes of both inputs. kernel: fused or large; type: EntryType in cuda/match.hpp; offset: bytes by which both
//           inputs begin after an aligned address
//     out   a line of JSON: {"error": sentence} or {"launches": [...]}; after the second the bytes of columns, similarity,
//           gap, valid

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cuda/match.hpp"
#include "report.hpp"
#include "scheduler.hpp"

namespace {

// Device memory of exactly this size, uninitialised.
template <class T>
struct Memory {
    explicit Memory(std::size_t count, std::size_t offset = 0) : bytes(count * sizeof(T) + offset), at(nullptr) {
        if (posix_memalign(&at, 256, bytes)) std::abort();
        std::memset(at, 0xcd, bytes);
        first = reinterpret_cast<T*>(static_cast<char*>(at) + offset);
        bytes -= offset;
    }
    ~Memory() { std::free(at); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    void read(std::istream& in) { in.read(reinterpret_cast<char*>(first), std::streamsize(bytes)); }
    void write(std::ostream& out) const { out.write(reinterpret_cast<const char*>(first), std::streamsize(bytes)); }

    std::size_t bytes;
    void* at;
    T* first;
};

void match(const std::string& kernel, const harness::CudaInput& input, const harness::Results& results) {
    if (kernel == "fused") {
        if (!harness::fused_fits(input.shape.prototypes, input.shape.names)) throw std::runtime_error("it does not fit into a block's shared memory");
        harness::match_fused(input, results, nullptr);
    } else {
        const Memory<char> workspace(harness::workspace_bytes(input.shape.batch, input.shape.prototypes, input.shape.names));
        harness::match_large(input, results, workspace.first, nullptr);
    }
}

std::string described(const std::vector<emulator::Launch>& launches) {
    std::string text = "{\"launches\": [";
    for (const emulator::Launch& launch : launches) {
        if (text.back() == '}') text += ", ";
        text += "{\"kernel\": \"" + launch.kernel + "\", \"blocks\": " + std::to_string(launch.blocks) +
                ", \"threads\": " + std::to_string(launch.threads) + ", \"shared\": " + std::to_string(launch.shared);
        for (const auto& [name, count] : launch.synchronisations) text += ", \"" + name + "\": " + std::to_string(count);
        text += "}";
    }
    return text + "]}";
}

}  // namespace

int main() {
    std::ios::sync_with_stdio(false);
    std::string kernel;
    int type, prototypes, names, dimension;
    std::int64_t batch;
    std::size_t offset;
    unsigned seed;
    emulator::Device& device = emulator::device;
    while (std::cin >> kernel >> type >> batch >> prototypes >> names >> dimension >> offset >> device.processors >>
           device.cooperative >> device.shared_limit >> seed) {
        std::cin.get();
        emulator::seed(seed);
        emulator::launches.clear();
        const std::size_t element = type == 0 ? 4 : 2;
        Memory<char> p(element * batch * prototypes * dimension, offset), t(element * batch * names * dimension, offset);
        p.read(std::cin);
        t.read(std::cin);
        const Memory<std::int64_t> columns(batch * prototypes);
        const Memory<double> similarity(batch), gap(batch);
        const Memory<bool> valid(batch);
        try {
            match(kernel, {p.first, t.first, harness::EntryType(type), {batch, prototypes, names, dimension}},
                  {columns.first, similarity.first, gap.first, valid.first});
            std::cout << described(emulator::launches) << '\n';
            columns.write(std::cout);
            similarity.write(std::cout);
            gap.write(std::cout);
            valid.write(std::cout);
        } catch (const std::exception& error) {
            std::cout << "{\"error\": \"" << error.what() << "\"}\n";
        }
        std::cout.flush();
    }
}
