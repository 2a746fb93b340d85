#include "context.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>

namespace harness::corpus {

namespace {

std::uint64_t pair_of(std::int32_t first, std::int32_t second) {
    return std::uint64_t(std::uint32_t(first)) << 32 | std::uint32_t(second);
}

constexpr std::string_view kSpecial[] = {"<start_of_text>", "<end_of_text>"};
constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

std::string_view begins_with(std::string_view text, const std::string_view* options, std::size_t count) {
    if (text[0] != options[0][0]) return {};
    for (std::size_t i = 0; i < count; ++i)
        if (text.substr(0, options[i].size()) == options[i]) return options[i];
    return {};
}

}  // namespace

Vocabulary::Vocabulary(const std::vector<Merge>& merges) {
    ranks_.reserve(2 * merges.size());
    std::unordered_map<std::int32_t, std::size_t> bytes;  // of symbols that are merged
    const auto size = [&](std::int32_t symbol) { return symbol < 512 ? 1 : bytes[symbol]; };
    for (std::size_t i = 0; i < merges.size(); ++i) {
        const auto& [first, second, result] = merges[i];
        ranks_.emplace(pair_of(first, second), Rank{std::int32_t(i), result});
        longest_ = std::max(longest_, bytes[result] = size(first) + size(second));
    }
}

int Vocabulary::tokens(std::string_view piece) const {
    std::vector<std::int32_t> symbols(piece.size());
    for (std::size_t i = 0; i < piece.size(); ++i) symbols[i] = static_cast<unsigned char>(piece[i]);
    symbols.back() += 256;
    while (symbols.size() > 1) {
        Rank best{std::numeric_limits<std::int32_t>::max(), 0};
        std::uint64_t pair = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto found = ranks_.find(pair_of(symbols[i], symbols[i + 1]));
            if (found != ranks_.end() && found->second.rank < best.rank) best = found->second, pair = found->first;
        }
        if (best.rank == std::numeric_limits<std::int32_t>::max()) break;
        std::size_t kept = 0;
        for (std::size_t i = 0; i < symbols.size(); ++i) {
            const bool merged = i + 1 < symbols.size() && pair_of(symbols[i], symbols[i + 1]) == pair;
            symbols[kept++] = merged ? best.result : symbols[i];
            i += merged;
        }
        symbols.resize(kept);
    }
    return int(symbols.size());
}

void ContextRuler::start(std::string_view cleaned) {
    cleaned_ = cleaned;
    end_ = kUnknown;
    covered_ = cleaned.size();
    if (covered_ <= std::size_t(left_)) return;  // a token has at least one byte
    const std::size_t space = cleaned.rfind(' ', std::size_t(left_));
    covered_ = space == std::string_view::npos ? 0 : space;
}

bool ContextRuler::covers(std::size_t position) {
    if (position <= covered_) return true;
    if (end_ == kUnknown) end_ = find_end();
    return position <= end_;
}

// Where the first piece begins of which a token is cut off.
std::size_t ContextRuler::find_end() {
    const auto spaces = std::count(cleaned_.begin(), cleaned_.end(), ' ');
    int left = left_;
    if (std::int64_t(cleaned_.size()) - spaces <= left) return cleaned_.size();
    for (std::size_t begin = 0; begin < cleaned_.size();) {
        const std::size_t end = piece_end(begin);
        if (end == begin) {  // white space
            next_code(cleaned_, begin);
            continue;
        }
        if (end - begin > std::size_t(left) * vocabulary_.longest()) return begin;  // such as a word of a million letters
        left -= tokens(cleaned_.substr(begin, end - begin));
        if (left < 0) return begin;
        begin = end;
    }
    return cleaned_.size();
}

// Words, single digits, runs of other characters: the pattern of CLIP's tokenizer.
std::size_t ContextRuler::piece_end(std::size_t begin) const {
    const std::string_view text = cleaned_.substr(begin);
    if (const auto special = begins_with(text, kSpecial, 2); !special.empty()) return begin + special.size();
    if (const auto contraction = begins_with(text, kContractions, 7); !contraction.empty()) return begin + contraction.size();
    std::size_t at = begin;
    const Character& first = table_[std::uint32_t(next_code(cleaned_, at))];
    if (first.space) return begin;
    while (!first.number && at < cleaned_.size()) {
        std::size_t next = at;
        const Character& c = table_[std::uint32_t(next_code(cleaned_, next))];
        if (c.space || c.number || c.letter != first.letter) break;
        at = next;
    }
    return at;
}

int ContextRuler::tokens(std::string_view piece) {
    const WordIndex::Key key(piece.data(), piece.size());
    if (const int known = pieces_.find(key, piece.data(), piece.size()); known >= 0) return tokens_[std::size_t(known)];
    if (pieces_.size() >= kRemembered) {
        pieces_ = {};
        tokens_.clear();
    }
    const bool special = std::find(std::begin(kSpecial), std::end(kSpecial), piece) != std::end(kSpecial);
    pieces_.add(std::string(piece));
    tokens_.push_back(special ? 1 : vocabulary_.tokens(piece));
    return tokens_.back();
}

}  // namespace harness::corpus
