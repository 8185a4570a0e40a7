// What PostgreSQL needs to know about a statement before it can send it.
//
// libpq goes on after a wrong row count, and the Sync that closes a pipeline commits. So a
// statement whose count matters is wrapped: the wrapper counts in the server and raises where the
// count is wrong, which undoes the pipeline.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "db/changes.h"

namespace holdfast::db::postgres {

/// SQLSTATE that holdfast_unexpected() raises.
inline constexpr std::string_view kUnexpected = "HF001";

enum class Mode : std::uint8_t {
  plain,    // as written
  counted,  // yields the count, raises when it is out of bounds
  rows,     // yields the count and then the columns of each row; one row of NULLs when none
  guard,    // yields true and then the columns of each row, raises when there is none
  spread,   // inserts a row for each element of its arrays
};

/// How many rows are right, both ends included.
struct Bounds {
  std::int64_t low = 0;
  std::int64_t high = 0;
};

/// An insert of one row, cut up so that one execution can insert many: the values then come out of
/// arrays, one for each parameter.
struct Spread {
  std::string head;    // insert into t (a, b)
  std::string values;  // $1, null
  std::string tail;    // perhaps: on conflict do nothing
};

struct Shape {
  std::string_view source;  // Sql::text, to notice an address that is used again
  std::string texts[5];     // by Mode; spread only where there is a Spread
  std::size_t parameters = 0;
  bool reads = false;           // a select
  bool returning = false;       // has a `returning` of its own
  bool one_row_insert = false;  // inserts exactly one row or fails
  bool insert = false;          // never waits for a row that others hold, but for equal keys
  std::optional<Spread> spread{};

  /// How a single execution is sent so that the expectation holds.
  Mode mode(const Expect& expect) const;
};
Bounds bounds_of(const Expect& expect);
/// The insert over arrays. A parameter that is NULL in every row (kind 0, see wire.h) is written as
/// NULL, since nothing tells the type of its array.
std::string text_of(const Spread& spread, std::span<const std::size_t> kinds);

/// Shapes of the statements seen so far. Threads: one.
class Shapes {
 public:
  /// Errors: internal, when the text is not for both databases.
  Result<const Shape*> of(const Sql& sql);

 private:
  std::unordered_map<const Sql*, Shape> known_;
};

}  // namespace holdfast::db::postgres
