#include <atomic>
#include <cassert>
#include <utility>

#include "db/answer.h"
#include "db/applied.h"
#include "db/database.h"
#include "db/dir_lock.h"
#include "db/sqlite/committer.h"
#include "db/sqlite/data_file.h"
#include "db/sqlite/files.h"
#include "db/sqlite/overseer.h"
#include "db/sqlite/reader_pool.h"

namespace holdfast::db {
namespace sqlite {
namespace {

/// By reference, since both live as long as the database.
Task<Result<Committed>> commit_on(Committer& committer, Changes changes, MonoTime deadline) {
  auto start = [&committer, changes = std::move(changes),
                deadline](Waiter<Committed> waiter) mutable {
    committer.submit(std::move(changes), deadline, std::move(waiter));
  };
  return wait_for<Committed>(std::move(start));
}

class SqliteReader final : public Reader {
 public:
  explicit SqliteReader(ReaderPool& pool) : pool_(pool) {}
  Task<Result<Rows>> read(const Sql& sql, Args args, MonoTime deadline) override {
    co_return pool_.read(sql, args, deadline);
  }

 private:
  ReaderPool& pool_;
};

class SqliteWriter final : public Writer {
 public:
  explicit SqliteWriter(Committer& committer) : committer_(committer) {}
  Task<Result<Committed>> commit(Changes changes, MonoTime deadline) override {
    return commit_on(committer_, std::move(changes), deadline);
  }
  Load load() const override { return committer_.load(); }

 private:
  Committer& committer_;
};

class SqliteScratch final : public Scratch {
 public:
  SqliteScratch(ReaderPool& pool, Committer& committer) : pool_(pool), committer_(committer) {}
  Task<Result<Rows>> read(const Sql& sql, Args args, MonoTime deadline) override {
    co_return pool_.read(sql, args, deadline);
  }
  Task<Result<Committed>> commit(Changes changes, MonoTime deadline) override {
    return commit_on(committer_, std::move(changes), deadline);
  }

 private:
  ReaderPool& pool_;
  Committer& committer_;
};

/// What one file needs.
struct Store {
  std::unique_ptr<Connection> writer;
  std::unique_ptr<ReaderPool> readers;
};

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(SqliteOptions options, const Clock& clock, DirLock lock)
      : options_(std::move(options)), clock_(clock), lock_(std::move(lock)) {}
  ~SqliteDatabase() override { close(); }

  Result<void> open();

  Kind kind() const override { return Kind::sqlite; }
  Reader& reader() override { return *reader_; }
  Scratch& scratch() override { return *scratch_; }
  std::unique_ptr<Writer> take_writer() override {
    assert(!writer_taken_);
    writer_taken_ = true;
    return std::make_unique<SqliteWriter>(*committer_);
  }
  Health health() const override {
    auto out = committer_->health();
    out.low_on_space = committer_->low_on_space();
    return out;
  }
  bool give_reserve() override { return committer_->give_reserve(); }
  Task<Result<std::optional<Time>>> time(MonoTime) override { co_return std::optional<Time>(); }
  Result<void> copy_to(const std::filesystem::path& file) override;
  Result<void> load_from(const std::filesystem::path& file) override;
  void close() override {
    if (committer_) committer_->close();
    if (scratch_committer_) scratch_committer_->close();
  }

 private:
  Result<Store> open_file(const char* name, bool durable);
  Result<Store> open_scratch();

