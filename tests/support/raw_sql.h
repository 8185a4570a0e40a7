// A database as somebody sees it who has the disk or the password: no journal, no rules.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "db/changes.h"

namespace holdfast::test {

/// Throws std::runtime_error with the database's words.
class RawSql {
 public:
  static RawSql sqlite(const std::filesystem::path& file);
  static RawSql postgres(const std::string& url, const std::string& schema);

  void run(const std::string& sql);
  /// The one cell that a query gives: of bytes, of text, or of a number.
  Bytes bytes(const std::string& sql);
  std::string text(const std::string& sql);
  std::int64_t number(const std::string& sql) { return std::stoll(text(sql)); }
  /// Whether a statement fits the schema: a failure is thrown. Parameters as the database has them.
  void prepare(const std::string& sql);
  /// Bytes as they are written in SQL.
  std::string literal(BytesView bytes) const;

 private:
  struct Connection;
  explicit RawSql(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  std::shared_ptr<Connection> connection_;  // shared, so that it can be returned by value
};

/// How PostgreSQL gets an insert of many rows, with NULL for every value, so that it can be
/// prepared without knowing the columns' types; empty for what goes row by row.
std::string as_arrays(const db::Sql& sql);

}  // namespace holdfast::test
