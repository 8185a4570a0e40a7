#include "vault/search/compaction.h"

#include <algorithm>
#include <map>
#include <set>

#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kTermsPerStep = 50;
constexpr std::int64_t kContendedTerms = 4;
constexpr std::int64_t kScan = 2000;
constexpr std::int64_t kSmallBlocks = 16;
constexpr std::int64_t kMostLoose = 1000;
constexpr std::int64_t kFullPerRead = 32;

inline constexpr db::Sql kTakenBack{
    "vault.taken_back",
    "select distinct number, term from vault_postings where kind = 2 and kind > 0 "
    "order by number, term limit $1"};
inline constexpr db::Sql kSmallPostings{
    "vault.small_postings",
    "select number, term, count(*) from (select number, term from vault_postings "
    "where kind = 1 and kind > 0 and (number, term) > ($1, $2) order by number, term limit $3) "
    "few "
    "group by number, term order by number, term"};
inline constexpr db::Sql kLooseBlocks{
    "vault.loose_blocks",
    "select block, sealed from vault_postings where number = $1 and term = $2 and kind > 0 "
    "order by kind, block limit $3"};
inline constexpr db::Sql kFullBlocks{
    "vault.full_blocks",
    "select block, sealed from vault_postings where number = $1 and term = $2 and kind = 0 "
    "and block > $3 order by block limit $4"};
inline constexpr db::Sql kDropBlocks{
    "vault.drop_blocks",
    "delete from vault_postings where number = $1 and term = $2 and block {{in $3}}"};
inline constexpr db::Sql kNoteDamaged{
    "vault.note_damaged", "update vault_index_state set damaged = damaged + 1 where number = $1"};

/// The newest entry of each record.
using Newest = std::map<RecordId, Posting>;

void take(Newest& newest, const std::vector<Posting>& entries) {
  for (const auto& one : entries) {
    auto& held = newest.try_emplace(one.record, one).first->second;
    if (one.version > held.version || (one.version == held.version && one.adds)) held = one;
  }
}

bool superseded(const Newest& newest, const Posting& one) {
  auto found = newest.find(one.record);
  if (found == newest.end()) return false;
  return found->second.version > one.version ||
         (found->second.version == one.version && !one.adds && found->second.adds);
}

}  // namespace

Task<Result<std::vector<Compaction::Term>>> Compaction::due() {
  auto& reader = context_.journal.reader();
  auto limit = context_.journal.busy() ? kContendedTerms : kTermsPerStep;
  std::vector<Term> out;
  auto rows =
      co_await reader.read(kTakenBack, {limit + static_cast<std::int64_t>(damaged_.size())});
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (Term one{(*rows)[i].integer(0), to_bytes((*rows)[i].bytes(1))};
        !damaged_.contains(one.term))
      out.push_back(std::move(one));
  if (!out.empty()) co_return out;
  rows = co_await reader.read(kSmallPostings, {place_.number, place_.term, kScan});
  if (!rows) co_return std::move(rows).error();
  std::int64_t seen = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    seen += row.integer(2);
    place_ = {row.integer(0), to_bytes(row.bytes(1))};
    if (row.integer(2) >= kSmallBlocks && !damaged_.contains(place_.term)) out.push_back(place_);
    if (static_cast<std::int64_t>(out.size()) == limit) co_return out;
  }
  if (seen < kScan) place_ = {0, {}};
  co_return out;
}

/// Full blocks that lost an entry go with the loose ones; their entries join the others.
Task<Result<void>> Compaction::take_back(const BlindTerms& terms, const Term& term,
                                         Merging& merging) {
  const auto newest = merging.newest;
  Bytes after;
  for (;;) {
    auto rows = co_await context_.journal.reader().read(
        kFullBlocks, {term.number, term.term, after, kFullPerRead});
    if (!rows) co_return std::move(rows).error();
    auto done = co_await pool_.run([&]() -> Result<void> {
      for (std::size_t i = 0; i < rows->size(); ++i) {
        auto row = (*rows)[i];
        auto entries = terms.open_block(term.term, row.bytes(0), row.bytes(1));
        if (!entries) return std::move(entries).error();
        if (std::ranges::none_of(*entries,
                                 [&](const Posting& one) { return superseded(newest, one); }))
          continue;
        merging.gone.cells.emplace_back(to_bytes(row.bytes(0)));
        take(merging.newest, *entries);
      }
      return {};
    });
    if (!done) co_return done;
    if (rows->size() < static_cast<std::size_t>(kFullPerRead)) co_return Result<void>();
    after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  }
}

