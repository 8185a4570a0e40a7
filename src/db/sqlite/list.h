// The table-valued function holdfast_list(pointer): the values of a db::List as rows, so that
// `x in (select value from holdfast_list(?1))` is one prepared statement for every length.
#pragma once

#include "db/changes.h"

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::db::sqlite {

/// Makes the function known to a connection. False when memory runs out.
[[nodiscard]] bool add_list_function(sqlite3* db);

/// Binds a list that stays where it is until the statement is reset.
int bind_list(sqlite3_stmt* statement, int parameter, const List& list);

}  // namespace holdfast::db::sqlite
