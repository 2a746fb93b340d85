// Captions that are next to one another in a column, read at once: in lower case, and where the words of ASCII are.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "column.hpp"

namespace harness::corpus {

class Batch {
public:
    // Reads captions from a row on, all or as many as stay in the first cache; also those of null rows.
    void read(const Column& column, std::int64_t row);

    std::size_t captions() const { return captions_; }
    std::uint32_t end(std::size_t caption) const { return bounds_[caption + 1]; }
    std::uint32_t begin(std::size_t caption) const { return bounds_[caption]; }
    std::string_view lower(std::size_t caption) const { return {text() + begin(caption), end(caption) - begin(caption)}; }

    // Whether a caption has more than printable ASCII, or what may be an HTML entity: its words are others then.
    bool has_others(std::size_t caption) const { return any_others_ && count(&Block::others, begin(caption), end(caption)); }

    // The number of spaces that follow another one, between two positions.
    std::uint32_t runs(std::uint32_t begin, std::uint32_t end) const { return count(&Block::runs, begin, end); }

    // The words of all captions, at positions of the text, which is followed by kBlock readable bytes.
    const char* text() const { return text_.data(); }
    std::size_t words() const { return words_; }
    const std::uint32_t* begins() const { return begins_.data(); }
    const std::uint32_t* ends() const { return ends_.data(); }

    // Whether a caption begins at a position.
    bool is_bound(std::uint32_t position) const { return blocks_[position / 64].bounds >> position % 64 & 1; }

private:
    struct Block {  // bits of what 64 characters are
        std::uint64_t bounds = 0;  // where captions begin
        std::uint64_t others, runs;
    };
    struct Split;

    std::uint32_t count(std::uint64_t Block::*bits, std::uint32_t begin, std::uint32_t end) const;

    std::size_t captions_ = 0, words_ = 0;
    bool any_others_ = false;
    std::vector<std::uint32_t> bounds_, begins_, ends_;
    std::vector<Block> blocks_;
    std::vector<char> text_;
};

}  // namespace harness::corpus
