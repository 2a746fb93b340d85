// Prices by auction: rounds in which all free rows bid for their best columns at once (Bertsekas 1988), on a block or the grid.
//
//   slow truth the sequential bids of cpu/assign.cpp; any prices are valid, since path searches and certificate follow
//   bid        the column of least loss; its price rises by the lead over the second best, plus epsilon. The highest bid wins,
//              among equal bids the lowest row's
//   round      one barrier. Bids of a round go to the buffer of the next one, so that all rows see the prices of the round
//              before and the order of threads does not matter. A bid is a price and the row that offers it: the row whose bid
//              is the column's highest owns the column, all other rows are free
//   frozen     when a price would exceed its range, the problem's auction ends; its paths are then searched in int64
//   phases     with an epsilon from coarse to fine, each from no assignments: they leave few rows free, with short paths.
//              Where few rows compete, plain rounds suffice: those without epsilon, which continue from the assignments
//
// Rows are distributed over the blocks. A warp scans a row; a block with few free and long rows scans each as a whole.
#pragma once

#include "cuda/assign.cuh"

namespace harness {

constexpr int kBlockBidColumns = 512;  // columns from which the whole block may scan a row
constexpr int kPhaseRounds = 150;      // limit per phase; CLIP-like problems of 8000 x 8000 take 85

// The length of the auction. Chosen by counting rounds and remaining path search steps of CLIP-like problems
// (scripts/count_synchronisations.py), weighted by their times on an H200: a round of the grid 2 us, one of a block
// 0.3 us; a step 0.1 us for 113 columns, 0.5 us for 1,000, 1 us for 8,000. On the grid, halving epsilon leaves 600 steps
// after 370 rounds for 1000 x 1000, and 8,000 after 740 for 8000 x 8000; dividing it by eight, 1,600 after 450, and 58,000
// after 430. In a block, 113 x 113: 110 steps after 60 rounds, where plain rounds alone leave 640.
struct Schedule {
    int first;    // plain rounds, after which phases follow if more than
    int crowded;  // one row in so many is still free
    int coarse;   // the first phase has epsilon 2^coarse, in units of 2^-28,
    int finer;    // and each one 2^finer times less than the one before
    int phases;
    int last;     // plain rounds at the end
};
HARNESS_DEVICE Schedule block_schedule() { return {4, 8, 24, 2, 6, 16}; }
// Phases cost rectangles additional searches from below: 600 x 1000 needs 212 steps after 200 plain rounds and 8,200 after phases,
// 900 x 1000 18,600 and 4,600.
HARNESS_DEVICE Schedule grid_schedule(bool rectangle) { return {rectangle ? 200 : 32, rectangle ? 10 : 32, 24, 1, 16, 32}; }
HARNESS_DEVICE int few_free_rows(int rows) { return 8 + rows / 256; }  // a phase ends at this number of free rows

template <class Team, class GetProblem>
class Auction {
    using Price = std::int32_t;
    using Bid = std::uint64_t;
    static constexpr std::int64_t kBias = std::int64_t(4) * kUnit;  // makes every price positive

    static HARNESS_DEVICE Bid make_bid(std::int64_t price, int row) {
        return Bid(price + kBias) << 32 | (0xffffffffu - std::uint32_t(row));
    }
    static HARNESS_DEVICE int owner(Bid bid) { return int(0xffffffffu - std::uint32_t(bid)); }

    Team& team;
    const GetProblem& problem;  // problem(k): the k-th of the batch
    const int batch, rows, columns;
    std::int32_t* const counts;  // (3) bidders of this, the last and the next round; the first is zero at the start
    int now = 0;                 // which of the two buffers of prices and bids is current
    int round = 0;               // rounds so far

    HARNESS_DEVICE Problem<Price> at(unsigned row) const { return problem(int(row / unsigned(rows))); }

    // Whether a row has to bid: it has no column, and the problem is not frozen. If it has one, its bid enters the next round.
    HARNESS_DEVICE bool must_bid(unsigned row) const {
        const Problem<Price> w = at(row);
        const int i = int(row % unsigned(rows)), j = w.column_of[i];
        const bool frozen = load_volatile(&w.flags[kFrozen]) < round;
        if (j == kUnassigned) return !frozen;
        const Bid mine = w.bids[now * columns + j];
        if (owner(mine) != i) return !frozen;
        if (load_volatile(&w.bids[!now * columns + j]) < mine) {
            atomic_max(&w.bids[!now * columns + j], mine);
            atomic_max(&w.price[!now * columns + j], w.price[now * columns + j]);
        }
        return false;
    }

