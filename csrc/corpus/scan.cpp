#include "scan.hpp"

namespace harness::corpus {

Scanner::Scanner(const CharacterTable& table, const WordIndex& index) : table_(table), index_(index) {}

namespace {

struct Entity {
    std::string_view text, character;
};

// The frequent entities of HTML. Every other & is Python's, but for one before a space, which begins none.
constexpr Entity kEntities[] = {{"&amp;", "&"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&#039;", "'"}, {"&", "&"}};

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
        else other_.append(caption, begin, at - begin);
    }
    const std::size_t size = other_.size();
    other_.append(kPadding, ' ');
    cleaned_ = {other_.data(), size};
    return true;
}

bool Scanner::scan(std::string_view caption) {
    known_.clear();
    if (ascii_.assign(caption)) {
        cleaned_ = ascii_.text();
        find_in_ascii();
        return true;
    }
    if (!clean(caption)) return false;
    find_in_cleaned();
    return true;
}

// First without branches that depend on the text, since those would be mispredicted: most words are in no name.
void Scanner::find_in_ascii() {
    const char* const text = cleaned_.data();
    const std::size_t count = ascii_.words();
    if (candidates_.size() < count) candidates_.resize(2 * count);
    std::size_t candidates = 0;
    for (std::size_t i = 0; i < count; ++i) {
        candidates_[candidates] = std::uint32_t(i);
        candidates += index_.may_have({text + ascii_.begin(i), ascii_.end(i) - ascii_.begin(i)});
    }
    std::uint32_t after = 0;  // only words after this one may be a possessive s
    for (std::size_t c = 0; c < candidates; ++c) {
        const std::uint32_t i = candidates_[c];
        KnownWord word{-1, i, i, ascii_.begin(i), ascii_.end(i)};
        if (i <= after || !is_possessive(i)) {
            find(text + word.begin, word.end - word.begin, word);
            continue;
        }
        after = i + 1;
        if (!known_.empty() && known_.back().last == i - 1) known_.pop_back();
        word.begin = ascii_.begin(--word.first);
        folded_.assign(text + word.begin, text + ascii_.end(i - 1));
        if (folded_.back() != 's') folded_.push_back('s');
        find_folded(word);
    }
}

// Whether a word of ASCII is the s of the one before it. The index has "s", so such words are candidates.
bool Scanner::is_possessive(std::size_t word) const {
    const std::size_t begin = ascii_.begin(word), apostrophe = ascii_.end(word - 1);
    return cleaned_[begin] == 's' && ascii_.end(word) == begin + 1 && apostrophe + 1 == begin &&
           table_[std::uint32_t(cleaned_[apostrophe])].kind == Kind::kApostrophe;
}

void Scanner::find_in_cleaned() {
    KnownWord word{};
    for (std::size_t at = 0; next_word(at, word);) {
        find_folded(word);
        word.first = ++word.last;
    }
}

void Scanner::find_folded(const KnownWord& word) {
    const std::size_t size = folded_.size();
    folded_.append(kPadding, '\0');
    find(folded_.data(), size, word);
}

void Scanner::find(const char* text, std::size_t size, const KnownWord& word) {
    const WordIndex::Key key(text, size);
    if (!index_.may_have(key)) return;
    if (const int number = index_.find(key, text, size); number >= 0)
        known_.push_back({number, word.first, word.last, word.begin, word.end});
}

// The next word from `at` on, which it moves on; false without one.
bool Scanner::next_word(std::size_t& at, KnownWord& word) {
    const auto next = [&](std::size_t& i) -> const Character& { return table_[std::uint32_t(next_code(cleaned_, i))]; };
    const auto append = [&](const Character& c, std::size_t begin, std::size_t end) {
        if (c.form) folded_.append(table_.forms(c).second);
        else folded_.append(cleaned_, begin, end - begin);
    };
    const auto in_word = [&](std::size_t i) {
        if (i >= cleaned_.size()) return false;
        const Kind kind = next(i).kind;
        return kind == Kind::kLetter || kind == Kind::kExtend;
    };
    folded_.clear();
    while (folded_.empty()) {
        if (at >= cleaned_.size()) return false;
        word.begin = at;
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
    word.end = at;
    return true;
}

}  // namespace harness::corpus
