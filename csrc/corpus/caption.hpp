// What a caption mentions, by the rules that harness.corpus.python_matcher states.
#pragma once

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "matcher.hpp"

namespace harness::corpus {

// The finalizer of splitmix64, as harness.corpus.tally.mix.
inline std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

// One caption after another: which concepts it mentions, added to a tally.
class Caption {
public:
    Caption(const Matcher& matcher, ContextRuler& ruler, const std::uint64_t* limits, Tally& tally)
        : m_(matcher), ruler_(ruler), limits_(limits), tally_(tally), scanner_(matcher.table_, matcher.index_),
          first_(matcher.index_.size()), where_(matcher.seeds_.size()) {}

    // Counts captions of a column from the row `from` on, and returns the one after them; `row` is that of the column's first.
    std::int64_t count(const Column& column, std::int64_t from, std::int64_t row, std::uint64_t file_seed) {
        scanner_.read(column, from);
        const Batch& batch = scanner_.batch();
        const auto& all = scanner_.known_in_batch();
        for (std::size_t i = 0, begin = 0, end = 0; i < batch.captions(); ++i, begin = end) {
            std::uint64_t words = 0, partners = 0;
            for (; end < all.size() && all[end].begin < batch.end(i); ++end) {
                words |= Matcher::bit(all[end].number);
                partners |= m_.partners_[all[end].number];
            }
            const std::int64_t at = from + std::int64_t(i);
            if (!(words & partners) && !batch.has_others(i)) continue;
            if (!column.has(at)) continue;
            if (!scanner_.take(column[at], i, begin, end)) tally_.left.push_back(at);
            else if (may_mention()) count_taken(row + at, file_seed);
        }
        return from + std::int64_t(batch.captions());
    }

private:
    struct First {  // where a caption has a word first
        std::uint64_t caption;
        std::size_t end;
    };
    struct Hit {  // a form found in some known words
        int form, begin, end;
    };
    static constexpr std::size_t kUnknown = std::numeric_limits<std::size_t>::max();

    void count_taken(std::int64_t row, std::uint64_t file_seed) {
        ruler_.start(scanner_.cleaned());
        find_first_ends();
        find_phrases();
        find_all_words();
        finish(row, file_seed);
    }

    // False for most captions without a concept: no form has all its words in the caption, whatever their order.
    bool may_mention() {
        words_ = 0;
        for (const KnownWord& word : known_) words_ |= Matcher::bit(word.number);
        return std::any_of(known_.begin(), known_.end(), [&](const KnownWord& word) {
            const Matcher::WordUse& use = m_.uses_[word.number];
            return use.alone || std::any_of(use.lookups.begin(), use.lookups.end(), [&](const auto& one) { return may_have(one); });
        });
    }

    bool may_have(const Matcher::Lookup& lookup) const { return !(lookup.words & ~words_) && lookup.last & words_; }

    void find_first_ends() {
        ++number_;
        distinct_.clear();
        for (const KnownWord& word : known_) {
            First& first = first_[word.number];
            if (first.caption == number_) continue;
            first = {number_, word.end};
            distinct_.push_back(word.number);
        }
    }

    // Forms whose words follow one another.
    void find_phrases() {
        hits_.clear();
        for (int begin = 0; begin < int(known_.size()); ++begin) {
            int node = m_.uses_[known_[begin].number].node;
            for (int end = begin + 1; node >= 0; ++end) {
                const Matcher::Node& at = m_.trie_[node];
                for (int i = 0; i < at.forms; ++i) hits_.push_back({m_.forms_at_nodes_[at.first_form + i], begin, end});
                if (end == int(known_.size()) || !follows(known_[end], known_[end - 1])) break;
                node = m_.child(node, known_[end].number);
            }
        }
        auto near = hits_.begin(), after = near;  // the hits that may contain one begin at most a longest form before it
        for (const Hit& hit : hits_) {
            while (near->begin + m_.longest_ <= hit.begin) ++near;
            while (after != hits_.end() && after->begin <= hit.begin) ++after;
            const Form& form = m_.forms_[hit.form];
            const Where where = where_is(known_[hit.end - 1].end);
            if (form.own) {
                note(form.concept_number, kFolded, where);
                if (is_phrase(form, hit)) note(form.concept_number, kPhrase, where);
            }
            note(form.concept_number, kSynonyms, where);
            if (hit.end - hit.begin == 1) note(form.concept_number, kWords, where);
            if (std::none_of(near, after, [&](const Hit& other) { return contains(other, hit); }))
                note(form.concept_number, kLongest, where);
        }
    }

