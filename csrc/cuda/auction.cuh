// Prices by auction: rounds in which every free row bids for its best column at once (Bertsekas 1988), on a block or the grid.
//
//   bid        the column of least loss; its price rises by the lead over the second best, plus epsilon. The highest bid wins,
//              of equal bids the lowest row's
//   round      one barrier. Bids of a round raise the words of the next one, so that all see the prices of the round before
//              and the outcome does not depend on who came first. A word is a price and the row that offered it: who holds
//              the word of the column that it bid for last owns it, everyone else is free
//   frozen     where a price would leave its range, nobody bids any more: paths in int64 are for such problems
//   phases     with an epsilon from coarse to fine, each from new: they leave few rows free, and short paths to the others.
//              Where rows hardly compete, plain rounds do: those without epsilon, which keep what they found
//
// Rows are dealt to the blocks. A warp looks at a row; where a block has few free rows, and long ones, the whole block does.
#pragma once

#include "team_assign.hpp"

namespace harness {

constexpr int kWide = 512;         // columns from which the whole block may look at a row
constexpr int kPhaseRounds = 150;  // of a phase, at most; CLIP-like problems of 8000 x 8000 take 85

// How long the auction goes on. Chosen by counting the rounds, and the steps of the path searches that are left, of CLIP-like
// problems (tests/bench/count_meetings.py), each weighed with what it takes on an H200: a round of the grid 2 us, one of a
// block 0.3 us; a step 0.1 us for 113 columns, 0.5 us for 1,000, 1 us for 8,000. On the grid, halving epsilon leaves 600 steps
// after 370 rounds for 1000 x 1000, and 8,000 after 740 for 8000 x 8000; dividing it by eight, 1,600 after 450, and 58,000
// after 430. In a block, 113 x 113: 110 steps after 60 rounds, where plain rounds alone leave 640.
struct Schedule {
    int first;    // plain rounds, before it is known whether rows compete:
    int crowded;  // they do when more than one in so many is still free
    int coarse;   // the first phase has epsilon 2^coarse, in units of 2^-28,
    int finer;    // each 2^finer times less than the one before
    int phases;
    int last;     // plain rounds at the end
};
HARNESS_TEAM Schedule in_block() { return {4, 8, 24, 2, 6, 16}; }
// Phases cost a rectangle searches from below: 600 x 1000 needs 212 steps after 200 plain rounds and 8,200 after phases,
// 900 x 1000 18,600 and 4,600.
HARNESS_TEAM Schedule on_grid(bool rectangle) { return {rectangle ? 200 : 32, rectangle ? 10 : 32, 24, 1, 16, 32}; }
HARNESS_TEAM int few(int rows) { return 8 + rows / 256; }  // a phase ends when no more rows than this were free

template <class Team, class Get>
class Auction {
    using Price = std::int32_t;
    using Word = std::uint64_t;
    using One = Problem<Price>;
    static constexpr std::int64_t bias = std::int64_t(4) * kOne;  // makes every price positive

    static HARNESS_TEAM Word word(std::int64_t price, int row) {
        return Word(price + bias) << 32 | (0xffffffffu - std::uint32_t(row));
    }
    static HARNESS_TEAM int owner(Word word) { return int(0xffffffffu - std::uint32_t(word)); }

    Team& team;
    const Get& problem;  // problem(k): the k-th of the batch
    const int batch, rows, columns;
    std::int32_t* const counts;  // three places, the first zero: bidders of this round, of the last, of the next
    int now = 0;                 // which of the two buffers of prices and words holds what was agreed
    int turn = 0;                // rounds so far

    HARNESS_TEAM One at(unsigned row) const { return problem(int(row / unsigned(rows))); }

    // Whether a row has to bid: it has no column, and the problem goes on. If it has one, the next round begins with its word.
    HARNESS_TEAM bool must_bid(unsigned row) const {
        const One w = at(row);
        const int i = int(row % unsigned(rows)), j = w.column_of[i];
        const bool frozen = read(&w.flags[kFrozen]) < turn;
        if (j == kNobody) return !frozen;
        const Word mine = w.word[now * columns + j];
        if (owner(mine) != i) return !frozen;
        if (read(&w.word[!now * columns + j]) < mine) {
            keep_largest(&w.word[!now * columns + j], mine);
            keep_largest(&w.price[!now * columns + j], w.price[now * columns + j]);
        }
        return false;
    }

