// The vault on a real database and a real journal, for tests: opened, closed, opened again, and
// tampered with as somebody would who has the disk.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
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
#include "vault/admission.h"
#include "vault/canaries/rotation.h"
#include "vault/canaries/service.h"
#include "vault/cards.h"
#include "vault/declarations.h"
#include "vault/engagements/rotation.h"
#include "vault/engagements/service.h"
#include "vault/fill/service.h"
#include "vault/import/service.h"
#include "vault/keys/rotation.h"
#include "vault/keys/rotation_journal.h"
#include "vault/keys/rotation_rights.h"
#include "vault/keys/rotation_rows.h"
#include "vault/proofs.h"
#include "vault/records/opening.h"
#include "vault/records/service.h"
#include "vault/reports/service.h"
#include "vault/requests/service.h"
#include "vault/retention/engagements.h"
#include "vault/retention/rotation.h"
#include "vault/retention/service.h"
#include "vault/search/indexes.h"
#include "vault/search/rebuild.h"
#include "vault/search/rotation.h"
#include "vault/search/service.h"
#include "vault/state.h"
#include "vault/subjects/service.h"
#include "vault/tokens/rows.h"
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
  std::optional<db::Load> told;               // how busy it says that it is

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
  db::Load load() const override { return told.value_or(real_.load()); }
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
  std::map<std::string, std::string> rotated_from;
  Task<Result<bool>> same_account(std::string one, std::string other, MonoTime) const override {
    auto first = [this](const std::string& key) {
      auto found = rotated_from.find(key);
      return found == rotated_from.end() ? key : found->second;
    };
    co_return first(one) == first(other);
  }
  /// Under no policy in particular, so that nothing is stale again.
  Task<Result<Caller>> renewed(Caller caller) const override {
    caller.generation = 0;
    co_return caller;
  }
  std::set<std::string> ended;  // principals whose keys live no more, under the same policy
  Task<Result<void>> still(Caller caller, std::string_view) const override {
    if (ended.contains(caller.principal)) co_return Error(Code::unauthenticated, "no valid key");
    co_return Result<void>();
  }
};

/// Keeps nobody back, or everybody: what was charged is for a test to look at.
class FakeBudgets final : public Budgets {
 public:
  bool counting = false, full = false;
  std::optional<std::int64_t> left;
  std::vector<std::vector<SubjectId>> charged;

  bool counts(std::span<const std::uint32_t>) const override { return counting; }
  Task<Result<std::optional<std::int64_t>>> room(Caller, std::vector<std::uint32_t>) override {
    co_return left;
  }
  Task<Result<Charge>> charge(Caller, std::vector<SubjectId> subjects,
                              std::vector<SubjectId> beyond, std::vector<std::uint32_t>) override {
    static constexpr db::Sql kNever{"test.never", "select 1 where 1 = 0"};
    std::ranges::copy(beyond, std::back_inserter(subjects));
    std::ranges::sort(subjects);
    charged.push_back(std::move(subjects));
    Charge out;
    if (full)
      out.changes.guard(kNever, {},
                        Error(Code::exhausted, "spent").at(FieldPath("budget") / "key"));
    co_return out;
  }
  std::vector<std::uint32_t> opener_terms(const Caller&) const override { return {}; }
  Task<Spent> spent(Caller, std::size_t, std::vector<std::uint32_t>, Error error,
                    journal::Event event) override {
    co_return Spent{std::move(error), std::move(event)};
  }
  Task<void> settle(Caller, std::vector<std::uint32_t>, std::vector<Watched>,
                    std::vector<std::int64_t>) override {
    co_return;
  }
};

