#include "access/budgets.h"

#include <algorithm>
#include <map>

#include "journal/log.h"

namespace holdfast::access {
namespace {

using db::Sql;

constexpr std::int64_t kHour = 3'600, kDay = 86'400;  // seconds; also the stored span
constexpr std::int64_t kBuckets = 60;
constexpr std::int64_t kPage = 1'000;
constexpr std::string_view kStore = "store";

// ── in the database; the lock comes first and orders everybody who is charged to the account

constexpr Sql kLockBudget{"access.lock_budget",
                          "insert into access_budgets (account, span, used) values ($1, $2, 0) "
                          "on conflict (account, span) do update set used = access_budgets.used"};
/// A clock that was set back: what lies ahead counts from now on, and no longer than that.
constexpr Sql kDateBack{"access.date_back_uses",
                        "update access_budget_uses set bucket = $3 "
                        "where account = $1 and span = $2 and bucket > $3"};
/// $3: the first bucket of the window; $4: how many customers, $5: which. Before the two below.
constexpr Sql kCountUses{
    "access.count_uses",
    "update access_budgets set used = used + $4 "
    "- (select count(*) from access_budget_uses where account = $1 and span = $2 and bucket < $3) "
    "- (select count(*) from access_budget_uses where account = $1 and span = $2 and bucket >= $3 "
    "and subject {{in $5}}) where account = $1 and span = $2"};
constexpr Sql kDropUses{"access.drop_uses",
                        "delete from access_budget_uses where account = $1 and span = $2 "
                        "and bucket < $3"};
constexpr Sql kAddUse{"access.add_use",
                      "insert into access_budget_uses (account, span, subject, bucket) "
                      "values ($1, $2, $3, $4) on conflict (account, span, subject) "
                      "do update set bucket = excluded.bucket"};
constexpr Sql kGuardBudget{"access.guard_budget",
                           "select used from access_budgets "
                           "where account = $1 and span = $2 and used <= $3"};
constexpr Sql kReadUsed{"access.read_used",
                        "select used from access_budgets where account = $1 and span = $2"};
constexpr Sql kDropBudget{"access.drop_budget",
                          "delete from access_budgets where account = $1 and span = $2 "
                          "and used <= 0"};

constexpr Sql kUsesNow{"access.uses_now",
                       "select count(*) from access_budget_uses "
                       "where account = $1 and span = $2 and bucket >= $3"};
constexpr Sql kUseAt{"access.use_at",
                     "select bucket from access_budget_uses "
                     "where account = $1 and span = $2 and bucket >= $3 "
                     "order by bucket limit 1 offset $4"};
constexpr Sql kListUses{"access.list_uses",
                        "select account, "
                        "sum(case when span = 3600 and bucket >= $1 then 1 else 0 end), "
                        "sum(case when span = 86400 and bucket >= $2 then 1 else 0 end) "
                        "from access_budget_uses group by account order by account limit 1000"};
constexpr Sql kFindUses{"access.find_uses",
                        "select account, "
                        "sum(case when span = 3600 and bucket >= $2 then 1 else 0 end), "
                        "sum(case when span = 86400 and bucket >= $3 then 1 else 0 end) "
                        "from access_budget_uses where account = $1 group by account"};
constexpr Sql kStaleAccounts{
    "access.stale_accounts",
    "select account, span, count(*) from access_budget_uses "
    "where (span = 3600 and bucket < $1) or (span = 86400 and bucket < $2) "
    "group by account, span order by account, span limit $3"};

// ── in scratch

constexpr std::string_view kObservedTable =
    "create table if not exists access_observed (\n"
    "  role {{text}} not null,\n"
    "  rule {{int}} not null,\n"
    "  what {{text}} not null,\n"
    "  until_ms {{int}} not null,\n"
    "  count {{int}} not null,\n"
    "  first_ms {{int}} not null,\n"
    "  last_ms {{int}} not null,\n"
    "  primary key (role, rule, what, until_ms)\n"
    ") {{strict}};\n";
constexpr Sql kCountObserved{
    "access.count_observed",
    "insert into access_observed (role, rule, what, until_ms, count, first_ms, last_ms) "
    "values ($1, $2, $3, $4, 1, $5, $5) on conflict (role, rule, what, until_ms) "
    "do update set count = access_observed.count + 1, last_ms = excluded.last_ms"};
constexpr Sql kReadObserved{"access.read_observed",
                            "select role, rule, what, count, first_ms, last_ms "
                            "from access_observed order by role, rule, what, until_ms"};
constexpr Sql kDropObserved{"access.drop_observed",
                            "delete from access_observed where until_ms < $1"};
constexpr Millis kObservedKept = std::chrono::days(60);

std::int64_t bucket_ms(std::int64_t span) {
  return span * 1'000 / kBuckets;
}
std::int64_t bucket_of(Time now, std::int64_t span) {
  return to_ms(now) / bucket_ms(span);
}
/// The first bucket that counts: sixty whole ones, and the one that is under way.
std::int64_t window_from(Time now, std::int64_t span) {
  return bucket_of(now, span) - kBuckets;
}

enum class Who : std::uint8_t { key, person, store };
constexpr std::string_view kWho[] = {"key", "person", "store"};

Error spent_error(Who who, std::int64_t span) {
  const bool hour = span == kHour;
  switch (who) {
    case Who::key:
      return hour ? Error(Code::exhausted,
                          "this key has opened as many customers within an hour as "
                          "its budget allows; this try was recorded")
                  : Error(Code::exhausted,
                          "this key has opened as many customers within a day as "
                          "its budget allows; this try was recorded");
    case Who::person:
      return hour ? Error(Code::exhausted,
                          "the person behind this call has opened as many "
                          "customers within an hour as the budget allows; this "
                          "try was recorded")
                  : Error(Code::exhausted,
                          "the person behind this call has opened as many "
                          "customers within a day as the budget allows; this try "
                          "was recorded");
    case Who::store:
      break;
  }
  return hour ? Error(Code::exhausted,
                      "the ceiling of customers that all together may open within "
                      "an hour is reached; this try was recorded")
              : Error(Code::exhausted,
                      "the ceiling of customers that all together may open within "
                      "a day is reached; this try was recorded");
}

FieldPath place(Who who, std::int64_t span) {
  return FieldPath("budget") / kWho[static_cast<std::size_t>(who)] /
         (span == kHour ? "per_hour" : "per_day");
}

std::int64_t tighter(std::int64_t a, std::int64_t b) {
  return a == 0 ? b : b == 0 ? a : std::min(a, b);
}

}  // namespace

/// One account and window with its limits.
struct Budgets::Line {
  Who who = Who::key;
  std::string account;
  std::int64_t span = 0;
  std::int64_t limit = 0;                                       // 0: only watched
  std::vector<std::pair<std::uint16_t, std::int64_t>> watched;  // rule and limit
};

bool Budgets::counts(std::span<const std::uint32_t> owed) const {
  return ceiling_.per_hour > 0 || ceiling_.per_day > 0 || !owed.empty();
}

Task<Result<std::vector<Budgets::Line>>> Budgets::lines(Caller caller,
                                                        std::span<const std::uint32_t> owed) {
  std::map<std::pair<std::string, std::int64_t>, Line> found;
  auto limit = [&](Who who, const std::string& account, std::int64_t span, std::int64_t most,
                   const Owed& under) {
    if (most == 0) return;
    auto& line = found.try_emplace({account, span}, Line{who, account, span, 0, {}}).first->second;
    if (under.watched)
      line.watched.emplace_back(under.rule, most);
    else
      line.limit = tighter(line.limit, most);
  };
  std::string key, person;
  for (auto packed : owed) {
    const auto under = Owed::from(packed);
    const auto* terms = caller.rights ? caller.rights->terms(under.rule) : nullptr;
    if (!under.charge || terms == nullptr || !terms->budget) continue;
    if (key.empty()) {
      auto snapshot = co_await deps_.cache.current(caller.deadline);
      if (!snapshot) co_return std::move(snapshot).error();
      const auto* principal = (*snapshot)->find(caller.principal);
      key = principal ? principal->account : caller.principal;
      if (!caller.on_behalf_of.empty()) {
        const auto keys = deps_.keys.get();
        if (!keys) co_return Error(Code::locked, "the server is locked");
        person = journal::Log::pseudonym(*keys, caller.on_behalf_of);
      }
    }
    const auto most = allowance(*terms->budget);
    if (person.empty()) {
      limit(Who::key, key, kHour, tighter(most.per_hour, most.key_per_hour), under);
      limit(Who::key, key, kDay, tighter(most.per_day, most.key_per_day), under);
    } else {
      limit(Who::person, person, kHour, most.per_hour, under);
      limit(Who::person, person, kDay, most.per_day, under);
      limit(Who::key, key, kHour, most.key_per_hour, under);
      limit(Who::key, key, kDay, most.key_per_day, under);
    }
  }
  limit(Who::store, std::string(kStore), kHour, ceiling_.per_hour, {});
  limit(Who::store, std::string(kStore), kDay, ceiling_.per_day, {});
  std::vector<Line> out;  // in one order for everybody, so that locks do not cross
  for (auto& [at, line] : found) out.push_back(std::move(line));
  co_return out;
}

Task<Result<std::optional<std::int64_t>>> Budgets::room(Caller caller,
                                                        std::vector<std::uint32_t> owed) {
  std::optional<std::int64_t> out;
  const auto deadline = caller.deadline;
  auto found = co_await lines(std::move(caller), owed);
  if (!found) co_return std::move(found).error();
  const auto now = deps_.clock.now();
  for (const auto& line : *found) {
    if (line.limit == 0) continue;
    auto used = co_await deps_.journal.reader().read(
        kUsesNow, {line.account, line.span, window_from(now, line.span)}, deadline);
    if (!used) co_return std::move(used).error();
    const auto left = line.limit - (*used)[0].integer(0);
    if (left <= 0) co_return spent_error(line.who, line.span).at(place(line.who, line.span));
    out = out ? std::min(*out, left) : left;
  }
  co_return out;
}

Task<Result<Budgets::Charge>> Budgets::charge(Caller caller, std::vector<Bytes> subjects,
                                              std::vector<Bytes> beyond,
                                              std::vector<std::uint32_t> owed) {
  Charge out;
  auto found = co_await lines(std::move(caller), owed);
  if (!found) co_return std::move(found).error();
  const auto now = deps_.clock.now();
  auto count = [&](const Line& line, std::vector<Bytes>& whose) {
    std::ranges::sort(whose);
    auto twice = std::ranges::unique(whose);
    whose.erase(twice.begin(), twice.end());
    db::List list;
    std::vector<db::Args> uses;
    for (const auto& subject : whose) {
      list.cells.emplace_back(subject);
      uses.push_back({line.account, line.span, subject, bucket_of(now, line.span)});
    }
    const auto from = window_from(now, line.span);
    out.changes.write(
        kCountUses,
        {line.account, line.span, from, static_cast<std::int64_t>(whose.size()), std::move(list)},
        db::Expect::exactly(1));
    out.changes.write(kDropUses, {line.account, line.span, from});
    out.changes.bulk(kAddUse, std::move(uses));
  };
  for (const auto& line : *found)
    out.changes.write(kLockBudget, {line.account, line.span}, db::Expect::exactly(1));
  for (const auto& line : *found) {
    out.changes.write(kDateBack, {line.account, line.span, bucket_of(now, line.span)});
    count(line, subjects);
  }
  for (const auto& line : *found) {
    if (line.limit > 0)
      out.changes.guard(kGuardBudget, {line.account, line.span, line.limit - subjects.empty()},
                        spent_error(line.who, line.span).at(place(line.who, line.span)));
    for (const auto& [rule, limit] : line.watched) {
      out.watched.push_back({out.changes.writes().size(), rule, limit});
      out.changes.guard(kReadUsed, {line.account, line.span});
    }
  }
  if (!beyond.empty())
    for (const auto& line : *found) count(line, beyond);
  co_return out;
}

std::vector<std::uint32_t> Budgets::all_owed(const Caller& caller) const {
  std::vector<std::uint32_t> out;
  if (!caller.rights) return out;
  for (auto rule : caller.rights->budgeted()) {
    const auto* terms = caller.rights->terms(rule);
    const bool watched = terms->observe_until && deps_.clock.now() < *terms->observe_until;
    out.push_back(Owed{.rule = rule, .charge = true, .watched = watched}.packed());
  }
  return out;
}

Task<Budgets::Spent> Budgets::spent(Caller caller, std::size_t subjects,
                                    std::vector<std::uint32_t> owed, Error error,
                                    journal::Event event) {
  Spent out{std::move(error), std::move(event)};
  if (out.error.code != Code::exhausted) co_return out;
  const auto deadline = caller.deadline;
  auto found = co_await lines(std::move(caller), owed);
  if (!found) co_return out;
  for (const auto& line : *found) {
    if (out.error.field != place(line.who, line.span)) continue;
    out.event.facts.emplace_back("budget", std::string(kWho[static_cast<std::size_t>(line.who)]));
    out.event.facts.emplace_back("budget_limit", line.limit);
    out.event.facts.emplace_back("budget_span_s", line.span);
    out.event.facts.emplace_back("budget_wanted", static_cast<std::int64_t>(subjects));
    const auto from = window_from(deps_.clock.now(), line.span);
    auto& reader = deps_.journal.reader();
    auto used = co_await reader.read(kUsesNow, {line.account, line.span, from}, deadline);
    if (!used) co_return out;
    // So many of the oldest must leave the window; a repeated customer may need none of them.
    const auto over = (*used)[0].integer(0) + static_cast<std::int64_t>(subjects) - line.limit;
    if (static_cast<std::int64_t>(subjects) > line.limit || over <= 0) co_return out;
    auto oldest = co_await reader.read(kUseAt, {line.account, line.span, from, over - 1}, deadline);
    if (!oldest || oldest->empty()) co_return out;
    out.error.free_at = from_ms(((*oldest)[0].integer(0) + kBuckets + 1) * bucket_ms(line.span));
    out.event.facts.emplace_back("budget_free_ms", to_ms(*out.error.free_at));
  }
  co_return out;
}

Task<void> Budgets::settle(Caller caller, std::vector<std::uint32_t> owed,
                           std::vector<Watched> watched, std::vector<std::int64_t> used) {
  std::map<std::pair<std::uint16_t, std::string_view>, const Terms*> met;
  auto meet = [&](std::uint16_t rule, std::string_view what) {
    if (const auto* terms = caller.rights ? caller.rights->terms(rule) : nullptr;
        terms && terms->observe_until)
      met.emplace(std::pair(rule, what), terms);
  };
  for (auto packed : owed)
    if (const auto one = Owed::from(packed); one.unmet != Unmet::none)
      meet(one.rule, name_of(one.unmet));
  for (std::size_t i = 0; i < watched.size() && i < used.size(); ++i)
    if (used[i] > watched[i].limit) meet(watched[i].rule, "budget");
  for (const auto& [at, terms] : met) {
    caller.generation = 0;  // what was done is told under any policy
    const auto what = at.second;
    const auto now = to_ms(deps_.clock.now());
    db::Changes count;
    count.write(kCountObserved, {terms->role, static_cast<std::int64_t>(terms->grant),
                                 std::string(what), to_ms(*terms->observe_until), now});
    // Neither of the two may keep an opening back that is recorded already.
    (void)co_await deps_.journal.scratch().commit(std::move(count), caller.deadline);
    (void)co_await deps_.journal.commit(
        caller, {},
        {.activity = "access.would_refuse",
         .reason = what,
         .facts = {{"role", terms->role}, {"grant", static_cast<std::int64_t>(terms->grant)}}});
  }
}

Task<Result<std::vector<Budgets::Use>>> Budgets::uses(std::string account, MonoTime deadline) {
  const auto now = deps_.clock.now();
  const auto hour = window_from(now, kHour), day = window_from(now, kDay);
  auto& reader = deps_.journal.reader();
  auto rows = account.empty()
                  ? co_await reader.read(kListUses, {hour, day}, deadline)
                  : co_await reader.read(kFindUses, {std::move(account), hour, day}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<Use> out;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (auto row = (*rows)[i]; row.integer(1) + row.integer(2) > 0)
      out.push_back({std::string(row.text(0)), row.integer(1), row.integer(2)});
  co_return out;
}

Task<Result<std::int64_t>> Budgets::sweep(MonoTime deadline) {
  db::Changes forget;
  forget.write(kDropObserved, {to_ms(deps_.clock.now() - kObservedKept)});
  auto forgotten = co_await deps_.journal.scratch().commit(std::move(forget), deadline);
  if (!forgotten) co_return std::move(forgotten).error();
  const auto now = deps_.clock.now();
  auto rows = co_await deps_.journal.reader().read(
      kStaleAccounts, {window_from(now, kHour), window_from(now, kDay), kPage}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::int64_t dropped = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const std::string account((*rows)[i].text(0));
    const auto span = (*rows)[i].integer(1), from = window_from(now, span);
    db::Changes changes;
    changes.write(kLockBudget, {account, span}, db::Expect::exactly(1));
    changes.write(kCountUses, {account, span, from, std::int64_t{0}, db::List{}});
    changes.write(kDropUses, {account, span, from});
    changes.write(kDropBudget, {account, span});
    auto done = co_await deps_.journal.commit(
        Caller{.deadline = deadline}, std::move(changes),
        {.activity = "budgets.forget", .facts = {{"customers", (*rows)[i].integer(2)}}});
    if (!done) co_return std::move(done).error();
    dropped += (*rows)[i].integer(2);
  }
  co_return dropped;
}

Task<Result<std::vector<Observed>>> read_observed(db::Scratch& scratch, MonoTime deadline) {
  auto rows = co_await scratch.read(kReadObserved, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<Observed> out;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    out.push_back({std::string(row.text(0)), row.integer(1), std::string(row.text(2)),
                   row.integer(3), from_ms(row.integer(4)), from_ms(row.integer(5))});
  }
  co_return out;
}

Task<Result<void>> prepare_observed(db::Scratch& scratch) {
  db::Changes table;
  table.script(std::string(kObservedTable));
  auto made = co_await scratch.commit(std::move(table));
  if (!made) co_return std::move(made).error();
  co_return Result<void>();
}

std::span<const db::Sql* const> budget_statements() {
  static constexpr const Sql* kAll[] = {
      &kLockBudget, &kDateBack, &kCountUses, &kDropUses, &kAddUse,   &kGuardBudget,  &kReadUsed,
      &kDropBudget, &kUsesNow,  &kUseAt,     &kListUses, &kFindUses, &kStaleAccounts};
  return kAll;
}

std::span<const db::Sql* const> budget_scratch_statements() {
  static constexpr const Sql* kAll[] = {&kCountObserved, &kReadObserved, &kDropObserved};
  return kAll;
}

}  // namespace holdfast::access
