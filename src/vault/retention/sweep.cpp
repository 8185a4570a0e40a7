#include "vault/retention/sweep.h"

#include <algorithm>
#include <map>
#include <set>

#include "journal/slices.h"
#include "journal/upkeep.h"
#include "vault/draft.h"
#include "vault/retention/due.h"
#include "vault/retention/engagements.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kTokensOfRecords{
    "vault.tokens_of_records",
    "select record, id, field from vault_tokens where record {{in $1}} order by record, id"};
inline constexpr db::Sql kOldAnswers{
    "vault.old_answers",
    "select principal, key_term from vault_idempotency where expires_ms <= $1 "
    "order by expires_ms limit $2"};
inline constexpr db::Sql kForgetAnswer{
    "vault.forget_answer",
    "delete from vault_idempotency where principal = $1 and key_term = $2 and expires_ms <= $3"};

constexpr Millis kBreath{1};
constexpr Millis kBreathContended{20};
constexpr int kTries = 3;

}  // namespace

/// A record with the fields of it that are due.
struct Sweep::Due {
  std::shared_ptr<const Schema> schema;  // that it was judged by, and that `fields` point into
  Record record;
  std::vector<const Field*> fields;
};

/// What one pass works under; renewed when the schema changes.
struct Sweep::Pass {
  const std::atomic<bool>& stop;
  Working work;
  Held held;
  Time now;  // journal time
  Swept swept;
};

Task<Result<Swept>> Sweep::pass(const std::atomic<bool>& stop) {
  auto now = deps_.time.now();
  auto work = now ? co_await begin(deps_.context, Caller{}) : Result<Working>(now.error());
  {
    std::scoped_lock lock(mutex_);
    status_.running = work.has_value();
    status_.started = deps_.context.clock.now();
    if (!work) status_.finished = status_.started;
    if (!work) status_.stopped = work.error();
  }
  if (!work) co_return std::move(work).error();
  Pass pass{stop, std::move(*work), {}, *now, {}};
  Result<void> outcome = co_await lift_ended(pass);
  std::vector<std::uint32_t> ids;
  for (const auto& [id, collection] : pass.work.schema->by_id)
    if (shortest_keep(*collection)) ids.push_back(id);
  for (auto id : ids) {
    if (!outcome || stop) break;
    outcome = co_await this->collection(pass, id);
  }
  if (outcome && !stop) outcome = co_await remains(pass);
  {
    std::scoped_lock lock(mutex_);
    status_.running = false;
    status_.finished = deps_.context.clock.now();
    status_.last = pass.swept;
    status_.stopped = outcome ? std::nullopt : std::optional(outcome.error());
  }
  if (!outcome) co_return std::move(outcome).error();
  co_return pass.swept;
}

/// Holds whose time has come are lifted first; then those in force are read.
Task<Result<void>> Sweep::lift_ended(Pass& pass) {
  constexpr std::int64_t kAtOnce = 100;
  while (!pass.stop) {
    auto ended = co_await deps_.holds.ended_by(pass.now, kAtOnce);
    if (!ended) co_return std::move(ended).error();
    for (auto& hold : *ended) {
      db::Changes changes;
      journal::Event event{.activity = "retention.hold_ended"};
      LegalHolds::lift(changes, event, *pass.work.keys, hold, "system", deps_.context.clock.now());
      if (auto noted = co_await deps_.holds.note_lifted(hold.id); !noted) co_return noted;
      auto done =
          co_await deps_.context.journal.commit(Caller{}, std::move(changes), std::move(event));
      if (!done && done.error().code != Code::conflict) co_return std::move(done).error();
      if (done) ++pass.swept.lifted;
    }
    if (std::ssize(*ended) < kAtOnce) break;
  }
  auto held = co_await deps_.holds.in_force(MonoTime::max());
  if (!held) co_return std::move(held).error();
  pass.held = std::move(*held);
  co_return Result<void>();
}

