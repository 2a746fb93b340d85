#include "scan.hpp"

#include <algorithm>
#include <iterator>

#include "cpu/simd.hpp"

namespace harness::corpus {

Scanner::Scanner(const CharacterTable& table, const WordIndex& index) : table_(table), index_(index) {}

namespace {

struct Entity {
    std::string_view text, character;
};

// The frequent entities of HTML. Every other & is Python's, but for one before a space, which begins none.
constexpr Entity kEntities[] = {{"&amp;", "&"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&#039;", "'"}, {"&", "&"}};

// Appends the bytes of a character: one by one, since a call for one to four costs more.
void append_part(std::string& to, std::string_view text, std::size_t begin, std::size_t end) {
    for (; begin < end; ++begin) to.push_back(text[begin]);
}

const Entity* entity_at(std::string_view caption, std::size_t at) {
    for (const Entity& entity : kEntities) {
        if (caption.substr(at, entity.text.size()) != entity.text) continue;
        const std::size_t after = at + entity.text.size();
        // An & may begin an entity of its own with what follows.
        return entity.character != "&" || after == caption.size() || caption[after] == ' ' ? &entity : nullptr;
    }
    return nullptr;
}

}  // namespace

// The cleaned text; false where more than a table of characters decides it.
bool Scanner::clean(std::string_view caption) {
    other_.clear();
    Repair before = Repair::kTame;
    std::uint8_t combining = 0;
    bool space = false;
    for (std::size_t at = 0; at < caption.size();) {
        if (caption[at] == '&') {
            const Entity* const entity = entity_at(caption, at);
            if (!entity) return false;
            if (space) other_.push_back(' ');
            space = false;
            other_.append(entity->character);
            at += entity->text.size();
            before = Repair::kTame;
            combining = 0;
            continue;
        }
        const std::size_t begin = at;
        const std::int32_t code = next_code(caption, at);
        if (code < 0 || !table_.contains(std::uint32_t(code))) return false;
        const Character& c = table_[std::uint32_t(code)];
        const bool suspicious = (c.repair == Repair::kMarked && before != Repair::kTame) ||
                                (before == Repair::kMarked && c.repair != Repair::kTame);
        const bool unordered = c.combining && combining > c.combining;
        if (c.repair == Repair::kWild || suspicious || unordered) return false;
        before = c.repair;
        combining = c.combining;
        if (c.space) {
            space = !other_.empty();
            continue;
        }
        if (space) other_.push_back(' ');
        space = false;
        if (c.form) other_.append(table_.forms(c).first);
        else append_part(other_, caption, begin, at);
    }
    close();
    return true;
}

// First without branches that depend on the text, since those would be mispredicted: most words are in no name.
struct Scanner::Candidates {
    template <int>
    static HARNESS_INLINE std::size_t run(const Batch& batch, const WordIndex& index, std::uint32_t* candidates) {
        const char* const text = batch.text();
        const std::uint32_t *const begins = batch.begins(), *const ends = batch.ends();
        const WordIndex::Filter filter = index.filter();
        const std::size_t words = batch.words();
        std::size_t found = 0;
#pragma GCC unroll 4
        for (std::size_t i = 0; i < words; ++i) {
            candidates[found] = std::uint32_t(i);
            found += filter.may_have({text + begins[i], ends[i] - begins[i]});
        }
        return found;
    }
};

void Scanner::read(const Column& column, std::int64_t row) {
    batch_.read(column, row);
    if (candidates_.size() <= batch_.words()) candidates_.resize(batch_.words() + 1);
    const auto key = [&](std::uint32_t i) {
        return WordIndex::Key(batch_.text() + batch_.begins()[i], batch_.ends()[i] - batch_.begins()[i]);
    };
    const std::size_t candidates = dispatch<Candidates>(batch_, index_, candidates_.data());
    const char* const text = batch_.text();
    for (std::size_t c = 0; c < candidates; ++c) index_.prefetch(key(candidates_[c]));
    known_in_batch_.clear();
    std::uint32_t after = 0;  // only words after this one may be a possessive s
    for (std::size_t c = 0; c < candidates; ++c) {
        const std::uint32_t i = candidates_[c];
        KnownWord word{-1, i, i, batch_.begins()[i], batch_.ends()[i]};
        word.number = index_.find(key(i), text + word.begin, word.end - word.begin);
        if (word.number == kPossessive && i > after && is_possessive(i)) {
            after = i + 1;
            if (!known_in_batch_.empty() && known_in_batch_.back().last == i - 1) known_in_batch_.pop_back();
            word.begin = batch_.begins()[--word.first];
            folded_.assign(text + word.begin, text + batch_.ends()[i - 1]);
            if (folded_.back() != 's') folded_.push_back('s');
            word.number = find_folded();
        }
        if (word.number >= 0) known_in_batch_.push_back(word);
    }
}

// Whether a word that is an s belongs to the one before it.
bool Scanner::is_possessive(std::size_t word) const {
    const std::uint32_t begin = batch_.begins()[word], apostrophe = begin - 1;
    return batch_.ends()[word - 1] == apostrophe && !batch_.is_bound(begin) && !batch_.is_bound(apostrophe) &&
           table_[static_cast<unsigned char>(batch_.text()[apostrophe])].kind == Kind::kApostrophe;
}

bool Scanner::take(std::string_view caption, std::size_t number, std::size_t begin, std::size_t end) {
    known_.clear();
    if (batch_.has_others(number)) {
        if (!clean(caption)) return false;
        find_in_cleaned();
        return true;
    }
    cleaned_ = batch_.lower(number);
    const std::uint32_t first = batch_.begin(number);
    const bool runs = batch_.runs(first, batch_.end(number));
    if (runs) {
        other_.clear();
        std::unique_copy(cleaned_.begin(), cleaned_.end(), std::back_inserter(other_), [](char a, char b) { return a == ' ' && b == ' '; });
        close();
    }
    for (std::size_t i = begin; i < end; ++i) {
        KnownWord word = known_in_batch_[i];
        word.begin -= first + (runs ? batch_.runs(first, word.begin) : 0);
        word.end -= first + (runs ? batch_.runs(first, word.end) : 0);
        known_.push_back(word);
    }
    return true;
}

// Makes the text in other_ the cleaned one.
void Scanner::close() {
    const std::size_t size = other_.size();
    other_.append(kPadding, ' ');
    cleaned_ = {other_.data(), size};
}

void Scanner::find_in_cleaned() {
    KnownWord word{};
    for (std::size_t at = 0; next_word(at, word);) {
        word.number = find_folded();
        if (word.number >= 0) known_.push_back(word);
        word.first = ++word.last;
    }
}

int Scanner::find_folded() {
    const std::size_t size = folded_.size();
    folded_.append(kPadding, '\0');
    const WordIndex::Key key(folded_.data(), size);
    return index_.filter().may_have(key) ? index_.find(key, folded_.data(), size) : -1;
}

// The next word from `at` on, which it moves on; false without one.
bool Scanner::next_word(std::size_t& at, KnownWord& word) {
    const auto next = [&](std::size_t& i) -> const Character& { return table_[std::uint32_t(next_code(cleaned_, i))]; };
    const auto append = [&](const Character& c, std::size_t begin, std::size_t end) {
        if (c.form) folded_.append(table_.forms(c).second);
        else append_part(folded_, cleaned_, begin, end);
    };
    const auto in_word = [&](std::size_t i) {
        if (i >= cleaned_.size()) return false;
        const Kind kind = next(i).kind;
        return kind == Kind::kLetter || kind == Kind::kExtend;
    };
    folded_.clear();
    while (folded_.empty()) {
        if (at >= cleaned_.size()) return false;
        word.begin = std::uint32_t(at);
        const Character& first = next(at);
        if (first.kind <= Kind::kApostrophe) continue;
        append(first, word.begin, at);
        const bool syllable = first.kind == Kind::kSyllable;
        while (at < cleaned_.size()) {
            std::size_t after = at;
            const Character& c = next(after);
            if (c.kind == Kind::kApostrophe && !syllable && cleaned_.substr(after, 1) == "s" && !in_word(after + 1)) {
                if (folded_.empty() || folded_.back() != 's') folded_.push_back('s');
                at = after + 1;
                break;
            }
            if (c.kind != Kind::kExtend && (c.kind != Kind::kLetter || syllable)) break;
            append(c, at, after);
            at = after;
        }
    }
    word.end = std::uint32_t(at);
    return true;
}

}  // namespace harness::corpus
