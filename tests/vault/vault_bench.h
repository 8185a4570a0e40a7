// The vault on a real database and a real journal, for tests: opened, closed, opened again, and
// tampered with as somebody would who has the disk.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/pool.h"
#include "journal/access_index.h"
#include "journal/state_check.h"
#include "support/database.h"
#include "support/fake_clock.h"
#include "support/raw_sql.h"
#include "support/temp_dir.h"
#include "vault/declarations.h"
#include "vault/import/service.h"
#include "vault/records/opening.h"
#include "vault/records/service.h"
#include "vault/search/indexes.h"
#include "vault/search/rebuild.h"
#include "vault/search/service.h"
#include "vault/state.h"
#include "vault/subjects/service.h"
#include "vault/tokens/service.h"

namespace holdfast::vault {

template <class T>
T must(Result<T> result) {
  if (!result)
    throw std::runtime_error(std::string(code_name(result.error().code)) + ": " +
                             std::string(result.error().text) + " at " +
                             result.error().field.text());
  return std::move(*result);
}
inline void must(Result<void> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
}

/// The code of a failure; nothing when it went well.
template <class T>
std::optional<Code> code_of(const Result<T>& result) {
  return result ? std::nullopt : std::optional(result.error().code);
}

/// Passes on to the real journal, until it is told to fail.
class SwitchedJournal final : public journal::Journal {
 public:
  explicit SwitchedJournal(journal::Journal& real) : real_(real) {}

  bool fail = false;                          // nothing happens, and the caller hears so
  bool lose_replies = false;                  // it happens, and the caller hears it did not
  std::function<Task<void>()> before_commit;  // once, between a request's reads and its commit
  std::vector<journal::Event> events;         // of commits that happened

  Task<Result<journal::Written>> commit(const Caller& caller, db::Changes changes,
                                        journal::Event event) override {
    if (fail) co_return Error(Code::unavailable, "the journal is told to fail");
    Caller as = caller;
    if (auto once = std::exchange(before_commit, nullptr)) co_await once();
    auto kept = event;
    auto done = co_await real_.commit(as, std::move(changes), std::move(event));
    if (done) events.push_back(std::move(kept));
    if (done && lose_replies)
      co_return Error(Code::unavailable, "the journal is told to lose its reply");
    co_return done;
  }
  db::Reader& reader() override { return real_.reader(); }
  db::Scratch& scratch() override { return real_.scratch(); }
  bool contended() const override { return real_.contended(); }
  Task<Result<std::uint64_t>> generation(MonoTime deadline) override {
    return real_.generation(deadline);
  }
  Task<Result<void>> afterlog(std::string_view kind, Bytes id) override {
    if (fail) co_return Error(Code::unavailable, "the journal is told to fail");
    co_return co_await real_.afterlog(kind, std::move(id));
  }

 private:
  journal::Journal& real_;
};

/// `system` sees everything; anyone else what a test says.
class FakePermits final : public Permits {
 public:
  struct Rule {
    std::string principal;
    std::string field = "*";
    View view = View::clear;
    std::string purpose = "*";
    bool needs_person = false;  // without one behind the call it shows masks at most
  };
  std::vector<Rule> rules;

  View view(const Caller& caller, const FieldQuestion& question) const override {
    auto best = caller.principal == "system" ? View::clear : View::none;
    for (const auto& rule : rules) {
      if (rule.principal != caller.principal) continue;
      if (rule.field != "*" && rule.field != question.field) continue;
      bool full = (rule.purpose == "*" || rule.purpose == question.purpose) &&
                  (!rule.needs_person || !caller.on_behalf_of.empty());
      best = std::max(best, full ? rule.view : std::min(rule.view, View::masked));
    }
    return best;
  }
  Result<Caller> acting_for(Caller caller, std::string_view person) const override {
    if (caller.principal == "key_alone")
      return Error(Code::forbidden, "this key speaks for nobody");
    caller.on_behalf_of = person;
    return caller;
  }
  bool may(const Caller& caller, std::string_view) const override {
    return caller.principal == "system";
  }
  /// Under no policy in particular, so that nothing is stale again.
  Task<Result<Caller>> renewed(Caller caller) const override {
    caller.generation = 0;
    co_return caller;
  }
};

class IndexAccesses final : public Accesses {
 public:
  explicit IndexAccesses(journal::AccessIndex& index) : index_(index) {}
  Task<Result<journal::AccessPage>> accesses(SubjectId subject, std::int64_t before,
                                             std::size_t limit) override {
    return index_.accesses(subject, before, limit);
  }