  SqliteOptions options_;
  const Clock& clock_;
  DirLock lock_;
  std::unique_ptr<ReaderPool> pool_, scratch_pool_;
  std::unique_ptr<Committer> committer_, scratch_committer_;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<Scratch> scratch_;
  bool writer_taken_ = false;
  std::unique_ptr<Overseer> overseer_;  // last: it looks at the committers
};

Result<void> SqliteDatabase::open() {
  auto main = open_file("holdfast.db", true);
  if (!main) return std::move(main).error();
  if (auto prepared = prepare_schema(*main->writer, options_.known); !prepared) return prepared;
  auto scratch = open_scratch();
  if (!scratch) return std::move(scratch).error();

  auto watched = [this] { overseer_->watch(); };
  pool_ = std::move(main->readers);
  scratch_pool_ = std::move(scratch->readers);
  committer_ = std::make_unique<Committer>(
      std::move(main->writer), clock_, watched,
      std::make_unique<Reserve>(options_.dir / "reserve", options_.reserve_bytes));
  scratch_committer_ =
      std::make_unique<Committer>(std::move(scratch->writer), clock_, watched, nullptr);
  reader_ = std::make_unique<SqliteReader>(*pool_);
  scratch_ = std::make_unique<SqliteScratch>(*scratch_pool_, *scratch_committer_);
  overseer_ = std::make_unique<Overseer>([this] {
    bool facts = committer_->answer_late();
    bool scratch_waits = scratch_committer_->answer_late();
    return facts || scratch_waits;
  });
  return {};
}

Result<Store> SqliteDatabase::open_file(const char* name, bool durable) {
  Connection::Options options{
      .file = options_.dir / name,
      .writes = true,
      .durable = durable,
      .cache_bytes = durable ? options_.cache_bytes : options_.cache_bytes / 8};
  if (auto prepared = prepare_file(options.file); !prepared) return std::move(prepared).error();
  auto writer = Connection::open(options, clock_, options_.bugs);
  if (!writer) return std::move(writer).error();
  options.writes = false;
  options.cache_bytes /= 4;  // a reader holds no dirty pages
  auto readers = ReaderPool::open(options, options_.readers, clock_, options_.bugs);
  if (!readers) return std::move(readers).error();
  return Store{std::move(*writer), std::move(*readers)};
}

/// A damaged scratch.db holds no fact: it is made anew.
Result<Store> SqliteDatabase::open_scratch() {
  auto opened = open_file("scratch.db", false);
  if (opened || opened.error().code != Code::corrupt) return opened;
  for (const char* name : {"scratch.db", "scratch.db-wal", "scratch.db-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(options_.dir / name, ignored);
  }
  return open_file("scratch.db", false);
}

Result<void> SqliteDatabase::copy_to(const std::filesystem::path& file) {
  if (auto made = make_new_file(file); !made) return made;
  auto copied = pool_->with([&](Connection& from) -> Result<void> {
    auto to =
        Connection::open({.file = file, .writes = true, .durable = false}, clock_, options_.bugs);
    if (!to) return std::move(to).error();
    if (auto done = copy_pages(from, **to); !done) return done;
    return finish_data_file(**to);
  });
  if (copied) copied = sync_file(file);
  if (copied) return copied;
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  return copied;
}

Result<void> SqliteDatabase::load_from(const std::filesystem::path& file) {
  auto from = open_data_file(file, options_.known, clock_, options_.bugs);
  if (!from) return std::move(from).error();
  return committer_->run_alone([&](Connection& to) -> Result<void> {
    auto applied = to.run(kAppliedMigrations, {});
    if (!applied) return error_of(applied.error());
    if (!applied->rows.empty())
      return Error(Code::conflict, "the database is not empty; load into a new one");
    return copy_pages(**from, to);
  });
}

}  // namespace
}  // namespace sqlite

Result<void> replace_sqlite(const SqliteOptions& options, const std::filesystem::path& file,
                            const std::string& aside, const Clock& clock) {
  namespace fs = std::filesystem;
  auto lock = DirLock::take(options.dir);
  if (!lock) return std::move(lock).error();
  if (auto checked = sqlite::open_data_file(file, options.known, clock, options.bugs); !checked)
    return std::move(checked).error();
  if (auto synced = sqlite::sync_file(file); !synced) return synced;
  Error stuck(Code::unavailable, "the database that is there cannot be moved aside");
  std::error_code failed;
  // The log before the file that it belongs to: a file without its log would be an older one.
  for (const char* name : {"holdfast.db-shm", "holdfast.db-wal", "holdfast.db"}) {
    if (!fs::exists(options.dir / name)) continue;
    if (auto made = sqlite::prepare_dir(options.dir / aside); !made) return made;
    fs::rename(options.dir / name, options.dir / aside / name, failed);
    if (failed) return stuck;
  }
  for (const char* name : {"scratch.db", "scratch.db-wal", "scratch.db-shm"})
    fs::remove(options.dir / name, failed);
  auto database = options.dir / "holdfast.db";
  fs::rename(file, database, failed);
  if (failed) return stuck;
  return sqlite::sync_file(database);
}

Result<std::unique_ptr<Database>> open_sqlite(SqliteOptions options, const Clock& clock) {
  if (auto prepared = sqlite::prepare_dir(options.dir); !prepared)
    return std::move(prepared).error();
  auto lock = DirLock::take(options.dir);
  if (!lock) return std::move(lock).error();
  auto database =
      std::make_unique<sqlite::SqliteDatabase>(std::move(options), clock, std::move(*lock));
  if (auto opened = database->open(); !opened) return std::move(opened).error();
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace holdfast::db
