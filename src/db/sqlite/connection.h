// One SQLite connection with its prepared statements. Used by one thread at a time.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "db/changes.h"
#include "db/database.h"
#include "db/rows.h"

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::db::sqlite {

/// Why a statement did not run, as far as anybody acts on it.
enum class Fault {
  constraint,  // unique, foreign key, check, not null
  refused,     // the arguments break a rule; see Connection::refusal()
  deadline,
  full,
  io,
  read_only,
  busy,
  corrupt,
  bug,  // the statement does not fit the schema
};
/// For all but `constraint` and `refused`, which have an Error of their own.
Error error_of(Fault fault);

struct Ran {
  Rows rows;
  std::int64_t changed = 0;  // by an insert, update or delete
  bool writes = false;       // is one of these
};

class Connection {
 public:
  struct Options {
    std::filesystem::path file;
    bool writes = false;
    bool durable = true;  // synchronous=FULL, else OFF
    std::size_t cache_bytes = 16u << 20;
  };

  /// The file must exist. `clock` and `bugs` must outlive the connection.
  static Result<std::unique_ptr<Connection>> open(const Options& options, const Clock& clock,
                                                  const BugSink& bugs);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Runs a statement to its end. `rows` are what a select or `returning` yielded.
  std::expected<Ran, Fault> run(const Sql& sql, const Args& args,
                                MonoTime deadline = MonoTime::max());
  /// A select without arguments, not kept, whose result may be large: `take` gets it in batches of
  /// at most `batch` rows, and ends it with false.
  using Take = std::function<bool(const Rows& rows)>;
  std::expected<void, Fault> stream(const std::string& text, std::size_t batch, const Take& take);
  /// A migration's text, as it is written.
  std::expected<void, Fault> script(std::string_view text);
  /// Statements of our own, without arguments: begin, commit, pragmas.
  std::expected<void, Fault> exec(const char* text);
  /// Why run() answered `refused`.
  const Error& refusal() const { return refusal_; }

  /// False inside a transaction; some faults end it.
  bool autocommit() const;
  /// Pages in the write-ahead log after this connection's last commit.
  int wal_pages() const { return wal_pages_; }

  enum class Checkpoint { passive, restart, truncate };
  /// Moves what the log holds into the database file; all but passive wait at most `patience` for
  /// readers. True when nothing is left in the log.
  bool checkpoint(Checkpoint kind, Millis patience);

  /// For what has no method here, and what its result code means.
  sqlite3* handle() { return db_; }
  Fault fault(int code, std::string_view name);

 private:
  struct Prepared {
    std::string_view text;
    sqlite3_stmt* statement = nullptr;
    std::size_t parameters = 0;
  };

  Connection(sqlite3* db, const Clock& clock, const BugSink& bugs)
      : db_(db), clock_(clock), bugs_(bugs) {}
  bool configure(const Options& options);
  std::expected<Prepared*, Fault> prepared(const Sql& sql);
  std::expected<Ran, Fault> step(sqlite3_stmt* statement, std::string_view name, const Args& args);
  bool add_row(Rows& rows, sqlite3_stmt* statement, std::string_view name);
  Fault refuse(Error error);

  sqlite3* db_;
  const Clock& clock_;
  const BugSink& bugs_;
  std::unordered_map<const Sql*, Prepared> statements_;
  MonoTime deadline_ = MonoTime::max();
  Error refusal_{Code::internal, "nothing was refused"};
  int wal_pages_ = 0;
};

}  // namespace holdfast::db::sqlite
