// The two databases behind one door. SQLite is embedded; PostgreSQL is the one to grow on.
// Who may write is fixed by types: a Reader cannot (its connections are read-only in the database
// too), a Writer exists once and the journal holds it, and Scratch reaches its own tables only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "db/changes.h"
#include "db/migrations.h"
#include "db/rows.h"

namespace holdfast::db {

struct Committed {
  /// One entry per statement of the Changes: what `returning` or a guard yielded, else empty.
  /// For bulk, the rows of all its steps in order.
  std::vector<Rows> returned;
};

/// Point reads and bounded scans. On SQLite runs inline on the calling core's own connection; on
/// PostgreSQL waits on a pooled connection of that core, and reads that wait together share one.
/// Threads: call from a coroutine on any io_context thread.
/// Errors: unavailable (no connection, deadline passed, disk), corrupt (SQLite says so).
class Reader {
 public:
  virtual ~Reader() = default;
  virtual Task<Result<Rows>> read(const Sql& sql, Args args,
                                  MonoTime deadline = MonoTime::max()) = 0;
};

/// Who writes, apart from the server's own work in the background: nobody; one bulk load (an
/// import), alone; anybody else.
enum class Load : std::uint8_t { none, bulk, others };

/// Commits a Changes atomically and durably before it answers.
/// Errors: the failed statement's own Error; unavailable (disk full, connection lost, deadline
/// passed). After a deadline passed the commit may still have happened: repeat under the same
/// idempotency key.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual Task<Result<Committed>> commit(Changes changes, MonoTime deadline = MonoTime::max()) = 0;
  /// Who wrote within the last second. Bulk work that others wait for takes batches that hold the
  /// writer at most 5 ms beside `others`; work in the background does so beside anybody.
  virtual Load load() const = 0;
};

/// Operational state that decays or can be rebuilt: throttle counters, last-seen times, cursors,
/// derived indexes. A file (scratch.db) or schema of its own; losing it loses no fact. Not durable
/// on return (synchronous=OFF): a crash may lose the last seconds, never tear them.
class Scratch {
 public:
  virtual ~Scratch() = default;
  virtual Task<Result<Rows>> read(const Sql& sql, Args args,
                                  MonoTime deadline = MonoTime::max()) = 0;
  virtual Task<Result<Committed>> commit(Changes changes, MonoTime deadline = MonoTime::max()) = 0;
};

struct Health {
  bool writable = false;
  std::string_view reason;  // literal, for /readyz and logs
  /// The disk ran full and the reserve is in use: what may wait is refused (Changes::grows).
  bool low_on_space = false;
};

class Database {
 public:
  enum class Kind { sqlite, postgres };

  virtual ~Database() = default;
  virtual Kind kind() const = 0;
  virtual Reader& reader() = 0;
  virtual Scratch& scratch() = 0;
  /// The one Writer. A second call is a bug (assert).
  virtual std::unique_ptr<Writer> take_writer() = 0;
  /// Whether commits work, as far as is known; recovers by itself. Cheap; any thread.
  virtual Health health() const = 0;
  /// Frees the disk space that is kept back, for a file beside the database that met a full disk.
  /// True when there was any. Any thread.
  virtual bool give_reserve() { return false; }
  /// What time it is for the database server; nothing where it has no clock of its own (SQLite).
  /// Only to compare clocks: time comes from Clock. Errors: unavailable.
  virtual Task<Result<std::optional<Time>>> time(MonoTime deadline) = 0;
  /// A consistent copy of the facts (not of scratch) while serving, into a new file (mode 0600,
  /// durable on return): one snapshot, a SQLite file on both databases, so that it can be loaded
  /// into either. SQLite's log grows meanwhile. Blocking: call it on a pool thread.
  /// Errors: conflict (the file exists), unavailable, corrupt.
  virtual Result<void> copy_to(const std::filesystem::path& file) = 0;
  /// The other way, into a database that was opened but not migrated: brings the tables, the facts
  /// and what migrations were applied, or nothing. The file may come from anywhere: its pages,
  /// foreign keys and schema are checked first. Blocking.
  /// Errors: conflict (not empty; a newer release's file), corrupt, unavailable.
  virtual Result<void> load_from(const std::filesystem::path& file) = 0;
  /// Stops the writer after what it has accepted is durable. Blocking, idempotent. Call it, and let
  /// those who wait be resumed, before the io_contexts that they run on go away.
  virtual void close() = 0;
};

/// Told of a statement that does not fit the schema, which is a bug: the statement's name and the
/// database's own words, in which tables and columns are named, but no data. Called on any thread.
using BugSink = std::function<void(std::string_view statement, std::string_view message)>;
/// Writes a line to standard error.
void print_bug(std::string_view statement, std::string_view message);

struct SqliteOptions {
  std::filesystem::path dir;            // holds holdfast.db and scratch.db, made with mode 0600
  std::size_t readers = 2;              // one per core
  std::uint64_t reserve_bytes = 0;      // of disk space kept back, in a file `reserve`
  std::size_t cache_bytes = 64u << 20;  // page cache of the writer; a reader has a quarter of it
  std::span<const Migration> known = embedded_migrations();  // refuses a database with others
  BugSink bugs = print_bug;
};

struct PostgresOptions {
  // libpq connection string; TLS settings are part of it. A direct connection or a pooler in
  // session mode: statements are prepared, and settings belong to the session.
  std::string url;
  std::string schema = "holdfast";  // made when missing; scratch is `<schema>_scratch`
  std::size_t connections = 8;      // pool for reads per process; writes have as many again
  Millis statement_timeout{10'000};
  std::span<const Migration> known = embedded_migrations();
  BugSink bugs = print_bug;
};

/// Opens, and makes what is missing (files, schema), but does not migrate.
/// Errors name what to do next: wrong permissions, not a database, a newer release's database.
Result<std::unique_ptr<Database>> open_sqlite(SqliteOptions options, const Clock& clock);
/// Makes a data file of the same folder its database, by a rename. What was there steps aside,
/// whole, into the new folder `aside` of it; scratch goes, which is made again.
/// Cost: reads all of the file, to check it. Errors: corrupt, conflict (a server runs on the
/// folder; a newer release's file), unavailable. After an error what was there is still in its
/// place, but for an error or crash between the renames: then its log, or all of it, is in `aside`
/// (a start that finds the database without its log is refused by the witness).
Result<void> replace_sqlite(const SqliteOptions& options, const std::filesystem::path& file,
                            const std::string& aside, const Clock& clock);
Result<std::unique_ptr<Database>> open_postgres(PostgresOptions options, const Clock& clock);

}  // namespace holdfast::db
