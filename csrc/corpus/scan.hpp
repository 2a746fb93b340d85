// Captions as cleaned text and folded words, as harness.corpus.folding defines them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ascii.hpp"
#include "characters.hpp"
#include "word_index.hpp"

namespace harness::corpus {

// A word of a caption that the index knows.
struct KnownWord {
    int number;                 // in the index
    std::uint32_t first, last;  // place among the caption's words; in ASCII a possessive s is a word of its own, and last = first + 1
    std::size_t begin, end;     // place in the cleaned text, with a possessive s
};

class Scanner {
public:
    Scanner(const CharacterTable& table, const WordIndex& index);

    // Finds the known words of a caption that is followed by at least kBlock readable bytes. False if Python has to read
    // it: ftfy or a rare rule of Unicode may change it.
    bool scan(std::string_view caption);

    const std::vector<KnownWord>& known() const { return known_; }
    std::string_view cleaned() const { return cleaned_; }  // kPadding readable bytes follow

    // Whether only joiners are between two positions of the cleaned text.
    bool joined(std::size_t begin, std::size_t end) const {
        while (begin < end)
            if (table_[std::uint32_t(next_code(cleaned_, begin))].kind == Kind::kBreak) return false;
        return true;
    }

private:
    bool clean(std::string_view caption);
    void find_in_ascii();
    void find_in_cleaned();
    bool is_possessive(std::size_t word) const;
    bool next_word(std::size_t& at, KnownWord& word);
    void find_folded(const KnownWord& word);
    void find(const char* text, std::size_t size, const KnownWord& word);

    const CharacterTable& table_;
    const WordIndex& index_;
    AsciiText ascii_;
    std::vector<std::uint32_t> candidates_;
    std::string other_, folded_;
    std::string_view cleaned_;
    std::vector<KnownWord> known_;
};

}  // namespace harness::corpus
