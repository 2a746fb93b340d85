// Known words -> numbers. A filter rejects most unknown words; the others are found by open addressing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace harness::corpus {

constexpr std::size_t kPadding = 8;  // readable bytes that have to follow a word

// Masks of the first n bytes of a number in memory.
inline const struct Heads {
    std::uint64_t masks[9] = {};
    Heads() {
        for (std::size_t n = 1; n <= 8; ++n) std::memset(&masks[n], 0xFF, n);
    }
} kHeads;

class WordIndex {
public:
    // What a word is looked up by; words of one size with the same first eight bytes have the same key.
    struct Key {
        std::uint64_t head, hash;  // head: the first eight bytes, zeros after a shorter word

        Key(const char* text, std::size_t size) {
            std::memcpy(&head, text, 8);
            head &= kHeads.masks[size < 8 ? size : 8];
            hash = (head ^ size) * 0x9E3779B97F4A7C15u;  // its first bits are the best mixed ones
        }
    };

    // The number of a word, from 0 on in the order of their first addition.
    int add(const std::string& word) {
        const std::string padded = word + std::string(kPadding, '\0');
        const Key key(padded.data(), word.size());
        if (const int known = find(key, padded.data(), word.size()); known >= 0) return known;
        words_.push_back(padded);
        if (4 * words_.size() > slots_.size()) {
            slots_.assign(2 * slots_.size(), {});
            filter_.assign(2 * filter_.size(), 0);
            --shift_;
            for (std::size_t number = 0; number + 1 < words_.size(); ++number) place(int(number));
        }
        place(int(words_.size()) - 1);
        return int(words_.size()) - 1;
    }

    struct Filter {
        const std::uint64_t* blocks;
        int shift;

        // False for most unknown words.
        bool may_have(const Key& key) const {
            const std::uint64_t block = blocks[key.hash >> shift];
            return block >> (key.hash >> 32 & 63) & block >> (key.hash >> 38 & 63) & 1;
        }
    };
    Filter filter() const { return {filter_.data(), shift_}; }

    // Begins to load what `find` reads.
    void prefetch(const Key& key) const { __builtin_prefetch(&slots_[first_slot(key)]); }

    // The number of a word, -1 for an unknown one.
    int find(const Key& key, const char* text, std::size_t size) const {
        const std::uint64_t tail = tail_of(key, text, size);
        for (std::size_t i = first_slot(key); slots_[i].number >= 0; i = (i + 1) & (slots_.size() - 1)) {
            const Slot& slot = slots_[i];
            if (!((slot.head ^ key.head) | (slot.tail ^ tail) | (slot.size ^ size)) &&
                (size <= 16 || !std::memcmp(words_[std::size_t(slot.number)].data() + 8, text + 8, size - 16)))
                return slot.number;
        }
        return -1;
    }

    std::size_t size() const { return words_.size(); }

private:
    struct Slot {
        std::uint64_t head = 0, tail = 0;
        std::uint32_t size = 0;
        int number = -1;
    };

    // The last eight bytes of a word; of a shorter one, all of them.
    static std::uint64_t tail_of(const Key& key, const char* text, std::size_t size) {
        std::uint64_t tail;
        std::memcpy(&tail, text + (size < 8 ? 0 : size - 8), 8);
        return size < 8 ? key.head : tail;
    }

    std::size_t first_slot(const Key& key) const { return std::size_t(key.hash >> (shift_ - 3)); }

    void place(int number) {
        const std::size_t size = words_[std::size_t(number)].size() - kPadding;
        const Key key(words_[std::size_t(number)].data(), size);
        filter_[key.hash >> shift_] |= std::uint64_t(1) << (key.hash >> 32 & 63) | std::uint64_t(1) << (key.hash >> 38 & 63);
        std::size_t i = first_slot(key);
        while (slots_[i].number >= 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = {key.head, tail_of(key, words_[std::size_t(number)].data(), size), std::uint32_t(size), number};
    }

    int shift_ = 60;  // leaves the bits that choose a block of the filter; three more choose a slot
    std::vector<std::uint64_t> filter_ = std::vector<std::uint64_t>(1 << 4);
    std::vector<Slot> slots_ = std::vector<Slot>(1 << 7);
    std::vector<std::string> words_;
};

}  // namespace harness::corpus
