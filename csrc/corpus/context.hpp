// How much of a caption CLIP's tokenizer keeps: byte-pair encoding, of which only the number of tokens is needed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "characters.hpp"
#include "word_index.hpp"

namespace harness::corpus {

// A merge of two symbols. Symbols 0-255 are bytes, 256-511 bytes at the end of a piece.
using Merge = std::array<std::int32_t, 3>;  // first, second, result

class Vocabulary {
public:
    explicit Vocabulary(const std::vector<Merge>& merges);
    int tokens(std::string_view piece) const;
    std::size_t longest() const { return longest_; }  // bytes of a token

private:
    struct Rank {
        std::int32_t rank, result;
    };
    std::unordered_map<std::uint64_t, Rank> ranks_;
    std::size_t longest_ = 1;
};

// For one thread: it remembers pieces.
class ContextRuler {
public:
    ContextRuler(const CharacterTable& table, const Vocabulary& vocabulary, int context_length)
        : table_(table), vocabulary_(vocabulary), left_(context_length - kMargin) {}

    // Begins a caption: cleaned text that is followed by at least kPadding readable bytes.
    void start(std::string_view cleaned);

    // Whether all tokens of the words up to a position are in the context.
    bool covers(std::size_t position);

private:
    static constexpr int kMargin = 2;  // start and end token
    static constexpr std::size_t kRemembered = 1 << 16, kUnknown = std::string_view::npos;

    std::size_t find_end();
    std::size_t piece_end(std::size_t begin) const;
    int tokens(std::string_view piece);

    const CharacterTable& table_;
    const Vocabulary& vocabulary_;
    int left_;  // tokens
    std::string_view cleaned_;
    std::size_t covered_ = 0, end_ = kUnknown;  // a position that is covered for sure, and the last one that is
    WordIndex pieces_;
    std::vector<int> tokens_;  // of each of the pieces
};

}  // namespace harness::corpus
