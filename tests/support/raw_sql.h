// A database as somebody sees it who has the disk or the password: no journal, no rules.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"

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

}  // namespace holdfast::test
