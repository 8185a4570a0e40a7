// Values in PostgreSQL's binary formats: arguments as they are sent, results as they come back.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "db/changes.h"
#include "db/rows.h"

namespace holdfast::db::postgres {

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, Clear>;

/// Arguments of one execution. Texts and byte strings are referred to, not copied: they must stay
/// until they are sent. Types are 0 where the value does not tell (NULL, an empty list).
class Parameters {
 public:
  explicit Parameters(const Args& args);
  /// One array for each column of the rows, whose kinds are as column_kinds() gives them.
  Parameters(std::span<const Args* const> rows, std::span<const std::size_t> kinds);
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  void add(std::int64_t integer);
  int count() const { return static_cast<int>(values_.size()); }
  const std::vector<Oid>& types() const { return types_; }
  const char* const* values() const { return values_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }

 private:
  void add(Oid type, const char* value, std::size_t length, bool binary = true);
  void add(const List& list);
  void add_column(std::span<const Args* const> rows, std::size_t column, std::size_t kind);

  std::vector<Oid> types_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::deque<std::string> made_;
};

/// What each column of the rows holds: the index of its type in db::Value, 0 where all is NULL.
/// nullopt where it holds several, or lists. All rows are of one length.
std::optional<std::vector<std::size_t>> column_kinds(std::span<const Args* const> rows);

/// A result in binary format without its first `skip` columns; nullopt when a column has a type
/// that no table of ours has.
std::optional<Rows> rows_of(const PGresult* result, int skip = 0);

void put_int16(std::string& out, std::int16_t value);
void put_int32(std::string& out, std::int32_t value);
void put_int64(std::string& out, std::int64_t value);

}  // namespace holdfast::db::postgres
