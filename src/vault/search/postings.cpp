#include "vault/search/postings.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace holdfast::vault {
namespace {

constexpr std::int64_t kMostEntries = 100'000;
// Entries of a longer list: beyond, candidates are compared instead.
constexpr std::size_t kMostIntersected = 400'000;
// Opening a record costs as much as reading some hundred entries.
constexpr std::size_t kEntriesPerOpening = 100;

inline constexpr db::Sql kCountPostings{
    "vault.count_postings",
    "select term, sum(entries) from vault_postings where number = $1 and term {{in $2}} "
    "group by term"};
inline constexpr db::Sql kReadPostings{
    "vault.read_postings",
    "select block, sealed from vault_postings where number = $1 and term = $2"};

struct Counted {
  PostedTerm term;
  std::int64_t entries = 0;
};

Task<Result<std::vector<Counted>>> counted(db::Reader& reader, std::vector<PostedTerm> terms,
                                           MonoTime deadline) {
  std::map<std::int64_t, db::List> lists;
  for (const auto& one : terms) lists[one.index->index().number].cells.emplace_back(one.term);
  std::map<std::pair<std::int64_t, Bytes>, std::int64_t> sums;
  for (auto& [number, list] : lists) {
    auto rows = co_await reader.read(kCountPostings, {number, std::move(list)}, deadline);
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i)
      sums[{number, to_bytes((*rows)[i].bytes(0))}] = (*rows)[i].integer(1);
  }
  std::vector<Counted> out;
  out.reserve(terms.size());
  for (auto& one : terms) {
    auto sum = sums.find({one.index->index().number, one.term});
    auto entries = sum == sums.end() ? 0 : sum->second;
    out.push_back({std::move(one), entries});
  }
  std::ranges::sort(out, {}, &Counted::entries);
  co_return out;
}

Result<std::vector<RecordId>> opened(const PostedTerm& term, const db::Rows& blocks) {
  std::vector<std::vector<Posting>> parts;
  std::size_t count = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    auto part = term.index->open_block(term.term, blocks[i].bytes(0), blocks[i].bytes(1));
    if (!part) return std::move(part).error();
    count += part->size();
    if (!part->empty()) parts.push_back(std::move(*part));
  }
  // Blocks are read in no order, but most hold records that came one after another.
  std::ranges::sort(parts, {}, [](const auto& part) { return part.front().record; });
  std::vector<Posting> entries;
  entries.reserve(count);
  for (const auto& part : parts) entries.insert(entries.end(), part.begin(), part.end());
  std::vector<RecordId> out;
  auto hold = resolved(std::move(entries));
  out.reserve(hold.size());
  for (const auto& one : hold) out.push_back(one.record);
  return out;
}

}  // namespace

Task<Result<std::vector<RecordId>>> records_with_all(db::Reader& reader, Pool& pool,
                                                     std::vector<PostedTerm> terms,
                                                     MonoTime deadline) {
  auto lists = co_await counted(reader, std::move(terms), deadline);
  if (!lists) co_return std::move(lists).error();
  std::vector<RecordId> out;
  if (lists->empty() || lists->front().entries == 0) co_return out;
  if (lists->front().entries > kMostEntries)
    co_return Error(Code::invalid,
                    "more than 100,000 records have what is searched for: give more characters, "
                    "or a value of another field")
        .at("q");
  bool first = true;
  for (const auto& [term, entries] : *lists) {
    if (!first && static_cast<std::size_t>(entries) >
                      std::min(kEntriesPerOpening * out.size(), kMostIntersected))
      break;
    // In one statement: a compaction between two would move entries to where they are not read. No
    // more blocks than entries, which were counted.
    auto blocks =
        co_await reader.read(kReadPostings, {term.index->index().number, term.term}, deadline);
    if (!blocks) co_return std::move(blocks).error();
    auto records = co_await pool.run([&] { return opened(term, *blocks); });
    if (!records) co_return std::move(records).error();
    if (first) {
      out = std::move(*records);
    } else {
      std::vector<RecordId> both;
      std::ranges::set_intersection(out, *records, std::back_inserter(both));
      out = std::move(both);
    }
    first = false;
    if (out.empty()) break;
  }
  co_return out;
}

std::span<const db::Sql* const> posting_statements() {
  static constexpr const db::Sql* kAll[] = {&kCountPostings, &kReadPostings};
  return kAll;
}

}  // namespace holdfast::vault
