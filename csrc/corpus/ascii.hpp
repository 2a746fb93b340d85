// The common captions: printable ASCII, 64 characters at a time, as bit masks of what they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace harness::corpus {

struct AsciiMasks {
    std::uint64_t words = 0;   // letters and numbers
    std::uint64_t spaces = 0;
    std::uint64_t others = 0;  // what is not printable ASCII
    std::uint64_t entities = 0;  // the & that may begin one
};

#ifdef __SSE2__

// Turns 64 characters into lower case.
inline AsciiMasks lower_block(char* text) {
    AsciiMasks masks;
    const auto between = [](__m128i x, char low, char high) {
        return _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8(char(low - 1))), _mm_cmpgt_epi8(_mm_set1_epi8(char(high + 1)), x));
    };
    const auto bits = [](__m128i x, int part) { return std::uint64_t(std::uint32_t(_mm_movemask_epi8(x))) << 16 * part; };
    for (int part = 0; part < 4; ++part) {
        __m128i* const place = reinterpret_cast<__m128i*>(text + 16 * part);
        const __m128i given = _mm_loadu_si128(place);
        const __m128i x = _mm_or_si128(given, _mm_and_si128(between(given, 'A', 'Z'), _mm_set1_epi8(0x20)));
        _mm_storeu_si128(place, x);
        masks.words |= bits(_mm_or_si128(between(x, 'a', 'z'), between(x, '0', '9')), part);
        masks.spaces |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')), part);
        masks.entities |= bits(_mm_cmpeq_epi8(x, _mm_set1_epi8('&')), part);
        masks.others |= ~bits(between(x, ' ', '~'), part) & std::uint64_t(0xFFFF) << 16 * part;
    }
    return masks;
}

#else

inline AsciiMasks lower_block(char* text) {
    AsciiMasks masks;
    for (int i = 0; i < 64; ++i) {
        if (text[i] >= 'A' && text[i] <= 'Z') text[i] += 'a' - 'A';
        const char c = text[i];
        masks.words |= std::uint64_t((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) << i;
        masks.spaces |= std::uint64_t(c == ' ') << i;
        masks.entities |= std::uint64_t(c == '&') << i;
        masks.others |= std::uint64_t(c < ' ' || c > '~') << i;
    }
    return masks;
}

#endif

// A caption in lower case, and where its words are.
class AsciiText {
public:
    // False for a caption with other characters, perhaps an entity, or runs of spaces. Spaces follow the text.
    bool assign(std::string_view caption) {
        size_ = caption.size();
        const std::size_t blocks = size_ / 64 + 1;
        if (words_.size() <= blocks) {
            words_.resize(2 * blocks + 1);
            text_.resize(64 * words_.size());
        }
        std::memcpy(text_.data(), caption.data(), size_);
        std::memset(text_.data() + size_, ' ', 64);
        std::uint64_t others = 0, runs = 0, before = 0;
        for (std::size_t block = 0; block < blocks; ++block) {
            const AsciiMasks masks = lower_block(text_.data() + 64 * block);
            words_[block] = masks.words;
            others |= masks.others | (masks.entities & ~(masks.spaces >> 1));  // none begins with a space
            runs = masks.spaces & (masks.spaces << 1 | before >> 63);
            before = masks.spaces;
            if (block + 1 < blocks) others |= runs;
        }
        words_[blocks] = 0;
        return !(others | (runs & ((std::uint64_t(1) << size_ % 64) - 1)));
    }

    std::string_view text() const { return {text_.data(), size_}; }
    const char* data() const { return text_.data(); }

    // The first position from `at` on that is in a word, or that is in none; past the end if there is none.
    template <bool in_word>
    std::size_t find(std::size_t at) const {
        std::size_t block = at / 64;
        std::uint64_t mask = (in_word ? words_[block] : ~words_[block]) >> at % 64;
        if (mask) return at + std::size_t(__builtin_ctzll(mask));
        while (++block <= size_ / 64) {
            mask = in_word ? words_[block] : ~words_[block];
            if (mask) return 64 * block + std::size_t(__builtin_ctzll(mask));
        }
        return 64 * block;
    }

private:
    std::size_t size_ = 0;
    std::vector<char> text_ = std::vector<char>(128);
    std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(2);
};

}  // namespace harness::corpus
