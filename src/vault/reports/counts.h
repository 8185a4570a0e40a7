// Exact counts of rows, for reports. Each walks a table by its key in pages and gives way between
// them, so that a large store is counted while it serves.
#pragma once

#include <map>
#include <span>
#include <utility>

#include "vault/context.h"

namespace holdfast::vault {

/// Collection and field, by their ids.
using FieldKey = std::pair<std::uint32_t, std::uint16_t>;

struct RecordCounts {
  std::map<std::uint32_t, std::int64_t> records;  // by collection
  std::map<FieldKey, std::int64_t> values;        // by field
  std::map<std::uint32_t, std::int64_t> by_key;   // values by number of the key
  std::int64_t total = 0, damaged = 0;            // values; records not readable
};
struct TokenCounts {
  std::map<FieldKey, std::int64_t> tokens;
  std::map<std::uint32_t, std::int64_t> by_key;  // those found by a term, by token key
  std::int64_t total = 0, without_record = 0;
};
struct SubjectCounts {
  std::int64_t living = 0, erased = 0, external_ids = 0;
};

/// Errors of all: unavailable (also when the deadline passes), corrupt.
/// Cost: about 3 µs a row. Threads: any io_context thread.
Task<Result<RecordCounts>> count_records(const Context& context, const Schema& schema,
                                         MonoTime deadline);
Task<Result<TokenCounts>> count_tokens(const Context& context, MonoTime deadline);
Task<Result<SubjectCounts>> count_subjects(const Context& context, MonoTime deadline);
/// Customers' keys by the epoch key that wraps them.
Task<Result<std::map<std::uint32_t, std::int64_t>>> count_subject_keys(const Context& context,
                                                                       MonoTime deadline);
/// Rows of an index, and entries of its postings.
Task<Result<std::int64_t>> count_terms(const Context& context, std::int64_t index,
                                       MonoTime deadline);

std::span<const db::Sql* const> count_statements();

}  // namespace holdfast::vault
