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

// A folded word: its characters, followed by at least kPadding readable bytes, and its place in the cleaned text.
struct Word {
    const char* text;
    std::size_t size, begin, end;
    std::size_t before;  // end of the word before it; 0 without one
};

class Scanner {
public:
    explicit Scanner(const CharacterTable& table);

    // Calls `visit` with each word. False if Python has to read the caption: ftfy or a rare rule of Unicode may change it.
    template <class Visit>
    bool scan(std::string_view caption, Visit&& visit) {
        if (ascii_.assign(caption)) {
            cleaned_ = ascii_.text();
            visit_ascii(visit);
            return true;
        }
        if (!clean(caption)) return false;
        visit_words(visit);
        return true;
    }

    std::string_view cleaned() const { return cleaned_; }

    // Whether only joiners are between two positions of the cleaned text.
    bool joined(std::size_t begin, std::size_t end) const {
        while (begin < end)
            if (table_[std::uint32_t(next_code(cleaned_, begin))].kind == Kind::kBreak) return false;
        return true;
    }

private:
    bool clean(std::string_view caption);
    bool next_word(std::size_t& at, Word& word);

    template <class Visit>
    void visit_ascii(Visit&& visit) {
        const char* const text = ascii_.data();
        const std::size_t size = cleaned_.size();
        const auto in_word = [&](std::size_t i) { return ascii_.find<true>(i) == i; };
        std::size_t before = 0;
        for (std::size_t begin = ascii_.find<true>(0); begin < size; begin = ascii_.find<true>(before)) {
            const std::size_t end = ascii_.find<false>(begin);
            Word word{text + begin, end - begin, begin, end, before};
            if (is_apostrophe_[static_cast<unsigned char>(text[end])] && text[end + 1] == 's' && !in_word(end + 2)) {
                word.end += 2;
                if (text[end - 1] != 's') {
                    folded_.assign(text + begin, text + end).append("s").append(kPadding, '\0');
                    word.text = folded_.data();
                    ++word.size;
                }
            }
            visit(word);
            before = word.end;
        }
    }

    template <class Visit>
    void visit_words(Visit&& visit) {
        Word word{};
        for (std::size_t at = 0; next_word(at, word); word.before = word.end) visit(word);
    }

    const CharacterTable& table_;
    bool is_apostrophe_[256] = {};
    AsciiText ascii_;
    std::string other_, folded_;
    std::string_view cleaned_;
};

}  // namespace harness::corpus
