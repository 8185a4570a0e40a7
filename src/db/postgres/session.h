// A plain blocking connection, for what happens before serving or beside it: making the schema, and
// copying everything.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <vector>

#include "db/postgres/settings.h"
#include "db/postgres/wire.h"

namespace holdfast::db::postgres {

/// Threads: one at a time. Errors: unavailable; internal for what does not fit the schema.
class Session {
 public:
  static Result<Session> open(const Settings& settings, const BugSink& bugs);

  /// One statement, with text parameters, in binary results.
  Result<Rows> query(const std::string& text, const std::vector<std::string>& parameters = {});
  /// Several statements without results, separated by `;`.
  Result<void> run(const std::string& text);
  PGconn* handle() { return pg_.get(); }
  /// What went wrong with a call on handle().
  Error error_of(const PGresult* result);

 private:
  Session(PGconn* pg, const BugSink& bugs) : pg_(pg, PQfinish), bugs_(&bugs) {}

  std::unique_ptr<PGconn, decltype(&PQfinish)> pg_;
  const BugSink* bugs_;
};

/// Makes what is missing: schemas, holdfast_unexpected(), schema_migrations. Checks the server.
/// The answer is the server's synchronous_commit.
/// Errors name what to do next: cannot be reached, too old, not UTF-8, no right to make the schema,
/// a standby, a newer release's database.
Result<std::string> prepare(const PostgresOptions& options);

/// Keeps other servers off the schema for as long as the session lives; a server that ended a
/// moment ago is waited for (5 s). After PostgreSQL itself was restarted nothing keeps them off any
/// more: then it is the journal's numbers that let only one of them write. Errors: conflict
/// (another server runs on it), unavailable.
Result<Session> occupy(const PostgresOptions& options);

}  // namespace holdfast::db::postgres
