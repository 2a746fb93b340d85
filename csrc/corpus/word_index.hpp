// Known words -> numbers. A filter rejects most unknown words; the others are found by open addressing.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace harness::corpus {

constexpr std::size_t kPadding = 16;  // readable bytes that have to follow a word

class WordIndex {
public:
    // The number of a word, from 0 on in the order of their first addition.
    int add(const std::string& word) {
        const std::string padded = word + std::string(kPadding, '\0');
        if (const int known = find(padded.data(), word.size()); known >= 0) return known;
        words_.push_back(padded);
        const Key key(padded.data(), word.size());
        filter_[key.filter() / 64] |= std::uint64_t(1) << key.filter() % 64;
        if (slots_.size() < 4 * words_.size()) {
            const std::vector<Slot> old(2 * slots_.size());
            for (const Slot& slot : std::exchange(slots_, old))
                if (slot.number >= 0) place(slot);
        }
        place({key.head, std::uint32_t(word.size()), int(words_.size()) - 1});
        return int(words_.size()) - 1;
    }

    // The number of a word, -1 for an unknown one.
    int find(const char* text, std::size_t size) const {
        const Key key(text, size);
        if (!(filter_[key.filter() / 64] >> key.filter() % 64 & 1)) return -1;
        for (std::size_t i = key.hash & (slots_.size() - 1); slots_[i].number >= 0; i = (i + 1) & (slots_.size() - 1)) {
            const Slot& slot = slots_[i];
            if (slot.head == key.head && slot.size == size &&
                (size <= 8 || !std::memcmp(words_[std::size_t(slot.number)].data() + 8, text + 8, size - 8)))
                return slot.number;
        }
        return -1;
    }

    std::size_t size() const { return words_.size(); }

private:
    static constexpr int kFilterBits = 17;

    struct Key {
        std::uint64_t head, hash;  // head: the first eight bytes, or all with zeros

        Key(const char* text, std::size_t size) : head(eight(text, size)), hash(mixed(size ^ head)) {
            for (std::size_t at = 8; at < size; at += 8) hash = mixed(hash ^ eight(text + at, size - at));
        }
        std::size_t filter() const { return std::size_t(hash >> (64 - kFilterBits)); }

        static std::uint64_t mixed(std::uint64_t x) {
            x *= 0x9E3779B97F4A7C15u;
            return x ^ x >> 32;
        }
        static std::uint64_t eight(const char* text, std::size_t size) {
            std::uint64_t x;
            std::memcpy(&x, text, 8);
            if (size >= 8) return x;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
            return x >> (64 - 8 * size);
#else
            return x << (64 - 8 * size);
#endif
        }
    };

    struct Slot {
        std::uint64_t head = 0;
        std::uint32_t size = 0;
        int number = -1;
    };

    void place(const Slot& slot) {
        std::size_t i = Key(words_[std::size_t(slot.number)].data(), slot.size).hash & (slots_.size() - 1);
        while (slots_[i].number >= 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = slot;
    }

    std::vector<std::uint64_t> filter_ = std::vector<std::uint64_t>((1 << kFilterBits) / 64);
    std::vector<Slot> slots_ = std::vector<Slot>(64);
    std::vector<std::string> words_;
};

}  // namespace harness::corpus