/// Records lie in the order of their making, so the first that is too young is the last to look at.
Task<Result<void>> Sweep::collection(Pass& pass, std::uint32_t id) {
  RecordId after{};
  std::vector<Due> waiting;
  for (bool more = true; more && !pass.stop;) {
    // Keys are not held for longer than a page: who rotates them waits for whoever does.
    auto work = co_await begin(deps_.context, Caller{});
    if (!work) co_return std::move(work).error();
    pass.work = std::move(*work);
    const auto* declared = pass.work.schema->find(id);
    auto shortest = declared ? shortest_keep(*declared) : std::nullopt;
    if (!shortest) break;
    auto records = co_await deps_.context.store.page(id, after, options_.page, MonoTime::max());
    if (!records) co_return std::move(records).error();
    more = std::ssize(*records) == options_.page;
    if (!records->empty()) after = records->back().id;
    auto young = std::ranges::find_if(
        *records, [&](const Record& one) { return one.created + *shortest > pass.now; });
    if (young != records->end()) more = false;
    records->erase(young, records->end());
    auto found = co_await due(pass, *declared, std::move(*records));
    if (!found) co_return std::move(found).error();
    for (auto& one : *found) waiting.push_back(std::move(one));
    auto most = deps_.context.journal.busy() ? options_.contended : options_.alone;
    while (waiting.size() >= most || (!more && !waiting.empty())) {
      auto count = static_cast<std::ptrdiff_t>(std::min(most, waiting.size()));
      std::vector<Due> batch(std::make_move_iterator(waiting.begin()),
                             std::make_move_iterator(waiting.begin() + count));
      waiting.erase(waiting.begin(), waiting.begin() + count);
      if (auto done = co_await flush(pass, id, std::move(batch)); !done) co_return done;
      if (pass.stop) co_return Result<void>();
      bool busy = deps_.context.journal.busy();
      co_await journal::pause_for(busy ? kBreathContended : kBreath);
      most = busy ? options_.contended : options_.alone;
    }
    co_await journal::pause_for(kBreath);
  }
  co_return Result<void>();
}

Task<Result<std::vector<Sweep::Due>>> Sweep::due(Pass& pass, const Collection& collection,
                                                 std::vector<Record> records) {
  std::map<SubjectId, Time> closed;
  if (counts_from_closing(collection)) {
    std::set<SubjectId> subjects;
    for (const auto& record : records) subjects.insert(record.subject);
    auto found = co_await deps_.closings.last_closed(std::vector(subjects.begin(), subjects.end()),
                                                     MonoTime::max());
    if (!found) co_return std::move(found).error();
    closed = std::move(*found);
  }
  std::vector<Due> out;
  for (auto& record : records) {
    auto sealed = unpack(record.sealed);
    if (!sealed) {
      ++pass.swept.damaged;
      continue;
    }
    auto ended = closed.find(record.subject);
    Due one{.schema = pass.work.schema, .record = {}, .fields = {}};
    for (const auto& value : *sealed) {
      const auto* field = collection.find(value.field);
      auto at = field ? due_at(*field, record,
                               ended == closed.end() ? std::nullopt : std::optional(ended->second))
                      : std::nullopt;
      if (at && *at <= pass.now) one.fields.push_back(field);
    }
    if (one.fields.empty()) continue;
    if (pass.held.holds(record.subject, collection.id)) {
      pass.swept.held += std::ssize(one.fields);
      continue;
    }
    one.record = std::move(record);
    out.push_back(std::move(one));
  }
  co_return out;
}

/// Under the newest schema and holds, which of these records still have values that are due.
Task<Result<std::vector<Sweep::Due>>> Sweep::judge_again(Pass& pass, std::uint32_t id,
                                                         std::vector<RecordId> left) {
  auto work = co_await begin(deps_.context, Caller{});
  if (!work) co_return std::move(work).error();
  pass.work = std::move(*work);
  auto held = co_await deps_.holds.in_force(MonoTime::max());
  if (!held) co_return std::move(held).error();
  pass.held = std::move(*held);
  const auto* collection = pass.work.schema->find(id);
  if (!collection) co_return std::vector<Due>();
  auto records = co_await deps_.context.store.records(std::move(left), MonoTime::max());
  if (!records) co_return std::move(records).error();
  std::vector<Record> again;
  for (auto& [record, row] : *records) again.push_back(std::move(row));
  co_return co_await due(pass, *collection, std::move(again));
}

