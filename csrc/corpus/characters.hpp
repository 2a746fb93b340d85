// What each character does to words, and its cleaned and folded form: tables that Python makes from its Unicode data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace harness::corpus {

// As harness.corpus.folding.Kind.
enum class Kind : std::uint8_t { kBreak, kJoiner, kApostrophe, kLetter, kSyllable, kExtend };

// How ftfy sees a character, as harness.corpus.native_tables.Repair: kWild ones and some neighbours need the real ftfy.
enum class Repair : std::uint8_t { kTame, kSoft, kMarked, kWild };

struct Character {
    Kind kind;
    bool space, letter, number;  // white space; and the tokenizer's \p{L} and \p{N}
    Repair repair;
    std::uint8_t combining;  // canonical combining class
    std::uint16_t form;      // position in forms
};

class CharacterTable {
public:
    using Forms = std::pair<std::string, std::string>;  // cleaned, folded

    // Packed as harness.corpus.native_tables does; form 0 is the character itself.
    CharacterTable(const std::uint32_t* packed, std::size_t size, std::vector<Forms> forms)
        : characters_(size), forms_(std::move(forms)) {
        for (std::size_t i = 0; i < size; ++i) {
            const std::uint32_t x = packed[i];
            characters_[i] = {Kind(x & 7), bool(x >> 3 & 1), bool(x >> 6 & 1), bool(x >> 7 & 1), Repair(x >> 4 & 3),
                              std::uint8_t(x >> 8), std::uint16_t(x >> 16)};
        }
    }

    bool contains(std::uint32_t code) const { return code < characters_.size(); }
    const Character& operator[](std::uint32_t code) const { return characters_[code]; }
    const Forms& forms(const Character& character) const { return forms_[character.form]; }

private:
    std::vector<Character> characters_;
    std::vector<Forms> forms_;
};

// The character of UTF-8 that begins at text[at], which it moves on; -1 for bytes that are not UTF-8.
inline std::int32_t next_code(std::string_view text, std::size_t& at) {
    const auto byte = [&](std::size_t i) { return std::uint32_t(static_cast<unsigned char>(text[i])); };
    const std::uint32_t first = byte(at);
    if (first < 0x80) return ++at, std::int32_t(first);
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || at + more >= text.size()) return -1;
    std::uint32_t code = first & (0x3F >> more);
    for (int i = 1; i <= more; ++i) {
        if ((byte(at + i) & 0xC0) != 0x80) return -1;
        code = code << 6 | (byte(at + i) & 0x3F);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return -1;
    at += more + 1;
    return std::int32_t(code);
}

}  // namespace harness::corpus
