// How connections to PostgreSQL are opened.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "db/database.h"

namespace holdfast::db::postgres {

/// Keywords and values for PQconnectStartParams; session settings travel in `options`, so that a
/// connection has them from its first statement.
class Settings {
 public:
  enum class Role { setup, reader, writer, scratch };

  /// `synchronous_commit` is what the server says; `off` becomes `on` for the writer.
  Settings(const PostgresOptions& options, Role role, const std::string& synchronous_commit = "on");
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  const char* const* keywords() const { return keywords_.data(); }
  const char* const* values() const { return values_.data(); }

 private:
  std::vector<std::string> owned_;
  std::vector<const char*> keywords_;
  std::vector<const char*> values_;
};

/// The schema's name goes into settings and statements as it is.
/// Errors: invalid, unless it is 1 to 50 of a-z, 0-9 and `_`, and begins with a letter.
Result<void> check_schema_name(const std::string& schema);

}  // namespace holdfast::db::postgres