/// Removes a batch. What changed meanwhile is read and judged again; what still fails is done one
/// by one, so that a damaged record keeps no other.
Task<Result<void>> Sweep::flush(Pass& pass, std::uint32_t id, std::vector<Due> due) {
  std::vector<RecordId> left;
  for (const auto& one : due) left.push_back(one.record.id);
  for (int tries = 0; tries < kTries && !due.empty(); ++tries) {
    if (auto now = deps_.time.now(); !now) co_return std::move(now).error();
    if (due.front().schema == pass.work.schema) {
      auto done = co_await remove(pass, due);
      if (done) co_return done;
      auto code = done.error().code;
      if (code == Code::corrupt || code == Code::gone) break;
      if (code != Code::conflict && code != Code::stale) co_return done;
    }
    auto judged = co_await judge_again(pass, id, left);
    if (!judged) co_return std::move(judged).error();
    due = std::move(*judged);
  }
  for (auto& one : due) {
    if (pass.stop) break;
    std::vector<Due> single;
    single.push_back(std::move(one));
    auto done = co_await remove(pass, single);
    if (done) continue;
    auto code = done.error().code;
    // What somebody is at is left to the next pass.
    if (code == Code::corrupt)
      ++pass.swept.damaged;
    else if (code != Code::conflict && code != Code::gone && code != Code::stale)
      co_return done;
  }
  co_return Result<void>();
}

/// All of one schema and collection.
Task<Result<void>> Sweep::remove(Pass& pass, std::vector<Due>& due) {
  const auto schema = due.front().schema;
  const auto& collection = *schema->find(due.front().record.collection);
  db::List ids;
  std::vector<Record> records;
  std::set<SubjectId> subjects;
  for (const auto& one : due) {
    ids.cells.emplace_back(to_bytes(one.record.id.bytes()));
    records.push_back(one.record);
    subjects.insert(one.record.subject);
  }
  auto rows = co_await deps_.context.journal.reader().read(kTokensOfRecords, {std::move(ids)});
  if (!rows) co_return std::move(rows).error();
  std::map<RecordId, std::vector<TokenOf>> tokens;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto record = RecordId::from((*rows)[i].bytes(0));
    auto token = TokenId::from((*rows)[i].bytes(1));
    if (!record || !token) co_return Error(Code::corrupt, "a token's row is damaged");
    tokens[*record].push_back({*token, static_cast<std::uint16_t>((*rows)[i].integer(2))});
  }
  auto keys = co_await deps_.context.store.keys(std::vector(subjects.begin(), subjects.end()),
                                                MonoTime::max());
  if (!keys) co_return std::move(keys).error();

  Draft draft(*pass.work.keys, pass.work.now);
  draft.keep_updated();
  Swept here;
  std::map<std::string, std::int64_t> by_field;
  // Whose values count from the end of an engagement, by when the last must have closed.
  std::map<Time, std::set<SubjectId>> closed_by;
  journal::Slices slices;
  for (auto& one : due) {
    auto& record = one.record;
    auto held = keys->find(record.subject);
    if (held == keys->end()) co_return Error(Code::corrupt, "a record has no keys");
    auto sealed = unpack(record.sealed);
    if (!sealed) co_return std::move(sealed).error();
    auto& own = tokens[record.id];
    here.values += std::ssize(one.fields);
    for (const auto* field : one.fields) {
      ++by_field[field->name];
      if (field->keep->from == KeepFrom::closed)
        closed_by[pass.now - *field->keep_for].insert(record.subject);
    }
    if (one.fields.size() == sealed->size()) {
      ++here.records;
      here.tokens += std::ssize(own);
      auto done = draft.drop_record(held->second, collection, record, own);
      if (!done) co_return done;
    } else {
      std::vector<CheckedValue> gone;
      for (const auto* field : one.fields) gone.push_back({field, Secret(), true});
      std::erase_if(own, [&](const TokenOf& token) {
        return std::ranges::find(one.fields, token.field, &Field::id) == one.fields.end();
      });
      here.tokens += std::ssize(own);
      draft.drop_tokens(record.subject, own);
      auto done = draft.change_record(held->second, collection, record, gone);
      if (!done) co_return std::move(done).error();
    }
    if (slices.due()) co_await slices.pause();
  }
  journal::Event event{.activity = "retention.sweep",
                       .collection = collection.name,
                       .touches = std::move(draft.touches()),
                       .facts = {{"as_of", rfc3339(pass.now)},
                                 {"records", here.records},
                                 {"tokens", here.tokens},
                                 {"values", here.values}}};
  std::string counts;
  for (const auto& [name, count] : by_field) {
    event.fields.push_back(name);
    (counts += counts.empty() ? "" : ",") += std::to_string(count);
  }
  event.facts.emplace_back("counts", std::move(counts));
  auto changes = std::move(draft).changes();
  LegalHolds::guard(changes, std::vector(subjects.begin(), subjects.end()), collection.id);
  deps_.closings.guard(changes, closed_by);
  // Under the schema that it was decided by: a keep time that was made longer meanwhile holds.
  Caller caller{.generation = schema->generation};
  auto done = co_await deps_.context.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  pass.swept.records += here.records;
  pass.swept.values += here.values;
  pass.swept.tokens += here.tokens;
  co_return Result<void>();
}

