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

/// A server's hold on its schema: every session that writes has a share of one advisory lock, and
/// nobody takes the schema who does not get all of that lock. Whoever gets it puts a token of his
/// own into the table holdfast_server, so that a server which had lost all of its sessions (a
/// restart of PostgreSQL) and comes back later sees that the schema is not its own any more.
struct Hold {
  Session session;  // a first share
  /// What a further session runs before it writes. Each yields true, or the schema is another's.
  std::vector<std::string> entry;
};

/// A server that ended a moment ago is waited for (5 s). Its synchronous_commit: as prepare() says.
/// Errors: conflict (another server runs on it), unavailable.
Result<Hold> occupy(const PostgresOptions& options, const std::string& synchronous_commit);

}  // namespace holdfast::db::postgres
