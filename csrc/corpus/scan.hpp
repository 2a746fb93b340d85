// Captions as cleaned text and folded words, as harness.corpus.folding defines them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "batch.hpp"
#include "characters.hpp"
#include "word_index.hpp"

namespace harness::corpus {

// A word of a caption that the index knows.
struct KnownWord {
    int number;                 // in the index
    std::uint32_t first, last;  // place among the words; in ASCII a possessive s is a word of its own, and last = first + 1
    std::uint32_t begin, end;   // place in the cleaned text, with a possessive s
};

class Scanner {
public:
    static constexpr int kPossessive = 0;  // the number that "s" has to have in the index

    Scanner(const CharacterTable& table, const WordIndex& index);

    // Finds the known words of the captions of ASCII that are next to one another in a column.
    void read(const Column& column, std::int64_t row);
    const Batch& batch() const { return batch_; }
    const std::vector<KnownWord>& known_in_batch() const { return known_in_batch_; }  // at positions of its text

    // Goes on with a caption of the batch and with its known words, `begin` to `end`. False if Python has to read it: ftfy
    // or a rare rule of Unicode may change it.
    bool take(std::string_view caption, std::size_t number, std::size_t begin, std::size_t end);
    const std::vector<KnownWord>& known() const { return known_; }
    std::string_view cleaned() const { return cleaned_; }  // kPadding readable bytes follow

    // Whether only joiners are between two positions of the cleaned text.
    bool joined(std::size_t begin, std::size_t end) const {
        while (begin < end)
            if (table_[std::uint32_t(next_code(cleaned_, begin))].kind == Kind::kBreak) return false;
        return true;
    }

private:
    struct Candidates;

    bool clean(std::string_view caption);
    bool is_possessive(std::size_t word) const;
    void find_in_cleaned();
    bool next_word(std::size_t& at, KnownWord& word);
    void close();
    int find_folded();

    const CharacterTable& table_;
    const WordIndex& index_;
    Batch batch_;
    std::vector<std::uint32_t> candidates_;
    std::string other_, folded_;
    std::string_view cleaned_;
    std::vector<KnownWord> known_in_batch_, known_;
};

}  // namespace harness::corpus