Task<Result<void>> Compaction::merge(const BlindTerms& terms, const Term& term,
                                     db::Changes& changes) {
  auto rows =
      co_await context_.journal.reader().read(kLooseBlocks, {term.number, term.term, kMostLoose});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return Result<void>();
  Merging merging;
  auto opened = co_await pool_.run([&]() -> Result<void> {
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto entries = terms.open_block(term.term, (*rows)[i].bytes(0), (*rows)[i].bytes(1));
      if (!entries) return std::move(entries).error();
      merging.gone.cells.emplace_back(to_bytes((*rows)[i].bytes(0)));
      take(merging.newest, *entries);
    }
    return {};
  });
  if (!opened) co_return opened;
  // With more loose blocks than were read, what takes back must stay: it may be meant for them.
  bool whole = rows->size() < static_cast<std::size_t>(kMostLoose);
  bool takes =
      std::ranges::any_of(merging.newest, [](const auto& one) { return !one.second.adds; });
  if (whole && takes)
    if (auto done = co_await take_back(terms, term, merging); !done) co_return done;
  auto fresh = co_await pool_.run([&]() -> Result<std::vector<db::Args>> {
    std::vector<Posting> entries;
    for (const auto& [record, one] : merging.newest)
      if (one.adds || !whole) entries.push_back(one);
    std::vector<db::Args> out;
    for (std::size_t at = 0; at < entries.size(); at += kBlockEntries) {
      auto part = std::span(entries).subspan(at, std::min(kBlockEntries, entries.size() - at));
      Bytes id(8);
      random_public(id);
      auto sealed = terms.seal_block(term.term, id, part);
      out.push_back({term.number, term.term, std::move(id), block_kind(part),
                     static_cast<std::int64_t>(part.size()), std::move(sealed)});
    }
    return out;
  });
  if (!fresh) co_return std::move(fresh).error();
  auto gone = static_cast<std::int64_t>(merging.gone.cells.size());
  auto count = static_cast<std::int64_t>(fresh->size());
  changes.write(kDropBlocks, {term.number, term.term, std::move(merging.gone)},
                db::Expect::exactly(gone));
  changes.bulk(kAddBlock, std::move(*fresh), db::Expect::exactly(count));
  co_return Result<void>();
}

Task<Result<bool>> Compaction::step(Working work, std::map<std::int64_t, IndexInfo> indexes) {
  auto list = co_await due();
  if (!list) co_return std::move(list).error();
  db::Changes changes;
  std::int64_t merged_terms = 0;
  std::map<std::int64_t, BlindTerms> held;
  for (const auto& term : *list) {
    auto index = indexes.find(term.number);
    if (index == indexes.end()) {  // goes with its index
      damaged_.insert(term.term);
      continue;
    }
    const auto& terms = held.try_emplace(term.number, *work.keys, index->second).first->second;
    if (!terms.usable()) {
      damaged_.insert(term.term);
      continue;
    }
    auto done = co_await merge(terms, term, changes);
    if (!done && done.error().code == Code::corrupt) {
      damaged_.insert(term.term);
      changes.write(kNoteDamaged, {term.number});
      ++merged_terms;
      continue;
    }
    if (!done) co_return std::move(done).error();
    ++merged_terms;
  }
  if (merged_terms == 0) co_return false;
  auto done = co_await context_.journal.commit(
      Caller{.generation = work.schema->generation}, std::move(changes),
      {.activity = "collections.index_merge", .facts = {{"terms", merged_terms}}});
  if (!done) co_return std::move(done).error();
  co_return true;
}

std::span<const db::Sql* const> compaction_statements() {
  static constexpr const db::Sql* kAll[] = {&kTakenBack,  &kSmallPostings, &kLooseBlocks,
                                            &kFullBlocks, &kDropBlocks,    &kNoteDamaged};
  return kAll;
}

}  // namespace holdfast::vault
