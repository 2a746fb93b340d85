#include "matcher.hpp"

#include <algorithm>
#include <limits>

namespace harness::corpus {

namespace {

// The finalizer of splitmix64, as harness.corpus.tally.mix.
std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

}  // namespace

Matcher::Matcher(CharacterTable table, const std::vector<Form>& forms, std::vector<std::uint64_t> seeds,
                 const std::vector<Merge>& merges, int context_length, int kept)
    : table_(std::move(table)), forms_(forms), seeds_(std::move(seeds)), vocabulary_(merges),
      context_length_(context_length), kept_(kept) {
    index_.add("s");  // which the scanner has to find, because it may belong to the word before it
    for (int i = 0; i < int(forms.size()); ++i)
        for (const std::string& last : forms[i].last) add_phrase(i, forms[i].words, last);
    add_words(forms);
    for (const auto& [word, node] : trie_[0].children) {
        uses_[word].node = node;
        uses_[word].alone = !trie_[node].forms.empty();
    }
}

int Matcher::child(int node, int word) const {
    const auto& children = trie_[node].children;
    const auto found = std::lower_bound(children.begin(), children.end(), std::pair(word, 0));
    return found != children.end() && found->first == word ? found->second : -1;
}

void Matcher::add_phrase(int form, const std::vector<std::string>& words, const std::string& last) {
    int node = 0;
    const auto step = [&](const std::string& text) {
        const int word = index_.add(text);
        int next = child(node, word);
        if (next < 0) {
            next = int(trie_.size());
            trie_.emplace_back();
            auto& children = trie_[node].children;
            children.insert(std::lower_bound(children.begin(), children.end(), std::pair(word, 0)), {word, next});
        }
        node = next;
    };
    for (const std::string& text : words) step(text);
    step(last);
    longest_ = std::max(longest_, int(words.size()) + 1);
    trie_[node].forms.push_back(form);
}

// A form of several words is looked up by the one of them that the fewest forms have.
void Matcher::add_words(const std::vector<Form>& forms) {
    std::vector<int> forms_with(index_.size());
    std::vector<Needed> needed;
    for (const Form& form : forms) {
        if (form.words.empty()) continue;
        Needed one{form.concept_number, {}, {}};
        for (const std::string& word : form.words) one.words.push_back(index_.add(word));
        for (const std::string& word : form.last) one.last.push_back(index_.add(word));
        for (const int word : one.words) ++forms_with[word];
        for (const int word : one.last) ++forms_with[word];
        needed.push_back(std::move(one));
    }
    uses_.resize(index_.size());
    for (Needed& one : needed) {
        const auto is_rarer = [&](int a, int b) { return forms_with[a] < forms_with[b]; };
        const int rarest = *std::min_element(one.words.begin(), one.words.end(), is_rarer);
        const bool last = forms_with[one.last[0]] < forms_with[rarest];
        Lookup lookup{0, 0, int(needed_.size())};
        for (const int word : one.words) lookup.words |= bit(word);
        for (const int word : one.last) lookup.last |= bit(word);
        for (const int word : last ? one.last : std::vector<int>{rarest}) uses_[word].lookups.push_back(lookup);
        needed_.push_back(std::move(one));
    }
}

// One caption after another: which concepts it mentions, added to a tally.
class Caption {
public:
    Caption(const Matcher& matcher, ContextRuler& ruler, const std::uint64_t* limits, Tally& tally)
        : m_(matcher), ruler_(ruler), limits_(limits), tally_(tally), scanner_(matcher.table_, matcher.index_),
          first_(matcher.index_.size()), where_(matcher.seeds_.size()) {}

    // False if the clean-up is Python's.
    bool count(std::string_view caption, std::int64_t row, std::uint64_t file_seed) {
        if (!scanner_.scan(caption)) return false;
        if (!may_mention()) return true;
        ruler_.start(scanner_.cleaned());
        find_first_ends();
        find_phrases();
        find_all_words();
        finish(row, file_seed);
        return true;
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
                for (const int form : m_.trie_[node].forms) hits_.push_back({form, begin, end});
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
            if (form.words.empty()) note(form.concept_number, kWords, where);
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

Tally Matcher::count(const Column& column, std::int64_t row, std::uint64_t file_seed, const std::uint64_t* limits) const {
    Tally tally;
    tally.counts.resize(seeds_.size());
    tally.samples.resize(seeds_.size());
    std::unique_ptr<ContextRuler> ruler = take_ruler();
    Caption caption(*this, *ruler, limits, tally);
    std::string padded;
    for (std::int64_t i = 0; i < column.size; ++i) {
        if (!column.has(i)) continue;
        std::string_view text = column[i];
        if (column.end() - (text.data() + text.size()) < std::ptrdiff_t(kBlock)) {  // one of the last
            padded.assign(text).append(kBlock, ' ');
            text = {padded.data(), text.size()};
        }
        if (caption.count(text, row + i, file_seed)) ++tally.captions;
        else tally.left.push_back(i);
    }
    const std::lock_guard lock(rulers_lock_);
    rulers_.push_back(std::move(ruler));
    return tally;
}

std::unique_ptr<ContextRuler> Matcher::take_ruler() const {
    const std::lock_guard lock(rulers_lock_);
    if (rulers_.empty()) return std::make_unique<ContextRuler>(table_, vocabulary_, context_length_);
    std::unique_ptr<ContextRuler> ruler = std::move(rulers_.back());
    rulers_.pop_back();
    return ruler;
}

}  // namespace harness::corpus
