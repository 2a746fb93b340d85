#include "matcher.hpp"

#include <algorithm>

#include "caption.hpp"

namespace harness::corpus {

Matcher::Matcher(CharacterTable table, const std::vector<Form>& forms, std::vector<std::uint64_t> seeds,
                 const std::vector<Merge>& merges, int context_length, int kept)
    : table_(std::move(table)), forms_(forms), seeds_(std::move(seeds)), vocabulary_(merges),
      context_length_(context_length), kept_(kept) {
    index_.add("s");  // first: Scanner::kPossessive
    std::vector<std::pair<int, int>> ends;  // node, form
    for (int i = 0; i < int(forms.size()); ++i)
        for (const std::string& last : forms[i].last) ends.emplace_back(add_phrase(forms[i].words, last), i);
    std::sort(ends.begin(), ends.end());
    for (const auto& [node, form] : ends) {
        if (!trie_[node].forms++) trie_[node].first_form = int(forms_at_nodes_.size());
        forms_at_nodes_.push_back(form);
    }
    add_words(forms);
    for (const auto& [word, node] : trie_[0].children) {
        uses_[word].node = node;
        uses_[word].alone = trie_[node].forms;
        if (uses_[word].alone) partners_[word] = kAny;
    }
}

int Matcher::child(int node, int word) const {
    const auto& children = trie_[node].children;
    const auto found = std::lower_bound(children.begin(), children.end(), std::pair(word, 0));
    return found != children.end() && found->first == word ? found->second : -1;
}

int Matcher::add_phrase(const std::vector<std::string>& words, const std::string& last) {
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
    return node;
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
    partners_.resize(index_.size());
    for (Needed& one : needed) {
        const auto is_rarer = [&](int a, int b) { return forms_with[a] < forms_with[b]; };
        const int rarest = *std::min_element(one.words.begin(), one.words.end(), is_rarer);
        const bool last = forms_with[one.last[0]] < forms_with[rarest];
        Lookup lookup{0, 0, int(needed_.size())};
        for (const int word : one.words) lookup.words |= bit(word);
        for (const int word : one.last) lookup.last |= bit(word);
        for (const int word : last ? one.last : std::vector<int>{rarest}) {
            uses_[word].lookups.push_back(lookup);
            partners_[word] |= partners(one, word);
        }
        needed_.push_back(std::move(one));
    }
}

// Bits of the other words of a form, of which a caption has one if it has all words; any if it needs no other word.
std::uint64_t Matcher::partners(const Needed& needed, int word) {
    std::uint64_t bits = 0;
    for (const int other : needed.words)
        if (other != word) bits |= bit(other);
    if (std::find(needed.last.begin(), needed.last.end(), word) == needed.last.end())
        for (const int other : needed.last) bits |= bit(other);
    return bits ? bits : kAny;
}

Tally Matcher::count(const Column& column, std::int64_t row, std::uint64_t file_seed, const std::uint64_t* limits) const {
    Tally tally;
    tally.counts.resize(seeds_.size());
    tally.samples.resize(seeds_.size());
    std::unique_ptr<ContextRuler> ruler = take_ruler();
    Caption caption(*this, *ruler, limits, tally);
    for (std::int64_t i = 0; i < column.size; ++i) tally.captions += column.has(i);
    for (std::int64_t i = 0; i < column.size;) i = caption.count(column, i, row, file_seed);
    tally.captions -= std::int64_t(tally.left.size());
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
