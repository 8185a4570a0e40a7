#include "db/postgres/failure.h"

#include <string>
#include <utility>

#include "db/postgres/shape.h"

namespace holdfast::db::postgres {
namespace {

std::string_view field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view() : text;
}

Failure unavailable(Literal text) {
  return {Error(Code::unavailable, text)};
}

/// A class 42 message names tables and columns; others may quote values, which must not be shown.
Failure bug(const PGresult* result, std::string_view state, std::string_view name,
            const BugSink& bugs) {
  std::string message = "SQLSTATE " + std::string(state);
  if (state.starts_with("42")) (message += ": ") += field(result, PG_DIAG_MESSAGE_PRIMARY);
  bugs(name, message);
  return {Error(Code::internal, "a statement does not fit the database's schema")};
}

}  // namespace

Error lost_connection() {
  return {Code::unavailable, "the connection to PostgreSQL broke; repeat with the same key"};
}
Error no_connection() {
  return {Code::unavailable, "PostgreSQL does not answer"};
}
Error deadline_passed() {
  return {Code::unavailable, "the deadline passed"};
}
Error another_server() {
  return {
      Code::unavailable,
      "another Holdfast server has taken this PostgreSQL schema: stop that one, then start this "
      "one again"};
}

Failure failure_of(const PGresult* result, const Write* write, std::string_view name,
                   const BugSink& bugs) {
  std::string_view state = field(result, PG_DIAG_SQLSTATE);
  std::string_view group = state.substr(0, 2);
  if (write != nullptr && (state == kUnexpected || group == "23")) return {write->error};
  if (state == "40001" || state == "40P01" || state == "55P03")
    return {Error(Code::unavailable, "others changed the same rows; repeat with the same key"),
            true};
  if (state == "0A000" || state == "26000")  // a plan or statement from before a migration
    return {Error(Code::unavailable, "the schema changed; repeat with the same key"), true, true};
  if (state == "22021" || state == "22P05")
    return {Error(Code::invalid, "text must be UTF-8 without zero bytes")};
  if (group == "54") return {Error(Code::too_large, "a value is too large for the database")};
  if (state == "57014") return unavailable("a statement took longer than the database allows");
  if (state == "53100") return unavailable("the database's disk is full");
  if (group == "53") return unavailable("the database has no memory or connections left");
  if (group == "58") return unavailable("the database's disk cannot be read or written");
  if (state == "XX001" || state == "XX002")
    return {Error(Code::corrupt, "the database is damaged; restore it from a backup")};
  if (state == "25006" && write != nullptr)
    return {Error(Code::unavailable, "the database is read-only"), true, true};
  if (state == "25006") {
    bugs(name, "a read tried to write");
    return {Error(Code::internal, "a statement does not fit the database's schema")};
  }
  if (group == "57") return {lost_connection(), true, true};
  // Said by whoever stands between (a pooler, libpq), who knows nothing of what the server did.
  if (group == "08" || state.empty()) return {lost_connection(), false, true};
  return bug(result, state, name, bugs);
}

}  // namespace holdfast::db::postgres