    // One row's bid, by the members of a warp or a block.
    template <class Bidders>
    HARNESS_DEVICE void place_bid(Bidders& bidders, unsigned row, Price epsilon) const {
        const Problem<Price> w = at(row);
        const int i = int(row % unsigned(rows));
        const Price* const price = w.price + now * columns;
        const std::int32_t* const s = w.s + std::size_t(i) * columns;
        TwoSmallest loss;
#pragma unroll 8
        for (int j = bidders.rank(); j < columns; j += bidders.size()) loss.add(price[j] - s[j], j);
        loss = bidders.min(loss);
        if (bidders.rank() != 0) return;
        const std::int64_t offer = std::int64_t(price[loss.index]) + (std::int64_t(loss.second) - loss.first) + epsilon;
        const bool idle = epsilon == 0 && loss.second == loss.first && owner(w.bids[now * columns + loss.index]) != kUnassigned;
        if (idle) return;  // no change
        if (offer > Problem<Price>::kLimit) {  // beyond the range of prices: ends this problem's auction
            atomic_min(&w.flags[kFrozen], round);
            return;
        }
        atomic_max(&w.bids[!now * columns + loss.index], make_bid(offer, i));
        atomic_max(&w.price[!now * columns + loss.index], Price(offer));
        w.column_of[i] = loss.index;
    }

public:
    HARNESS_DEVICE Auction(Team& team, const GetProblem& problem, int batch, int rows, int columns, std::int32_t* counts)
        : team(team), problem(problem), batch(batch), rows(rows), columns(columns), counts(counts) {}

    // Runs rounds until at most `enough` rows of the batch are free; returns how many were at the start of the last one.
    HARNESS_DEVICE int rounds(Price epsilon, int at_most, int enough) {
        auto& block = team.block();
        const unsigned all = unsigned(batch) * unsigned(rows), blocks = unsigned(team.blocks());
        int left = 0;
        for (int k = 0; k < at_most; ++k) {
            for (unsigned first = 0; first * blocks < all; first += unsigned(block.size())) {  // usually once
                const auto dealt = [&](unsigned k) { return (first + k) * blocks + unsigned(team.block_index()); };
                const unsigned mine = dealt(unsigned(block.rank()));
                const int found = block.compact(mine < all && must_bid(mine));
                if (block.rank() == 0 && found) atomic_fetch_add(&counts[round % 3], found);
                if (columns >= kBlockBidColumns && found <= 2)
                    for (int k = 0; k < found; ++k) place_bid(block, dealt(block.compacted(k)), epsilon);
                else
                    for (int k = block.warp_index(); k < found; k += block.warps()) {
                        auto warp = block.warp();
                        place_bid(warp, dealt(block.compacted(k)), epsilon);
                    }
                if ((first + block.size()) * blocks < all) block.sync();  // all members have read the list
            }
            if (team.rank() == 0) store_volatile(&counts[(round + 1) % 3], 0);
            team.sync();
            left = load_volatile(&counts[round % 3]);
            now = !now;
            ++round;
            if (left <= enough) break;
        }
        return left;
    }

    // Frees all rows and keeps the prices. For sink (n < m), prices of owned columns are lowered so that the cheapest is 0, and
    // columns without an owner restart at 0 (Bertsekas and Castanon 1992 leave them below the cheapest owned one).
    HARNESS_DEVICE void release(bool sink) {
        const std::int64_t size = std::int64_t(batch) * columns;
        if (sink) {
            for (std::int64_t c = team.rank(); c < size; c += team.size()) {
                const Problem<Price> w = problem(int(c / columns));
                const int j = now * columns + int(c % columns);
                if (owner(w.bids[j]) != kUnassigned) atomic_min(&w.flags[kLowest], w.price[j]);
            }
            team.sync();
        }
        for (std::int64_t c = team.rank(); c < size; c += team.size()) {
            const Problem<Price> w = problem(int(c / columns));
            const int j = int(c % columns);
            Price price = w.price[now * columns + j];
            if (sink) price = owner(w.bids[now * columns + j]) == kUnassigned ? 0 : price - load_volatile(&w.flags[kLowest]);
            w.price[j] = w.price[columns + j] = price;
            w.bids[j] = w.bids[columns + j] = make_bid(price, kUnassigned);
        }
        for (std::int64_t r = team.rank(); r < std::int64_t(batch) * rows; r += team.size())
            problem(int(r / rows)).column_of[r % rows] = kUnassigned;
        team.sync();
        if (sink)  // for the next call
            for (std::int64_t k = team.rank(); k < batch; k += team.size())
                store_volatile(&problem(int(k)).flags[kLowest], 0x7fffffff);
    }

    // Copies owners and prices to where the path searches read them.
    HARNESS_DEVICE void store_result() {
        for (std::int64_t c = team.rank(); c < std::int64_t(batch) * columns; c += team.size()) {
            const Problem<Price> w = problem(int(c / columns));
            const int j = int(c % columns);
            w.row_of[j] = owner(w.bids[now * columns + j]);
            w.price[j] = w.price[now * columns + j];
        }
        for (std::int64_t r = team.rank(); r < std::int64_t(batch) * rows; r += team.size()) {
            const Problem<Price> w = problem(int(r / rows));
            const int i = int(r % rows), j = w.column_of[i];
            if (j != kUnassigned && owner(w.bids[now * columns + j]) != i) w.column_of[i] = kUnassigned;
        }
        team.sync();
    }

    HARNESS_DEVICE void run(const Schedule& schedule) {
        if (columns == 1) return;  // there is no second best column
        const bool rectangle = rows < columns;
        release(false);
        if (rounds(0, schedule.first, 0) > batch * (rows / schedule.crowded)) {
            for (int phase = 0; phase < schedule.phases; ++phase) {
                release(rectangle);
                rounds(Price(1) << (schedule.coarse - phase * schedule.finer), kPhaseRounds, batch * few_free_rows(rows));
            }
            release(rectangle);
        }
        rounds(0, schedule.last, 0);
        store_result();
    }
};

}  // namespace harness
