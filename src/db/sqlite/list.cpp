#include "db/sqlite/list.h"

#include <sqlite3.h>

#include <new>

namespace holdfast::db::sqlite {
namespace {

constexpr char kPointerType[] = "holdfast.list";
constexpr int kPointerColumn = 1;

struct Cursor : sqlite3_vtab_cursor {
  const List* list = nullptr;
  std::size_t at = 0;
};

Cursor& cursor_of(sqlite3_vtab_cursor* base) {
  return *static_cast<Cursor*>(base);
}

int connect(sqlite3* db, void*, int, const char* const*, sqlite3_vtab** out, char**) {
  int code = sqlite3_declare_vtab(db, "create table list(value, pointer hidden)");
  if (code != SQLITE_OK) return code;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *out = new (std::nothrow) sqlite3_vtab{};
  return *out != nullptr ? SQLITE_OK : SQLITE_NOMEM;
}

int disconnect(sqlite3_vtab* table) {
  delete table;
  return SQLITE_OK;
}

/// The list must be given; without it there is no plan.
int best_index(sqlite3_vtab*, sqlite3_index_info* info) {
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    if (constraint.iColumn != kPointerColumn || constraint.op != SQLITE_INDEX_CONSTRAINT_EQ)
      continue;
    if (!constraint.usable) return SQLITE_CONSTRAINT;
    info->aConstraintUsage[i].argvIndex = 1;
    info->aConstraintUsage[i].omit = 1;
    info->estimatedCost = 10;
    info->estimatedRows = 10;
    return SQLITE_OK;
  }
  return SQLITE_CONSTRAINT;
}

int open_cursor(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  auto* cursor = new (std::nothrow) Cursor{};
  *out = cursor;
  return cursor != nullptr ? SQLITE_OK : SQLITE_NOMEM;
}

int close_cursor(sqlite3_vtab_cursor* base) {
  delete static_cast<Cursor*>(base);
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* base, int, const char*, int count, sqlite3_value** values) {
  Cursor& cursor = cursor_of(base);
  cursor.at = 0;
  cursor.list = count == 1
                    ? static_cast<const List*>(sqlite3_value_pointer(values[0], kPointerType))
                    : nullptr;
  return cursor.list != nullptr ? SQLITE_OK : SQLITE_MISUSE;
}

int next(sqlite3_vtab_cursor* base) {
  ++cursor_of(base).at;
  return SQLITE_OK;
}

int at_end(sqlite3_vtab_cursor* base) {
  const Cursor& cursor = cursor_of(base);
  return cursor.list == nullptr || cursor.at >= cursor.list->cells.size();
}

int column(sqlite3_vtab_cursor* base, sqlite3_context* context, int index) {
  if (index == kPointerColumn) return SQLITE_OK;
  const Cursor& cursor = cursor_of(base);
  const Cell& cell = cursor.list->cells[cursor.at];
  if (auto* integer = std::get_if<std::int64_t>(&cell)) {
    sqlite3_result_int64(context, *integer);
  } else if (auto* text = std::get_if<std::string>(&cell)) {
    sqlite3_result_text64(context, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  } else if (auto* bytes = std::get_if<Bytes>(&cell)) {
    static constexpr char kNothing = 0;  // a null pointer would make NULL of an empty blob
    const void* data = bytes->empty() ? static_cast<const void*>(&kNothing) : bytes->data();
    sqlite3_result_blob64(context, data, bytes->size(), SQLITE_STATIC);
  }
  return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor* base, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(cursor_of(base).at);
  return SQLITE_OK;
}

// No xCreate: the table exists only as a function.
constexpr sqlite3_module kModule = {
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = at_end,
    .xColumn = column,
    .xRowid = row_id,
};

}  // namespace

bool add_list_function(sqlite3* db) {
  return sqlite3_create_module_v2(db, "holdfast_list", &kModule, nullptr, nullptr) == SQLITE_OK;
}

int bind_list(sqlite3_stmt* statement, int parameter, const List& list) {
  return sqlite3_bind_pointer(statement, parameter, const_cast<List*>(&list), kPointerType,
                              nullptr);
}

}  // namespace holdfast::db::sqlite