    bool follows(const KnownWord& word, const KnownWord& before) const {
        return word.first == before.last + 1 && scanner_.joined(before.end, word.begin);
    }

    // Whether a hit of another concept is longer and has all words of this one.
    bool contains(const Hit& outer, const Hit& inner) const {
        return outer.end - outer.begin > inner.end - inner.begin && outer.begin <= inner.begin && inner.end <= outer.end &&
               m_.forms_[outer.form].concept_number != m_.forms_[inner.form].concept_number;
    }

    // Whether the characters are those of the form; a possessive s may follow.
    bool is_phrase(const Form& form, const Hit& hit) const {
        const std::string_view text = scanner_.cleaned();
        const KnownWord &first = known_[hit.begin], &last = known_[hit.end - 1];
        if (first.begin < form.offset || text.substr(first.begin - form.offset, form.literal.size()) != form.literal) return false;
        std::size_t end = first.begin - form.offset + form.literal.size() - form.tail;
        return end == last.end ||
               (end < last.end && m_.table_[std::uint32_t(next_code(text, end))].kind == Kind::kApostrophe);
    }

    // Forms of several words that occur in any order, up to the word at which the last of them has occurred first.
    void find_all_words() {
        for (const int id : distinct_) {
            for (const Matcher::Lookup& lookup : m_.uses_[id].lookups) {
                if (!may_have(lookup)) continue;
                const Matcher::Needed& needed = m_.needed_[lookup.needed];
                std::size_t end = 0, last = kUnknown;
                const bool all = std::all_of(needed.words.begin(), needed.words.end(), [&](int word) {
                    end = std::max(end, first_[word].end);
                    return first_[word].caption == number_;
                });
                if (!all) continue;
                for (const int word : needed.last)
                    if (first_[word].caption == number_) last = std::min(last, first_[word].end);
                if (last != kUnknown)
                    note(needed.concept_number, kWords, where_is(std::max(end, last)));
            }
        }
    }

    Where where_is(std::size_t end) { return ruler_.covers(end) ? kWithin : kBeyond; }

    void note(int concept_number, Rule rule, Where where) {
        auto& rules = where_[concept_number];
        if (rules == std::array<Where, kRules>{}) mentioned_.push_back(concept_number);
        rules[rule] = std::max(rules[rule], where);
    }

    void finish(std::int64_t row, std::uint64_t file_seed) {
        static constexpr Rule kStrictness[] = {kPhrase, kFolded, kSynonyms, kWords};
        const std::uint64_t row_hash = mentioned_.empty() ? 0 : mix(file_seed + std::uint64_t(row));
        for (const int number : mentioned_) {
            auto& rules = where_[number];
            for (int rule = 0; rule < kRules; ++rule)
                if (rules[rule] != kNowhere) ++tally_.counts[number][rules[rule] == kWithin ? rule : kRules + rule];
            int rank = 0;
            while (rules[kStrictness[rank]] == kNowhere) ++rank;
            const std::uint64_t key = std::uint64_t(rank) << 62 | mix(m_.seeds_[number] ^ row_hash) >> 2;
            if (key <= limits_[number]) offer(tally_.samples[number], {key, row});
            rules.fill(kNowhere);
        }
        mentioned_.clear();
    }

    void offer(std::vector<Sample>& kept, const Sample& sample) const {
        if (int(kept.size()) == m_.kept_) {
            if (kept.empty() || kept.back() < sample) return;
            kept.pop_back();
        }
        kept.insert(std::upper_bound(kept.begin(), kept.end(), sample), sample);
    }

    const Matcher& m_;
    ContextRuler& ruler_;
    const std::uint64_t* limits_;
    Tally& tally_;
    Scanner scanner_;
    const std::vector<KnownWord>& known_ = scanner_.known();
    std::vector<int> distinct_;  // their numbers
    std::uint64_t words_ = 0;   // bits of the known words
    std::uint64_t number_ = 0;  // of the caption
    std::vector<First> first_;  // of each word, in the last caption that has it
    std::vector<Hit> hits_;
    std::vector<std::array<Where, kRules>> where_;  // of each concept, for this caption
    std::vector<int> mentioned_;
};

}  // namespace harness::corpus
