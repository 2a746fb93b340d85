// The common captions: printable ASCII, read in blocks of characters as bit masks of what they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace harness::corpus {

constexpr std::size_t kBlock = 64;  // characters whose masks are made at once

struct AsciiMasks {
    std::uint64_t words = 0;  // letters and numbers
    std::uint64_t spaces = 0;
    std::uint64_t ampersands = 0;
    std::uint64_t others = 0;  // what is not printable ASCII
};

// Copies a block of characters in lower case.
#ifdef __SSE2__

inline AsciiMasks lower_block(const char* from, char* to) {
    AsciiMasks masks;
    const auto between = [](__m128i x, char low, char high) {
        return _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8(char(low - 1))), _mm_cmpgt_epi8(_mm_set1_epi8(char(high + 1)), x));
    };
    const auto bits = [](__m128i x, int part) { return std::uint64_t(std::uint32_t(_mm_movemask_epi8(x))) << 16 * part; };
    for (int part = 0; part < 4; ++part) {
        const __m128i given = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * part));
        const __m128i x = _mm_or_si128(given, _mm_and_si128(between(given, 'A', 'Z'), _mm_set1_epi8(0x20)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16 * part), x);
        masks.words |= bits(_mm_or_si128(between(x, 'a', 'z'), between(x, '0', '9')), part);
        masks.spaces |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')), part);
        masks.ampersands |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8('&')), part);
        masks.others |= ~bits(between(x, ' ', '~'), part) & std::uint64_t(0xFFFF) << 16 * part;
    }
    return masks;
}

#else

inline AsciiMasks lower_block(const char* from, char* to) {
    AsciiMasks masks;
    for (std::size_t i = 0; i < kBlock; ++i) {
        const char c = to[i] = from[i] >= 'A' && from[i] <= 'Z' ? char(from[i] + 'a' - 'A') : from[i];
        masks.words |= std::uint64_t((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) << i;
        masks.spaces |= std::uint64_t(c == ' ') << i;
        masks.ampersands |= std::uint64_t(c == '&') << i;
        masks.others |= std::uint64_t(c < ' ' || c > '~') << i;
    }
    return masks;
}

#endif

// A caption in lower case, and where its words are.
class AsciiText {
public:
    // Reads a caption that is followed by at least kBlock readable bytes. False if its clean-up is more than lower case:
    // for other characters than printable ASCII, runs of spaces, and what may be an HTML entity.
    bool assign(std::string_view caption) {
        size_ = caption.size();
        if (text_.size() < size_ + kBlock) {
            text_.resize(2 * (size_ + kBlock));
            edges_.resize(text_.size());
        }
        std::uint32_t* edge = edges_.data();
        std::uint64_t unclean = 0, word_before = 0, space_before = 0;
        for (std::size_t at = 0; at <= size_; at += kBlock) {
            const AsciiMasks masks = lower_block(caption.data() + at, text_.data() + at);
            const std::uint64_t inside = size_ - at < kBlock ? (std::uint64_t(1) << (size_ - at)) - 1 : ~std::uint64_t(0);
            const std::uint64_t words = masks.words & inside;
            const std::uint64_t runs = masks.spaces & (masks.spaces << 1 | space_before);
            const std::uint64_t entities = masks.ampersands & ~(masks.spaces >> 1);
            unclean |= (masks.others | runs | entities) & inside;
            for (std::uint64_t edges = words ^ (words << 1 | word_before); edges; edges &= edges - 1)
                *edge++ = std::uint32_t(at) + std::uint32_t(__builtin_ctzll(edges));
            word_before = words >> (kBlock - 1);
            space_before = masks.spaces >> (kBlock - 1);
        }
        words_ = std::size_t(edge - edges_.data()) / 2;
        return !unclean;
    }

    std::string_view text() const { return {text_.data(), size_}; }
    std::size_t words() const { return words_; }
    std::size_t begin(std::size_t word) const { return edges_[2 * word]; }
    std::size_t end(std::size_t word) const { return edges_[2 * word + 1]; }

private:
    std::size_t size_ = 0, words_ = 0;
    std::vector<char> text_;
    std::vector<std::uint32_t> edges_;  // of all words, begin and end in turn
};

}  // namespace harness::corpus
