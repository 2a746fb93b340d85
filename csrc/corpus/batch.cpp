#include "batch.hpp"

#include <algorithm>

#include "ascii.hpp"

namespace harness::corpus {

namespace {

constexpr std::int64_t kCaptions = 256;
constexpr std::ptrdiff_t kBytes = 8192;
constexpr int kPositions = 16;

// Writes the positions of bits: always several at once, since a loop that ends where the text says so is mispredicted.
template <int bytes>
HARNESS_INLINE std::uint32_t* write_positions(std::uint64_t bits, std::uint32_t first, std::uint32_t* to) {
    std::uint32_t* const end = to + __builtin_popcountll(bits);
    do {
        for (int i = 0; i < kPositions; ++i, bits &= bits - 1) *to++ = first + Bits<bytes>::lowest(bits);
    } while (bits);
    return end;
}

}  // namespace

struct Batch::Split {
    template <int bytes>
    static HARNESS_INLINE void run(Batch& batch, const char* text, std::size_t size) {
        constexpr int width = bytes < 32 ? bytes : 32;
        std::uint32_t *begin = batch.begins_.data(), *end = batch.ends_.data();
        std::uint64_t word_before = 0, space_before = 0, others = 0;
        char last[kBlock];
        for (std::size_t at = 0; at <= size; at += kBlock) {
            const char* from = text + at;
            if (size - at < kBlock) {
                std::fill(std::copy_n(from, size - at, last), last + kBlock, ' ');
                from = last;
            }
            const AsciiMasks masks = lower_block<width>(from, batch.text_.data() + at);
            Block& block = batch.blocks_[at / kBlock];
            block.others = ~masks.printable | (masks.ampersands & ~(masks.spaces >> 1));
            block.runs = masks.spaces & (masks.spaces << 1 | space_before) & ~block.bounds;
            others |= block.others;
            const std::uint64_t before = masks.words << 1 | word_before;
            begin = write_positions<width>(masks.words & (~before | block.bounds), std::uint32_t(at), begin);
            end = write_positions<width>(before & (~masks.words | block.bounds), std::uint32_t(at), end);
            word_before = masks.words >> (kBlock - 1);
            space_before = masks.spaces >> (kBlock - 1);
        }
        batch.words_ = std::size_t(end - batch.ends_.data());
        batch.any_others_ = others;
    }
};

void Batch::read(const Column& column, std::int64_t row) {
    const char* const text = column.begin(row);
    const std::int64_t most = std::min(kCaptions, column.size - row);
    captions_ = 1;
    while (std::int64_t(captions_) < most && column.begin(row + captions_ + 1) - text <= kBytes) ++captions_;
    const std::size_t size = std::size_t(column.begin(row + std::int64_t(captions_)) - text);
    if (text_.size() < size + 2 * kBlock) {
        text_.resize(size + 2 * kBlock);
        begins_.resize(text_.size());
        ends_.resize(text_.size());
    }
    bounds_.resize(kCaptions + 1);
    blocks_.assign(size / kBlock + 1, {});
    for (std::size_t i = 0; i <= captions_; ++i) {
        const std::size_t bound = std::size_t(column.begin(row + std::int64_t(i)) - text);
        bounds_[i] = std::uint32_t(bound);
        blocks_[bound / kBlock].bounds |= std::uint64_t(1) << bound % kBlock;
    }
    dispatch<Split>(*this, text, size);
}

std::uint32_t Batch::count(std::uint64_t Block::*bits, std::uint32_t begin, std::uint32_t end) const {
    int found = 0;
    for (; begin < end; begin = (begin / 64 + 1) * 64) {
        std::uint64_t rest = blocks_[begin / 64].*bits >> begin % 64;
        if (end - begin < 64) rest &= (std::uint64_t(1) << (end - begin)) - 1;
        if (rest) found += __builtin_popcountll(rest);
    }
    return std::uint32_t(found);
}

}  // namespace harness::corpus
