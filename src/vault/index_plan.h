// How long the terms of blind indexes are, and which index a field needs: pure, no I/O.
//
// CipherSweet's rule ("Blind Index Planning"): with R rows and indexes of b1, b2, ... bits over one
// collection, R / 2^(b1 + b2 + ...) rows are expected to share all terms of a row by chance. That
// must be at least 2, so that no row is told apart by its terms, and at most the square root of R.
// Prefix and substring terms do not count: their postings are sealed, and show sizes only. unique
// is declared to show equality.
#pragma once

#include <cstdint>
#include <string_view>

#include "vault/types.h"

namespace holdfast::vault {

/// The bits that all exact indexes of a collection share, with so many rows: 0 below 4 rows.
int total_bits(std::int64_t rows);
/// The bits of one exact index when `indexes` of them share the total: never more than the values
/// that are possible, nor than `most` (what a skewed distribution allows). At most 24.
int planned_bits(const Field& field, std::int64_t rows, std::int64_t indexes, int most = 24);
/// How many exact indexes a collection declares.
std::int64_t exact_indexes(const Collection& collection);

/// What a look at all rows of an exact index found.
struct Distribution {
  std::int64_t rows = 0;
  std::int64_t largest = 0;     // rows of the commonest term
  std::int64_t duplicates = 0;  // terms of a unique index that more than one row has
};
/// True when the commonest term has more than twice the rows that chance would give it (the
/// expected largest of 2^bits evenly filled groups): whoever knows how common values are, may tell
/// which one it is.
bool skewed(const Distribution& found, int bits);
/// The most bits at which the commonest value fills at most three quarters of its group, as far as
/// an index of `bits` bits shows it: 24 where nothing stands out.
int bits_for_skew(const Distribution& found, int bits);
/// True when an index should be built anew with `planned` bits: it tells rows apart, or groups grew
/// past the square root of the rows or 1,024.
bool resize_due(int bits, int planned, std::int64_t rows, int total);
/// True when the consent covers what was found: at most a quarter more than what was consented to.
bool consented(const Field& field, const Distribution& found);

/// What somebody must see to, or nothing: values that should be unique and are not, damaged blocks,
/// a skewed distribution without consent.
std::string_view alarm_of(const Field& field, const IndexInfo& index, const Distribution& found,
                          std::int64_t damaged);

/// Brings the indexes of a collection in line with what its fields declare, the active index key
/// and the calling code: an index that is missing is added to be built (or serves at once when
/// there are no `rows`), one that nothing wants is taken out. Numbers are made of `generation`,
/// which only grows. True when something changed.
bool settle_indexes(Collection& collection, std::int64_t rows, std::uint32_t key,
                    std::uint64_t generation);
/// Adds a fresh index to be built beside the one that serves. One that was being built goes.
void renew_index(const Collection& collection, Field& field, int bits, std::uint32_t key,
                 std::uint64_t generation);
/// Whether `index` is what the field wants now, its size apart.
bool fits(const Collection& collection, const Field& field, const IndexInfo& index,
          std::uint32_t key);

}  // namespace holdfast::vault
