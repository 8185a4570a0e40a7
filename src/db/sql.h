// One SQL text for both databases: what is written in the stores, and what each database gets.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/changes.h"

namespace holdfast::db {

enum class Dialect { sqlite, postgres };

struct Translated {
  std::string text;
  std::size_t parameters = 0;  // the highest $N
  bool returning = false;      // has a `returning` of its own
};

/// Outside of literals, quoted names and comments:
///
///   written                    SQLite                              PostgreSQL
///   $1                         ?1                                  $1
///   {{int}}                    integer                             bigint
///   {{text}}, {{json}}         text                                text collate "C", text
///   {{bytes}}                  blob                                bytea
///   {{in $1}}                  in (select value from
///                                  holdfast_list(?1))              = any($1)
///   {{strict}}                 strict
///   {{strict, without rowid}}  strict, without rowid
///   {{for update}}                                                 for update
///   {{for share}}                                                  for share
///
/// Errors: internal for `::`, `?`, an unknown {{...}} or a literal that does not end.
Result<Translated> translate(Dialect dialect, std::string_view text);

/// A script's statements: each ends with `;` at a line's end. Comments stay where they are.
std::vector<std::string_view> split_script(std::string_view text);

/// What both databases refuse alike: text that is not UTF-8 or holds a zero byte, a list of mixed
/// types or of more than 20,000 cells, a wrong number of arguments.
Result<void> check_args(const Args& args, std::size_t parameters);

}  // namespace holdfast::db
