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
#include "column.hpp"
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
        int first_form = 0, forms = 0;  // those that end here, a part of forms_at_nodes_
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
    static constexpr std::uint64_t kAny = ~std::uint64_t(0);

    static std::uint64_t bit(int word) { return std::uint64_t(1) << (word & 63); }

    static std::uint64_t partners(const Needed& needed, int word);
    int child(int node, int word) const;
    int add_phrase(const std::vector<std::string>& words, const std::string& last);
    void add_words(const std::vector<Form>& forms);
    std::unique_ptr<ContextRuler> take_ruler() const;

    CharacterTable table_;
    std::vector<Form> forms_;
    std::vector<std::uint64_t> seeds_;
    Vocabulary vocabulary_;
    int context_length_, kept_;
    WordIndex index_;
    std::vector<Node> trie_ = std::vector<Node>(1);
    std::vector<int> forms_at_nodes_;
    int longest_ = 0;  // most words of a form
    std::vector<Needed> needed_;
    mutable std::mutex rulers_lock_;
    mutable std::vector<std::unique_ptr<ContextRuler>> rulers_;  // those that no call uses: they remember pieces
    std::vector<WordUse> uses_;  // of each word
    std::vector<std::uint64_t> partners_;  // bits of words of which a caption needs one for a form that is looked up by a word
};

}  // namespace harness::corpus
