#include "vault/search/distribution.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kRows = 2000;
constexpr int kPages = 5;

inline constexpr db::Sql kWalkIndex{
    "vault.walk_index",
    "select term, record from vault_index where number = $1 and (term, record) > ($2, $3) "
    "order by term, record limit $4"};
inline constexpr db::Sql kWalkRecords{
    "vault.walk_records",
    "select id from vault_records where collection = $1 and id > $2 order by id limit $3"};

}  // namespace

Task<Result<Distribution>> measure(db::Reader& reader, std::int64_t index) {
  Distribution out;
  Bytes term, record;
  std::int64_t same = 0;
  for (;;) {
    auto rows = co_await reader.read(kWalkIndex, {index, term, record, kRows});
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto row = (*rows)[i];
      bool again = out.rows > 0 && equal_constant_time(row.bytes(0), term);
      same = again ? same + 1 : 1;
      if (!again) term = to_bytes(row.bytes(0));
      out.duplicates += same == 2;
      out.largest = std::max(out.largest, same);
      out.rows += 1;
    }
    if (rows->size() < static_cast<std::size_t>(kRows)) co_return out;
    record = to_bytes((*rows)[rows->size() - 1].bytes(1));
    co_await give_way();
  }
}

Task<Result<Growth::Count>> Growth::look(db::Reader& reader, std::uint32_t collection) {
  auto& count = counts_[collection];
  for (int page = 0; page < kPages; ++page) {
    auto rows = co_await reader.read(
        kWalkRecords, {std::int64_t{collection}, to_bytes(count.after.bytes()), kRows});
    if (!rows) co_return std::move(rows).error();
    count.records += static_cast<std::int64_t>(rows->size());
    count.complete = rows->size() < static_cast<std::size_t>(kRows);
    if (!rows->empty())
      count.after = RecordId::from((*rows)[rows->size() - 1].bytes(0)).value_or(count.after);
    if (count.complete) break;
    co_await give_way();
  }
  co_return count;
}

std::span<const db::Sql* const> distribution_statements() {
  static constexpr const db::Sql* kAll[] = {&kWalkIndex, &kWalkRecords};
  return kAll;
}

}  // namespace holdfast::vault