    // One row's bid, by those who look at it together.
    template <class Lookers>
    HARNESS_TEAM void bid(Lookers& lookers, unsigned row, Price epsilon) const {
        const One w = at(row);
        const int i = int(row % unsigned(rows));
        const Price* const price = w.price + now * columns;
        const std::int32_t* const s = w.s + std::size_t(i) * columns;
        TwoLeast loss;
#pragma unroll 8
        for (int j = lookers.rank(); j < columns; j += lookers.size()) loss.add(price[j] - s[j], j);
        loss = lookers.least(loss);
        if (lookers.rank() != 0) return;
        const std::int64_t offer = std::int64_t(price[loss.where]) + (std::int64_t(loss.second) - loss.first) + epsilon;
        const bool idle = epsilon == 0 && loss.second == loss.first && owner(w.word[now * columns + loss.where]) != kNobody;
        if (idle) return;  // would change nothing
        if (offer > One::limit) {  // the range of prices ends here, and for this problem the auction
            keep_smallest(&w.flags[kFrozen], turn);
            return;
        }
        keep_largest(&w.word[!now * columns + loss.where], word(offer, i));
        keep_largest(&w.price[!now * columns + loss.where], Price(offer));
        w.column_of[i] = loss.where;
    }

public:
    HARNESS_TEAM Auction(Team& team, const Get& problem, int batch, int rows, int columns, std::int32_t* counts)
        : team(team), problem(problem), batch(batch), rows(rows), columns(columns), counts(counts) {}

    // Rounds, until at most `enough` rows of the batch were free; how many were at the start of the last one.
    HARNESS_TEAM int rounds(Price epsilon, int at_most, int enough) {
        auto& block = team.block();
        const unsigned all = unsigned(batch) * unsigned(rows), blocks = unsigned(team.blocks());
        int left = 0;
        for (int round = 0; round < at_most; ++round) {
            for (unsigned first = 0; first * blocks < all; first += unsigned(block.size())) {  // mostly once
                const auto dealt = [&](unsigned k) { return (first + k) * blocks + unsigned(team.block_index()); };
                const unsigned mine = dealt(unsigned(block.rank()));
                const int found = block.gather(mine < all && must_bid(mine));
                if (block.rank() == 0 && found) fetch_add(&counts[turn % 3], found);
                if (columns >= kWide && found <= 2)
                    for (int k = 0; k < found; ++k) bid(block, dealt(block.gathered(k)), epsilon);
                else
                    for (int k = block.warp_index(); k < found; k += block.warps()) {
                        auto warp = block.warp();
                        bid(warp, dealt(block.gathered(k)), epsilon);
                    }
                if ((first + block.size()) * blocks < all) block.sync();  // everyone has read the list
            }
            if (team.rank() == 0) write(&counts[(turn + 1) % 3], 0);
            team.sync();
            left = read(&counts[turn % 3]);
            now = !now;
            ++turn;
            if (left <= enough) break;
        }
        return left;
    }

    // Everyone is free again, at the prices of now. N < M: the cheapest owned column then has price 0, the others keep their
    // distance from it, and columns without an owner, which nobody wanted, begin at 0 again (Bertsekas and Castanon 1992 keep
    // them below the cheapest owned one).
    HARNESS_TEAM void release(bool sink) {
        const std::int64_t size = std::int64_t(batch) * columns;
        if (sink) {
            for (std::int64_t c = team.rank(); c < size; c += team.size()) {
                const One w = problem(int(c / columns));
                const int j = now * columns + int(c % columns);
                if (owner(w.word[j]) != kNobody) keep_smallest(&w.flags[kLowest], w.price[j]);
            }
            team.sync();
        }
        for (std::int64_t c = team.rank(); c < size; c += team.size()) {
            const One w = problem(int(c / columns));
            const int j = int(c % columns);
            Price price = w.price[now * columns + j];
            if (sink) price = owner(w.word[now * columns + j]) == kNobody ? 0 : price - read(&w.flags[kLowest]);
            w.price[j] = w.price[columns + j] = price;
            w.word[j] = w.word[columns + j] = word(price, kNobody);
        }
        for (std::int64_t r = team.rank(); r < std::int64_t(batch) * rows; r += team.size())
            problem(int(r / rows)).column_of[r % rows] = kNobody;
        team.sync();
        if (sink)  // for the next time
            for (std::int64_t k = team.rank(); k < batch; k += team.size()) write(&problem(int(k)).flags[kLowest], 0x7fffffff);
    }

    // Owners and prices, where the path searches look for them.
    HARNESS_TEAM void settle() {
        for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
            const One w = problem(int(c / columns));
            const int j = int(c % columns);
            w.row_of[j] = owner(w.word[now * columns + j]);
            w.price[j] = w.price[now * columns + j];
        }
        for (std::int64_t r = team.rank(); r < std::int64_t(batch) * rows; r += team.size()) {
            const One w = problem(int(r / rows));
            const int i = int(r % rows), j = w.column_of[i];
            if (j != kNobody && owner(w.word[now * columns + j]) != i) w.column_of[i] = kNobody;
        }
        team.sync();
    }

    HARNESS_TEAM void run(const Schedule& schedule) {
        if (columns == 1) return;  // no second best
        const bool rectangle = rows < columns;
        release(false);
        if (rounds(0, schedule.first, 0) > batch * (rows / schedule.crowded)) {
            for (int phase = 0; phase < schedule.phases; ++phase) {
                release(rectangle);
                rounds(Price(1) << (schedule.coarse - phase * schedule.finer), kPhaseRounds, batch * few(rows));
            }
            release(rectangle);
        }
        rounds(0, schedule.last, 0);
        settle();
    }
};

}  // namespace harness
