// All rooms of a server on a real database and a real journal, for tests of what only happens
// between them: who opens what under which rights.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "app/rooms.h"
#include "journal/state_check.h"
#include "support/database.h"
#include "support/fake_clock.h"
#include "support/raw_sql.h"
#include "support/temp_dir.h"

namespace holdfast::app {

template <class T>
T must(Result<T> result) {
  if (!result)
    throw std::runtime_error(std::string(code_name(result.error().code)) + ": " +
                             std::string(result.error().text) + " at " +
                             result.error().field.text());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

template <class T>
std::optional<Code> code_of(const Result<T>& result) {
  return result ? std::nullopt : std::optional(result.error().code);
}
template <class T>
std::string place_of(const Result<T>& result) {
  return result ? std::string() : result.error().field.text();
}

struct SilentNotices final : access::Notices {
  void tampered(std::string_view, std::string_view, std::string_view) override {}
  void policy_seen(std::int64_t) override {}
};

struct SeenAlarms final : vault::Alarms {
  std::vector<std::string> seen;
  void canary_opened(std::string_view principal, std::string_view operation,
                     const EventId&) override {
    seen.push_back(std::string(principal) + ' ' + std::string(operation));
  }
};

/// A program around the rooms that is never asked to lock.
struct NoHost final : vault::UnlockHost {
  void forget_keys() override {}
  void locked(bool) override {}
  void abandon() override { std::terminate(); }
  std::optional<vault::CertificateDates> certificate() override { return std::nullopt; }
  Task<std::int64_t> api_keys_ending(Millis) override { co_return 0; }
};

class RoomsBench {
 public:
  explicit RoomsBench(db::Database::Kind kind = db::Database::Kind::sqlite,
                      access::Ceiling ceiling = {})
      : kind_(kind), ceiling_(ceiling) {
    open();
    auto key = must(run(rooms_->admin.bootstrap_owner_key("access.bootstrap")));
    owner_ = sign_in(key);
    vault::CollectionSpec spec{.collection = "customers", .doc = {}, .fields = {}, .if_match = {}};
    spec.fields.push_back(
        {.name = "email", .type = vault::FieldType::email, .index = vault::IndexKind::exact});
    spec.fields.push_back({.name = "phone", .type = vault::FieldType::phone});
    spec.fields.push_back({.name = "iban",
                           .type = vault::FieldType::iban,
                           .field_class = vault::FieldClass::payment});
    must(run(rooms_->declarations.put(owner(), std::move(spec))));
  }
  ~RoomsBench() { close(); }
  RoomsBench(const RoomsBench&) = delete;
  RoomsBench& operator=(const RoomsBench&) = delete;

  template <class T>
  T run(Task<T> task) {
    return context_.run(std::move(task));
  }
  template <class T>
  std::vector<T> run_all(std::vector<Task<T>> tasks) {
    return context_.run_all(std::move(tasks));
  }

  void open() {
    database_ = kind_ == db::Database::Kind::sqlite
                    ? must(db::open_sqlite({.dir = data_.path()}, clock_))
                    : must(db::open_postgres(
                          {.url = test::shared_postgres()->url(), .schema = schema_}, clock_));
    log_ =
        must(run(journal::Log::open({*database_, keys_, clock_},
                                    {.witness = dir_ / "witness", .afterlog = dir_ / "afterlog"})));
    index_ = must(run(journal::AccessIndex::open(*log_, clock_)));
    time_ = std::make_unique<journal::JournalTime>(
        journal::JournalTime::Deps{*log_, keys_, clock_, {}}, journal::JournalTime::Options{});
    rooms_ = another();
    must(run(rooms_->access.prepare()));
    must(run(access::prepare_observed(log_->scratch())));
  }
  void close() {
    if (log_) must(run(log_->settle()));
    rooms_.reset();
    time_.reset();
    index_.reset();
    log_.reset();
    if (database_) database_->close();
    database_.reset();
  }
  void reopen() {
    close();
    open();
  }
  /// The rooms of another process on the same store: caches of its own.
  std::unique_ptr<Rooms> another() {
    return std::make_unique<Rooms>(Rooms::Deps{.log = *log_,
                                               .index = *index_,
                                               .keys = keys_,
                                               .clock = clock_,
                                               .notices = notices_,
                                               .pool = pool_,
                                               .time = *time_,
                                               .save_keyring = {},
                                               .forget_backups = {},
                                               .count_backups = {},
                                               .rotation = {},
                                               .alarms = alarms_,
                                               .ceiling = ceiling_,
                                               .zone = {},
                                               .unlock_host = host_,
                                               .unlock_places = {}});
  }

  Caller sign_in(const Secret& key, std::string address = "192.0.2.1") {
    return must(run(
        rooms_->access.authenticate({.authorization = "Bearer " + std::string(key.expose_text()),
                                     .address = std::move(address),
                                     .user_agent = "test",
                                     .request_id = "req_1",
                                     .deadline = MonoTime::max()})));
  }
  /// Under the newest policy.
  Caller fresh(const Caller& caller) { return must(run(rooms_->access.renewed(caller))); }
  Caller owner() { return fresh(owner_); }

  access::Role put_role(std::string name, std::vector<access::Grant> grants,
                        std::string if_match = {}) {
    return must(run(rooms_->admin.put_role(
        owner_, {.role = std::move(name),
                 .doc = {},
                 .permissions = {"records.*", "tokens.*", "engagements.*", "access.explain"},
                 .grants = std::move(grants),
                 .if_match = std::move(if_match)})));
  }
  access::NewKey make_key(std::string role, std::vector<std::string> acts_for = {"staff"}) {
    access::CreateKey spec{.name = "test"};
    spec.roles = {std::move(role)};
    spec.acts_for = std::move(acts_for);
    return must(run(rooms_->admin.create_key(owner_, std::move(spec))));
  }
  Caller caller(std::string role) { return sign_in(make_key(std::move(role)).api_key); }

  /// More of `classes` for support, and what else the test says.
  static access::Grant grant() {
    return {.collection = "*",
            .classes = {access::FieldClass::personal},
            .view = access::View::clear,
            .purposes = {"support"}};
  }

  vault::CreatedRecord create(const std::string& external, const std::string& email) {
    vault::CreateRecords request{.collection = "customers",
                                 .subject = "ext:" + external,
                                 .slot = {},
                                 .values = {},
                                 .records = {},
                                 .idempotency_key = {}};
    request.values.entries.push_back({{"email", Secret::copy(email), false}, false});
    request.values.entries.push_back({{"phone", Secret::copy("+49 30 23125001"), false}, false});
    request.values.entries.push_back(
        {{"iban", Secret::copy("DE89370400440532013000"), false}, false});
    return must(run(rooms_->records.create(owner(), std::move(request)))).records.front();
  }
  /// So many customers, one record each.
  std::vector<vault::CreatedRecord> customers(int count) {
    std::vector<vault::CreatedRecord> out;
    for (int i = 0; i < count; ++i)
      out.push_back(
          create(std::to_string(4'000 + made_), "c" + std::to_string(made_) + "@example.org")),
          ++made_;
    return out;
  }

  Task<Result<vault::RevealedRecord>> reveal_task(const Caller& caller, RecordId record,
                                                  std::optional<std::string> person = {},
                                                  std::optional<std::string> engagement = {},
                                                  std::string field = "email") {
    return rooms_->opening.reveal(caller, {.record = record,
                                           .fields = {std::move(field)},
                                           .purpose = "support",
                                           .on_behalf_of = std::move(person),
                                           .engagement = std::move(engagement)});
  }
  Result<vault::RevealedRecord> reveal(const Caller& caller, RecordId record,
                                       std::optional<std::string> person = {},
                                       std::optional<std::string> engagement = {},
                                       std::string field = "email") {
    return run(reveal_task(fresh(caller), record, std::move(person), std::move(engagement),
                           std::move(field)));
  }
  /// "clear", "masked", or the code of the refusal with its place.
  std::string seen(const Caller& caller, RecordId record, std::optional<std::string> person = {},
                   std::optional<std::string> engagement = {}, std::string field = "email") {
    auto shown = reveal(caller, record, std::move(person), std::move(engagement), std::move(field));
    if (shown) return shown->masked.empty() ? "clear" : "masked";
    auto out = std::string(code_name(shown.error().code));
    if (!shown.error().field.empty()) out += ' ' + shown.error().field.text();
    return out;
  }

  /// The newest entry of the journal, as it is stored.
  std::string last_entry() {
    must(run(log_->sequence()));
    return must(run(log_->read(log_->size() - 1, 1))).front().entry;
  }
  int entries_with(std::string_view part) {
    must(run(log_->sequence()));
    int out = 0;
    for (std::int64_t at = 0; at < log_->size();) {
      auto read = must(run(log_->read(at, 200)));
      for (const auto& one : read) out += one.entry.contains(part);
      at = read.back().seq + 1;
    }
    return out;
  }
  journal::StateReport state() { return must(run(journal::check_state(*log_, rooms_->state()))); }
  test::RawSql raw() {
    return kind_ == db::Database::Kind::sqlite
               ? test::RawSql::sqlite(data_.path() / "holdfast.db")
               : test::RawSql::postgres(test::shared_postgres()->url(), schema_);
  }

  Rooms& rooms() { return *rooms_; }
  test::FakeClock& clock() { return clock_; }
  SeenAlarms& alarms() { return alarms_; }
  journal::Log& log() { return *log_; }

 private:
  db::Database::Kind kind_;
  access::Ceiling ceiling_;
  int made_ = 0;
  test::TempDir dir_, data_;
  std::string schema_ = test::fresh_schema();
  test::FakeClock clock_;
  crypto::HeldKeys keys_{std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock_.now()))};
  SilentNotices notices_;
  SeenAlarms alarms_;
  NoHost host_;
  Pool pool_{2, 16};
  test::RunContext context_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<journal::Log> log_;
  std::unique_ptr<journal::AccessIndex> index_;
  std::unique_ptr<journal::JournalTime> time_;
  std::unique_ptr<Rooms> rooms_;
  Caller owner_;
};

/// A test on SQLite and, where this machine has it, on PostgreSQL.
class AllRooms : public testing::TestWithParam<db::Database::Kind> {
 protected:
  RoomsBench bench_{GetParam()};
};

}  // namespace holdfast::app