Task<Result<void>> Sweep::remains(Pass& pass) {
  for (auto* one : deps_.remains) {
    while (!pass.stop) {
      auto now = deps_.time.now();
      if (!now) co_return std::move(now).error();
      bool busy = deps_.context.journal.busy();
      auto most = static_cast<std::int64_t>(busy ? options_.contended : options_.alone);
      auto count = co_await one->forget(*now, most);
      if (!count) co_return std::move(count).error();
      pass.swept.others += *count;
      if (*count < most) break;
      co_await journal::pause_for(busy ? kBreathContended : kBreath);
    }
  }
  co_return Result<void>();
}

Task<void> Sweep::run(const std::atomic<bool>& stop, std::function<void(const Error*)> tell) {
  constexpr Millis kStep{100};
  constexpr Millis kFirst{5'000};
  constexpr Millis kAgain{60'000};
  bool failing = false;
  auto wait = kFirst;
  while (!stop) {
    for (Millis passed{0}; passed < wait && !stop; passed += kStep)
      co_await journal::pause_for(kStep);
    if (stop) break;
    auto done = co_await pass(stop);
    wait = done ? options_.each : std::min(options_.each, kAgain);
    if (!done && done.error().code == Code::locked) continue;  // waits until it is unlocked
    if (!done && !failing) tell(&done.error());
    if (done && failing) tell(nullptr);
    failing = !done;
  }
}

SweepStatus Sweep::status() const {
  std::scoped_lock lock(mutex_);
  return status_;
}

Task<Result<std::int64_t>> OldAnswers::forget(Time now, std::int64_t most) {
  auto rows = co_await journal_.reader().read(kOldAnswers, {to_ms(now), most});
  if (!rows) co_return std::move(rows).error();
  auto count = static_cast<std::int64_t>(rows->size());
  if (count == 0) co_return 0;
  std::vector<db::Args> gone;
  for (std::size_t i = 0; i < rows->size(); ++i)
    gone.push_back({std::string((*rows)[i].text(0)), to_bytes((*rows)[i].bytes(1)), to_ms(now)});
  db::Changes changes;
  changes.bulk(kForgetAnswer, std::move(gone), db::Expect::at_most(count));
  auto done = co_await journal_.commit(
      Caller{}, std::move(changes),
      {.activity = "retention.sweep_answers", .facts = {{"count", count}}});
  if (!done) co_return std::move(done).error();
  co_return count;
}

Task<Result<std::int64_t>> OldSides::forget(Time now, std::int64_t most) {
  return journal::sweep_some_sides(journal_, now, most);
}

std::span<const db::Sql* const> sweep_statements() {
  static constexpr const db::Sql* kAll[] = {&kTokensOfRecords, &kOldAnswers, &kForgetAnswer};
  return kAll;
}

}  // namespace holdfast::vault