struct FakeAlarms final : Alarms {
  std::vector<std::string> seen;
  void canary_opened(std::string_view principal, std::string_view operation,
                     const EventId& event) override {
    seen.push_back(std::string(principal) + ' ' + std::string(operation) + ' ' + event.text());
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

/// A legal hold on everybody, when a test says so.
class FakeHolds final : public Holds {
 public:
  bool on = false;
  Task<Result<bool>> held(SubjectId, MonoTime) override { co_return on; }
  void guard(db::Changes&, SubjectId) const override {}
};

/// Ends of keys, as a test says.
class FakeEpochs final : public Epochs {
 public:
  KeyEnd epoch, index;
  Task<Result<KeyEnd>> epoch_end(Time, MonoTime) override { co_return epoch; }
  Task<Result<KeyEnd>> index_end(Time, MonoTime) override { co_return index; }
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
  /// Side by side; their values in order.
  template <class T>
  std::vector<T> run_all(std::vector<Task<T>> tasks) {
    return context_.run_all(std::move(tasks));
  }
  template <class T>
  T operator()(Task<Result<T>> task) {
    return must(run(std::move(task)));
  }

  void open(bool accept_rollback = false) { must(try_open(accept_rollback)); }
  Result<void> try_open(bool accept_rollback = false) {
    // As a process finds it that starts: what was last saved, and nothing of a plan.
    if (keyring_file_) keys_.set(std::make_shared<crypto::KeySet>(keyring_file_->copy()));
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
    return run(rooms_->rotations.prepare());
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
  journal::StateReport state() {
    return (*this)(journal::check_state(*log_, {&rooms_->state, &rooms_->hold_state}));
  }

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
  FakeBudgets& budgets() { return budgets_; }
  FakeAlarms& alarms() { return alarms_; }
  Store& store() { return rooms_->store; }
  Declarations& declarations() { return rooms_->declarations; }
  Cards& cards() { return rooms_->cards; }
  Records& records() { return rooms_->records; }
  Opening& opening() { return rooms_->opening; }
  Rebuild& rebuild() { return rooms_->rebuild; }
  Indexes& indexes() { return rooms_->indexes; }
  Tokens& tokens() { return rooms_->tokens; }
  Fills& fills() { return rooms_->fills; }
  Subjects& subjects() { return rooms_->subjects; }
  Requests& requests() { return rooms_->requests; }
  Imports& imports() { return rooms_->imports; }
  journal::JournalTime& time() { return rooms_->time; }
  LegalHolds& holds() { return rooms_->holds; }
  Sweep& sweep() { return rooms_->sweep; }
  Retention& retention() { return rooms_->retention; }
  Reports& reports() { return rooms_->reports; }
  /// One whole pass of the sweep.
  Result<Swept> swept() {
    std::atomic<bool> stop = false;
    return run(sweep().pass(stop));
  }
  /// The next open() is on another boot of the machine.
  void reboot() { ++boots_; }
  Rotations& rotations() { return rooms_->rotations; }
  /// What rotations are told of time, and how the keyring's file takes a new generation.
  std::optional<Time> journal_time;  // unset: the clock
  Result<void> keyring_disk;
  std::vector<std::uint64_t> generations;  // saved
  bool backups_stay = false;               // keys files of backups cannot be removed
  std::optional<Time> keys_file_made;      // a backup of the keys that is there
  std::optional<Time> forgotten_before;    // the last time that some were
  RotationSettings rotation_settings{.epoch = {}, .batch = 3};
  Context& context() { return rooms_->context; }
  Engagements& engagements() { return rooms_->engagements; }
  Canaries& canaries() { return rooms_->canaries; }
  FakeHolds& fake_holds() { return holds_; }
  FakeEpochs& epochs() { return epochs_; }

 private:
  struct Rooms {
    explicit Rooms(VaultBench& bench)
        : journal(*bench.log_),
          index(bench(journal::AccessIndex::open(*bench.log_, bench.clock_))),
          accesses(*index),
          proofs(*bench.log_, *index),
          store(bench.log_->reader()),
          schemas(journal, bench.keys_),
          context{journal, store, schemas, bench.keys_, bench.permits_, bench.clock_},
          time({*bench.log_, bench.keys_, bench.clock_},
               {bench.log_->continued(), "boot-" + std::to_string(bench.boots_)}),
          holds(context),
          canaries_known(bench.log_->reader(), bench.keys_),
          admission({context, bench.budgets_, canaries_known, bench.alarms_}),
          declarations(context),
          cards(context),
          records(context, holds),
          opening(context, admission),
          search(context, opening, admission, pool),
          indexes(context),
          rebuild(context, pool),
          tokens(context, opening, holds),
          fills(context, opening, tokens),
          engagements(context, admission),
          subjects(context, {accesses,
                             proofs,
                             bench.holds_,
                             bench.epochs_,
                             closings,
                             admission,
                             {&tokens, &engagements}}),
          requests(context, admission, proofs, holds),
          imports(context, declarations, pool),
          canaries(context),
          state(context),
          old_answers(journal),
          old_sides(journal),
          closings(context),
          past_engagements(context, holds),
          sweep({context,
                 time,
                 holds,
                 closings,
                 {&old_answers, &old_sides, &past_engagements, &requests, &holds}}),
          retention({context, *bench.log_, time, holds, closings, sweep}),
          reports({context, *bench.log_, {.name = "Shop <GmbH>", .recipients = {"carriers"}}}),
          hold_state(holds),
          wrapped_keys(context),
          renewed_keys(context),
          sealed_values(context),
          index_terms(context, rebuild),
          external_terms(context),
          declared_rows(context),
          engagement_rows(context),
          engagement_kind_rows(context),
          canary_rows(context),
          subject_macs(context),
          token_rows(context),
          hold_rows(context),
          time_row(time),
          side_rows(*bench.log_),
          log_keys(*bench.log_),
          restated_rows(*bench.log_, {&state, &hold_state}),
          rotations(
              {context,
               bench.keys_,
               [&bench](const crypto::Keyring& ring) -> Result<crypto::Keyring> {
                 if (!bench.keyring_disk) return bench.keyring_disk.error();
                 bench.generations.push_back(ring.generation());
                 bench.keyring_file_.emplace(ring.copy());
                 return ring.copy();
               },
               [&bench] { return Result<Time>(bench.journal_time.value_or(bench.clock_.now())); },
               [&bench](Time before) -> Result<std::int64_t> {
                 if (bench.backups_stay)
                   return Error(Code::unavailable, "a keys file cannot be removed");
                 bench.forgotten_before = before;
                 return 1;
               },
               [&bench](Time before) -> Result<std::int64_t> {
                 return bench.keys_file_made && *bench.keys_file_made < before ? 1 : 0;
               },
               {&renewed_keys, &sealed_values, &wrapped_keys, &index_terms, &external_terms,
                &declared_rows, &subject_macs, &engagement_rows, &engagement_kind_rows,
                &canary_rows, &token_rows, &hold_rows, &time_row, &side_rows, &log_keys,
                &restated_rows},
               bench.rotation_settings}) {
      must(bench.run(time.open()));
    }

    SwitchedJournal journal;
    std::unique_ptr<journal::AccessIndex> index;
    IndexAccesses accesses;
    LogProofs proofs;
    Store store;
    SchemaCache schemas;
    Context context;
    journal::JournalTime time;
    LegalHolds holds;
    CanaryCache canaries_known;
    Admission admission;
    Declarations declarations;
    Cards cards;
    Records records;
    Opening opening;
    Pool pool{2, 16};
    Search search;
    Indexes indexes;
    Rebuild rebuild;
    Tokens tokens;
    Fills fills;
    Engagements engagements;
    Subjects subjects;
    Requests requests;
    Imports imports;
    Canaries canaries;
    VaultState state;
    OldAnswers old_answers;
    OldSides old_sides;
    ClosedEngagements closings;
    PastEngagements past_engagements;
    Sweep sweep;
    Retention retention;
    Reports reports;
    HoldState hold_state;
    WrappedKeys wrapped_keys;
    RenewedKeys renewed_keys;
    SealedValues sealed_values;
    IndexTerms index_terms;
    ExternalTerms external_terms;
    DeclaredRows declared_rows;
    EngagementRows engagement_rows;
    EngagementKindRows engagement_kind_rows;
    CanaryRows canary_rows;
    SubjectMacs subject_macs;
    TokenRows token_rows;
    HoldRows hold_rows;
    TimeRow time_row;
    SideRows side_rows;
    LogKeys log_keys;
    RestatedRows restated_rows;
    Rotations rotations;
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
  std::optional<crypto::Keyring> keyring_file_;
  FakePermits permits_;
  int boots_ = 1;
  FakeBudgets budgets_;
  FakeAlarms alarms_;
  FakeHolds holds_;
  FakeEpochs epochs_;
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
