// What PostgreSQL's error codes mean to those who wait.
// Source: PostgreSQL documentation, appendix A.
#pragma once

#include <libpq-fe.h>

#include <string_view>

#include "db/changes.h"
#include "db/database.h"

namespace holdfast::db::postgres {

struct Failure {
  Error error;
  bool again = false;  // nothing happened, and it may well work when it is repeated now
  bool leave = false;  // the connection is of no use any more
};

Error lost_connection();
Error no_connection();
Error deadline_passed();
Error another_server();

/// `write` is the statement that failed, or nullptr for a read. A statement that does not fit the
/// schema is told to `bugs` under `name`.
Failure failure_of(const PGresult* result, const Write* write, std::string_view name,
                   const BugSink& bugs);

}  // namespace holdfast::db::postgres