 private:
  journal::AccessIndex& index_;
};

using Named = std::initializer_list<std::pair<std::string, std::optional<std::string>>>;

/// nullopt takes the field out; text that starts with `{` or `[` is JSON.
inline Values values(Named named) {
  Values out;
  for (const auto& [name, text] : named) {
    bool json = text && (text->starts_with('{') || text->starts_with('['));
    out.entries.push_back({{name, text ? Secret::copy(*text) : Secret(), json}, !text});
  }
  return out;
}
/// The value of that name, or "-".
inline std::string shown(const Values& values, std::string_view name) {
  for (const auto& entry : values.entries)
    if (entry.name == name) return std::string(entry.value.expose_text());
  return "-";
}
inline std::string refusal(const std::vector<FieldRefusal>& refused, std::string_view field) {
  for (const auto& one : refused)
    if (one.field == field) return one.reason;
  return "";
}

inline FieldSpec field(std::string name, FieldType type, IndexKind index = IndexKind::none) {
  return {.name = std::move(name), .type = type, .index = index};
}

/// Customers with one field of each kind that the rules tell apart.
inline CollectionSpec customers() {
  CollectionSpec out{.collection = "customers", .doc = {}, .fields = {}, .if_match = {}};
  out.fields = {field("email", FieldType::email, IndexKind::exact),
                field("first_name", FieldType::name),
                field("last_name", FieldType::name, IndexKind::exact),
                field("phone", FieldType::phone),
                field("birthday", FieldType::date),
                field("member", FieldType::text, IndexKind::unique),
                field("prefs", FieldType::json),
                field("note", FieldType::text),
                field("tax_id", FieldType::tax_id),
                field("letter", FieldType::text),
                field("last_ip", FieldType::ip)};
  out.fields[7].purposes = {"support"};
  out.fields[8].keep_group = "legal";
  out.fields[8].keep = Keep{"10 years", KeepFrom::created};
  out.fields[9].keep_group = "marketing";
  out.fields[10].keep = Keep{"30 days", KeepFrom::updated};
  return out;
}

class VaultBench {
 public:
  explicit VaultBench(db::Database::Kind kind = db::Database::Kind::sqlite) : kind_(kind) {
    open();
    (*this)(declarations().put({}, customers()));
  }
  ~VaultBench() { close(); }
  VaultBench(const VaultBench&) = delete;
  VaultBench& operator=(const VaultBench&) = delete;

  // ── running

  template <class T>
  T run(Task<T> task) {
    return context_.run(std::move(task));
  }
  template <class T>
  T operator()(Task<Result<T>> task) {
    return must(run(std::move(task)));
  }

  void open(bool accept_rollback = false) { must(try_open(accept_rollback)); }
  Result<void> try_open(bool accept_rollback = false) {
    database_ = open_database();
    auto log =
        run(journal::Log::open({*database_, keys_, clock_}, {.witness = dir_ / "witness",
                                                             .afterlog = dir_ / "afterlog",
                                                             .accept_rollback = accept_rollback}));
    if (!log) {
      database_->close();
      return std::move(log).error();
    }
    log_ = std::move(*log);
    rooms_ = std::make_unique<Rooms>(*this);
    return {};
  }
  void close() {
    if (log_) must(run(log_->settle()));
    rooms_.reset();
    log_.reset();
    if (database_) database_->close();
    database_.reset();
  }
  void reopen() {
    close();
    open();
  }

  /// A backup of the database, and going back to it: the witness and the afterlog stay.
  std::filesystem::path backup() {
    auto file = dir_ / ("backup-" + std::to_string(++backups_));
    must(database_->copy_to(file));
    return file;
  }
  void restore(const std::filesystem::path& file) {
    close();
    data_ = std::make_unique<test::TempDir>();
    schema_ = test::fresh_schema();
    auto fresh = open_database();
    must(fresh->load_from(file));
    fresh->close();
    fresh.reset();
    open(true);
  }

  // ── the disk

  test::RawSql raw() {
    return kind_ == db::Database::Kind::sqlite
               ? test::RawSql::sqlite(data_->path() / "holdfast.db")
               : test::RawSql::postgres(test::shared_postgres()->url(), schema_);
  }
  journal::StateReport state() { return (*this)(journal::check_state(*log_, {&rooms_->state})); }

  // ── shorthand

