// A write is a value: an ordered list of statements, each with what it expects and the Error that
// the caller gets when the expectation fails. Read first, then write with the version you read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::db {

/// One SQL text for both databases, defined once as a `constexpr Sql` in a store, in lower case.
/// Parameters are written `$1`, `$2`, ...; a list parameter as `x {{in $1}}`; `{{for share}}` or
/// `{{for update}}` at the end of a select locks its rows on PostgreSQL. No `::`, no functions of
/// time; see README.md for what else differs. The object's address is the key of the prepared
/// statement, so it must live for ever.
struct Sql {
  std::string_view name;  // "vault.find_record"
  std::string_view text;
};

using Cell = std::variant<std::int64_t, std::string, Bytes>;
/// For `{{in $1}}`: at most 20,000 cells, all of one type. An empty list matches nothing.
struct List {
  std::vector<Cell> cells;
};
/// monostate is NULL; string is {{text}} or {{json}}; Bytes is {{bytes}}.
using Value = std::variant<std::monostate, std::int64_t, std::string, Bytes, List>;
using Args = std::vector<Value>;

struct Expect {
  enum class Kind { any, exactly, at_most, guard };
  Kind kind = Kind::any;
  std::int64_t rows = 0;

  static constexpr Expect any() { return {}; }
  static constexpr Expect exactly(std::int64_t n) { return {Kind::exactly, n}; }
  static constexpr Expect at_most(std::int64_t n) { return {Kind::at_most, n}; }
};

struct Write {
  const Sql* sql = nullptr;
  std::vector<Args> rows;  // one, or N for bulk (the expectation then holds for the sum)
  Expect expect;
  Error error;
  std::string script{};  // migrations only: statements separated by `;` at a line's end
};

/// Order: locks, writes, guards, as they were added. All of it becomes durable, or none.
class Changes {
 public:
  /// An insert, update or delete; may have `returning`.
  Changes& write(const Sql& sql, Args args, Expect expect = Expect::any(), Error error = changed());
  /// The same statement over N rows, in order. An empty list is nothing.
  Changes& bulk(const Sql& sql, std::vector<Args> rows, Expect expect = Expect::any(),
                Error error = changed());
  /// A select that must yield at least one row at commit. On PostgreSQL others may change that row
  /// until this commit, unless the select ends with `{{for share}}`.
  Changes& guard(const Sql& sql, Args args, Error error = changed());
  /// A migration's text.
  Changes& script(std::string text);
  /// Adds the statements of another after these.
  Changes& append(Changes other);

  /// Nobody waits for this one: it makes no other bulk work smaller.
  Changes& in_background() {
    background_ = true;
    return *this;
  }
  bool background() const { return background_; }
  /// Makes the database larger, and can wait: refused while the disk is nearly full.
  Changes& growing() {
    growing_ = true;
    return *this;
  }
  bool grows() const { return growing_; }

  const std::vector<Write>& writes() const { return writes_; }
  std::vector<Write>& writes() { return writes_; }
  bool empty() const { return writes_.empty(); }

  static Error changed() {
    return {Code::conflict, "the data changed meanwhile; read it again and repeat"};
  }

 private:
  std::vector<Write> writes_;
  bool background_ = false;
  bool growing_ = false;
};

}  // namespace holdfast::db
