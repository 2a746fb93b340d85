// Counts the captions that mention concepts, by the rules of harness.corpus.python_matcher, of which it is the fast twin.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "characters.hpp"
#include "context.hpp"
#include "scan.hpp"
#include "word_index.hpp"

namespace harness::corpus {

enum Rule { kPhrase, kFolded, kSynonyms, kLongest, kWords, kRules };  // as harness.corpus.counts.RULES
enum Where : std::uint8_t { kNowhere, kBeyond, kWithin };

// As harness.corpus.forms.Form; offset and tail in bytes.
struct Form {
    int concept_number;
    bool own;
    std::string literal;
    std::size_t offset, tail;
    std::vector<std::string> words, last;
};

// A column of Arrow: 32-bit or 64-bit offsets into the bytes of all captions, and a bitmap of those that are not null.
struct Column {
    const char* data;
    const void* offsets;
    bool wide;
    const std::uint8_t* validity;  // null when every row has a caption
    std::int64_t first, size;      // rows of the buffers

    bool has(std::int64_t row) const { return !validity || (validity[(first + row) >> 3] >> ((first + row) & 7) & 1); }
    std::string_view operator[](std::int64_t row) const {
        const std::int64_t begin = offset(first + row);
        return {data + begin, std::size_t(offset(first + row + 1) - begin)};
    }
    const char* end() const { return data + offset(first + size); }  // of a column with rows

private:
    std::int64_t offset(std::int64_t i) const {
        return wide ? static_cast<const std::int64_t*>(offsets)[i] : static_cast<const std::int32_t*>(offsets)[i];
    }
};

// A caption that may become evidence; the smallest ones do. The key is harness.corpus.tally.sample_key.
struct Sample {
    std::uint64_t key;
    std::int64_t row;
    bool operator<(const Sample& other) const { return key != other.key ? key < other.key : row < other.row; }
};

struct Tally {
    std::vector<std::array<std::int64_t, 2 * kRules>> counts;  // of each concept: within, then beyond
    std::vector<std::vector<Sample>> samples;
    std::vector<std::int64_t> left;  // rows whose clean-up is Python's
    std::int64_t captions = 0;
};

class Matcher {
public:
    Matcher(CharacterTable table, const std::vector<Form>& forms, std::vector<std::uint64_t> seeds,
            const std::vector<Merge>& merges, int context_length, int kept);

    // `row` is that of the column's first row in its file; `limits` are the largest keys of samples that are asked for, one
    // for each concept. For several threads at once.
    Tally count(const Column& column, std::int64_t row, std::uint64_t file_seed, const std::uint64_t* limits) const;

private:
    friend class Caption;

    struct Node {
        std::vector<std::pair<int, int>> children;  // word, node; sorted
        std::vector<int> forms;
    };
    struct Needed {  // a form of several words: all of `words` and one of `last`
        int concept_number;
        std::vector<int> words, last;
    };
    struct Lookup {
        std::uint64_t words, last;  // bits of the words of a form
        int needed;                 // its position in needed_
    };
    struct WordUse {
        int node = -1;                // of the forms that begin with the word
        bool alone = false;           // whether the word is a form
        std::vector<Lookup> lookups;  // the forms that are looked up by it
    };

    static std::uint64_t bit(int word) { return std::uint64_t(1) << (word & 63); }

    int child(int node, int word) const;
    void add_phrase(int form, const std::vector<std::string>& words, const std::string& last);
    void add_words(const std::vector<Form>& forms);
    std::unique_ptr<ContextRuler> take_ruler() const;

    CharacterTable table_;
    std::vector<Form> forms_;
    std::vector<std::uint64_t> seeds_;
    Vocabulary vocabulary_;
    int context_length_, kept_;
    WordIndex index_;
    std::vector<Node> trie_ = std::vector<Node>(1);
    int longest_ = 0;  // most words of a form
    std::vector<Needed> needed_;
    mutable std::mutex rulers_lock_;
    mutable std::vector<std::unique_ptr<ContextRuler>> rulers_;  // those that no call uses: they remember pieces
    std::vector<WordUse> uses_;  // of each word
};

}  // namespace harness::corpus