  CreatedRecord create(std::string subject, Named named, std::optional<std::string> slot = {}) {
    CreateRecords request{.collection = "customers",
                          .subject = std::move(subject),
                          .slot = std::move(slot),
                          .values = values(named),
                          .records = {},
                          .idempotency_key = {}};
    return (*this)(records().create({}, std::move(request))).records.front();
  }
  Result<RevealedRecord> reveal(RecordId record, std::vector<std::string> fields,
                                std::string purpose = "support", Caller caller = {},
                                std::optional<std::string> person = {}) {
    return run(opening().reveal(
        std::move(caller), {record, std::move(fields), std::move(purpose), std::move(person)}));
  }
  /// One value in the clear, or the reason why not.
  std::string opened(RecordId record, const std::string& field) {
    auto revealed = reveal(record, {field});
    if (!revealed) return std::string(code_name(revealed.error().code));
    auto reason = refusal(revealed->refused, field);
    return reason.empty() ? shown(revealed->values, field) : reason;
  }
  Result<FoundRecords> find(Named q, Caller caller = {}, std::string purpose = "support",
                            std::optional<std::string> person = {}) {
    return search(std::move(caller), {.collection = "customers",
                                      .q = values(q),
                                      .match = {},
                                      .filter = {},
                                      .sort = {},
                                      .purpose = std::move(purpose),
                                      .limit = {},
                                      .after = {},
                                      .on_behalf_of = std::move(person)});
  }
  Result<FoundRecords> search(Caller caller, SearchRecords request) {
    return run(rooms_->search.search(std::move(caller), std::move(request)));
  }
  /// All that waits to be done about indexes.
  void build_indexes() { (*this)(rebuild().finish()); }
  Result<Verified> verify(RecordId record, std::string name, std::string value,
                          Caller caller = {}) {
    return run(opening().verify(std::move(caller),
                                {record, std::move(name), Secret::copy(value), "support", {}}));
  }
  Result<ErasedSubject> erase(std::string subject, std::vector<std::string> groups = {}) {
    return run(subjects().erase({}, {std::move(subject), std::move(groups), "asked by letter"}));
  }

  db::Database::Kind kind() const { return kind_; }
  test::FakeClock& clock() { return clock_; }
  crypto::HeldKeys& keys() { return keys_; }
  journal::Log& log() { return *log_; }
  SwitchedJournal& journal() { return rooms_->journal; }
  FakePermits& permits() { return permits_; }
  Store& store() { return rooms_->store; }
  Declarations& declarations() { return rooms_->declarations; }
  Records& records() { return rooms_->records; }
  Opening& opening() { return rooms_->opening; }
  Rebuild& rebuild() { return rooms_->rebuild; }
  Indexes& indexes() { return rooms_->indexes; }
  Tokens& tokens() { return rooms_->tokens; }
  Subjects& subjects() { return rooms_->subjects; }
  Imports& imports() { return rooms_->imports; }

 private:
  struct Rooms {
    explicit Rooms(VaultBench& bench)
        : journal(*bench.log_),
          index(bench(journal::AccessIndex::open(*bench.log_, bench.clock_))),
          accesses(*index),
          store(bench.log_->reader()),
          schemas(journal, bench.keys_),
          context{journal, store, schemas, bench.keys_, bench.permits_, bench.clock_},
          declarations(context),
          records(context),
          opening(context),
          search(context, opening, pool),
          indexes(context),
          rebuild(context, pool),
          tokens(context, opening),
          subjects(context, accesses),
          imports(context, declarations, pool),
          state(context) {}

    SwitchedJournal journal;
    std::unique_ptr<journal::AccessIndex> index;
    IndexAccesses accesses;
    Store store;
    SchemaCache schemas;
    Context context;
    Declarations declarations;
    Records records;
    Opening opening;
    Pool pool{2, 16};
    Search search;
    Indexes indexes;
    Rebuild rebuild;
    Tokens tokens;
    Subjects subjects;
    Imports imports;
    VaultState state;
  };

  std::unique_ptr<db::Database> open_database() {
    if (kind_ == db::Database::Kind::sqlite)
      return must(db::open_sqlite({.dir = data_->path()}, clock_));
    return must(
        db::open_postgres({.url = test::shared_postgres()->url(), .schema = schema_}, clock_));
  }

  db::Database::Kind kind_;
  test::TempDir dir_;  // what is kept outside the database
  std::unique_ptr<test::TempDir> data_ = std::make_unique<test::TempDir>();
  std::string schema_ = test::fresh_schema();
  int backups_ = 0;
  test::FakeClock clock_;
  crypto::HeldKeys keys_{std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock_.now()))};
  FakePermits permits_;
  test::RunContext context_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<journal::Log> log_;
  std::unique_ptr<Rooms> rooms_;
};

/// A test on SQLite and, where this machine has it, on PostgreSQL.
class Vault : public testing::TestWithParam<db::Database::Kind> {
 protected:
  VaultBench bench_{GetParam()};
};

}  // namespace holdfast::vault
