#include "vault/requests/service.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "journal/slices.h"
#include "vault/idempotency.h"
#include "vault/requests/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kAddDemand{
    "vault.add_request",
    "insert into vault_requests (id, subject, kind, state, received_ms, due_ms, identity, "
    "extended, alarmed_ms, answered_ms, outcome, event, asked, answer, version) "
    "values ($1, $2, $3, $4, $5, $6, $7, 0, null, null, null, null, $8, null, 1)"};
inline constexpr db::Sql kPutDemand{
    "vault.put_request",
    "update vault_requests set state = $3, due_ms = $4, identity = $5, extended = $6, "
    "alarmed_ms = $7, answered_ms = $8, outcome = $9, event = $10, answer = $11, version = $12 "
    "where id = $1 and version = $2"};
inline constexpr db::Sql kPageDemands{
    "vault.page_requests",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests "
    "where state = $1 and (due_ms > $2 or (due_ms = $2 and id > $3)) order by due_ms, id limit $4"};
inline constexpr db::Sql kCountOverdue{
    "vault.count_overdue",
    "select count(*) from vault_requests where state = 'open' and due_ms <= $1"};
inline constexpr db::Sql kUnalarmed{
    "vault.unalarmed_requests",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests "
    "where state = 'open' and due_ms <= $1 and alarmed_ms is null order by due_ms limit $2"};

/// But for those of customers $3, under any of their names, and of who has a record in one of the
/// collections $4.
inline constexpr db::Sql kOldDemands{
    "vault.old_requests",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests "
    "where state = 'answered' and answered_ms <= $1 and not exists (select 1 from vault_subjects s "
    "where s.id = vault_requests.subject and (coalesce(s.merged_into, s.id) {{in $3}} or exists "
    "(select 1 from vault_records r where r.subject = coalesce(s.merged_into, s.id) and "
    "r.collection {{in $4}}))) order by due_ms, id limit $2"};
inline constexpr db::Sql kDropDemands{"vault.drop_requests",
                                      "delete from vault_requests where id {{in $1}}"};
inline constexpr db::Sql kDropIdleKeys{
    "vault.drop_idle_keys",
    "delete from vault_subject_keys where keep_group = $1 and subject {{in $2}} and not exists "
    "(select 1 from vault_requests r where r.subject = vault_subject_keys.subject)"};

constexpr std::int64_t kPage = 50;
constexpr std::int64_t kAlarms = 100;
constexpr auto kKept = std::chrono::days(3 * 365);  // as long as a complaint may come
constexpr auto kOldest = std::chrono::days(366);
constexpr auto kAhead = std::chrono::minutes(5);  // clocks of two machines
constexpr Millis kTick{1000};
constexpr Millis kEvery{60'000};

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

std::string name_of(auto value) {
  return std::string(enum_names(value)[static_cast<std::size_t>(value)]);
}

/// Words that are not ours are of a newer release, or of nobody.
template <class Enum>
std::optional<Enum> value_of(std::string_view name) {
  auto names = enum_names(Enum{});
  auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

Result<RequestView> shown(const Demand& demand, Time now) {
  auto kind = value_of<DemandKind>(demand.kind);
  auto state = value_of<DemandState>(demand.state);
  auto identity = value_of<IdentityCheck>(demand.identity);
  auto outcome = value_of<DemandOutcome>(demand.outcome);
  if (!kind || !state || !identity || (!outcome && !demand.outcome.empty()))
    return Error(Code::corrupt,
                 "a request's row cannot be read: run `holdfast journal verify"
                 " --state`");
  return RequestView{.request = demand.id,
                     .subject = demand.subject,
                     .kind = *kind,
                     .state = *state,
                     .received = demand.received,
                     .due = demand.due,
                     .overdue = *state == DemandState::open && demand.due <= now,
                     .identity = *identity,
                     .extended = demand.extended,
                     .answered = demand.answered,
                     .outcome = outcome,
                     .event = demand.event,
                     .text = {},
                     .answer = {},
                     .version = demand.version};
}

/// `due_ms` and id of the last one of a page.
struct Cursor {
  std::int64_t due = INT64_MIN;
  Bytes id = Bytes(16, 0);
};
std::optional<Cursor> cursor_from(std::string_view text) {
  Cursor out;
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out.due);
  if (bad != std::errc() || end == text.data() + text.size() || *end != '.') return std::nullopt;
  auto id = DemandId::parse(text.substr(static_cast<std::size_t>(end + 1 - text.data())));
  if (!id) return std::nullopt;
  out.id = blob(*id);
  return out;
}
std::string text_of(const Demand& last) {
  return std::to_string(to_ms(last.due)) + '.' + last.id.text();
}

db::Args put_row(const Demand& demand, std::int64_t before) {
  auto time = [](const std::optional<Time>& at) {
    return at ? db::Value(to_ms(*at)) : db::Value();
  };
  return {blob(demand.id),
          before,
          demand.state,
          to_ms(demand.due),
          demand.identity,
          std::int64_t{demand.extended},
          time(demand.alarmed),
          time(demand.answered),
          demand.outcome.empty() ? db::Value() : db::Value(demand.outcome),
          demand.event ? db::Value(blob(*demand.event)) : db::Value(),
          demand.answer.empty() ? db::Value() : db::Value(demand.answer),
          demand.version};
}

}  // namespace

std::span<const db::Sql* const> request_statements() {
  static constexpr const db::Sql* kAll[] = {&kAddDemand,    &kPutDemand,   &kPageDemands,
                                            &kCountOverdue, &kUnalarmed,   &kOldDemands,
                                            &kDropDemands,  &kDropIdleKeys};
  return kAll;
}

Task<Result<Demand>> Requests::find(DemandId id, MonoTime deadline) {
  auto rows = co_await context_.journal.reader().read(kFindDemand, {blob(id)}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return Error(Code::not_found, "no such request").at("request");
  co_return demand_from((*rows)[0]);
}

/// A text under the customer's key for requests, which is made with the first of them.
Task<Result<Bytes>> Requests::sealed(const Demand& demand, std::uint16_t field, const Secret& text,
                                     db::Changes& changes, MonoTime deadline) {
  auto ring = context_.keys.get();
  if (!ring) co_return Error(Code::locked, "the server is locked");
  auto keys = co_await context_.store.keys(demand.subject, deadline);
  if (!keys) co_return std::move(keys).error();
  std::vector<db::Args> fresh;
  if (auto ready = keys->ensure(*ring, kRequestsGroup, fresh); !ready)
    co_return std::move(ready).error();
  auto count = db::Expect::exactly(static_cast<std::int64_t>(fresh.size()));
  changes.bulk(kAddKey, std::move(fresh), count,
               Error(Code::conflict, "this customer's keys changed meanwhile: repeat"));
  co_return keys->seal(*ring, kRequestsGroup, demand_binding(demand, field), text.expose());
}

Task<Result<RequestView>> Requests::open(Caller caller, OpenRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto text = to_json(request);
  Repeat repeat(*work->keys, caller, "requests.open", request.idempotency_key, text, work->now);
  wipe(text);
  auto earlier = co_await repeat.earlier(context_.journal.reader(), caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return parse_json_as<RequestView>(**earlier);

  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto as = co_await acting_for_own(context_, *work->keys, std::move(caller), "requests.open",
                                    subject->id, std::move(request.on_behalf_of));
  if (!as) co_return std::move(as).error();
  auto received = request.received.value_or(work->now);
  if (received > work->now + kAhead || received < work->now - kOldest)
    co_return Error(Code::invalid, "a request was received in the last year, and not in the future")
        .at("received");
  Demand demand{.id = DemandId::make(work->now),
                .subject = subject->id,
                .kind = name_of(request.kind),
                .state = name_of(DemandState::open),
                .received = received,
                .due = months_after(received, kMonthsToAnswer),
                .identity = name_of(request.identity.value_or(IdentityCheck::unchecked)),
                .alarmed = {},
                .answered = {},
                .outcome = {},
                .event = {},
                .asked = {},
                .answer = {}};
  db::Changes changes;
  if (request.text && !request.text->empty()) {
    auto asked = co_await sealed(demand, kAskedText, *request.text, changes, as->deadline);
    if (!asked) co_return std::move(asked).error();
    demand.asked = std::move(*asked);
  }
  changes.write(kAddDemand,
                {blob(demand.id), blob(demand.subject), demand.kind, demand.state,
                 to_ms(demand.received), to_ms(demand.due), demand.identity,
                 demand.asked.empty() ? db::Value() : db::Value(demand.asked)},
                db::Expect::exactly(1));
  auto out = shown(demand, work->now);
  if (!out) co_return std::move(out).error();
  repeat.remember(changes, to_json(*out));
  journal::Event event{.activity = "requests.open",
                       .touches = {{demand.subject, "requests", blob(demand.id),
                                    demand_digest(*work->keys, demand)}},
                       .facts = {{"due", rfc3339(demand.due)}, {"kind", demand.kind}}};
  auto done = co_await context_.journal.commit(*as, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<std::int64_t>> Requests::count_overdue(Time now, MonoTime deadline) {
  auto rows = co_await context_.journal.reader().read(kCountOverdue, {to_ms(now)}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return rows->empty() ? 0 : (*rows)[0].integer(0);
}

Task<Result<RequestPage>> Requests::list(Caller caller, ListRequests request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto limit = request.limit.value_or(kPage);
  Error bad = Error(Code::invalid, "not a `next` of an earlier page").at("after");
  db::Rows rows;
  journal::Event event{.activity = "requests.list"};
  if (request.subject) {
    auto subject = co_await find_subject(context_, *work->keys, *request.subject, caller.deadline);
    if (!subject) co_return std::move(subject).error();
    auto aliases = co_await context_.store.aliases(subject->id, caller.deadline);
    if (!aliases) co_return std::move(aliases).error();
    db::List whose{{blob(subject->id)}};
    for (const auto& alias : *aliases) whose.cells.emplace_back(blob(alias.id));
    auto after = request.after ? DemandId::parse(*request.after) : DemandId{};
    if (!after) co_return bad;
    auto found = co_await context_.journal.reader().read(
        kDemandsOf, {std::move(whose), blob(*after), limit + 1}, caller.deadline);
    if (!found) co_return std::move(found).error();
    rows = std::move(*found);
    event.touches.push_back({subject->id, "subjects", blob(subject->id), {}});
  } else {
    auto after = request.after ? cursor_from(*request.after) : Cursor{};
    if (!after) co_return bad;
    auto found = co_await context_.journal.reader().read(
        kPageDemands,
        {name_of(request.state.value_or(DemandState::open)), after->due, after->id, limit + 1},
        caller.deadline);
    if (!found) co_return std::move(found).error();
    rows = std::move(*found);
  }
  RequestPage out;
  auto count = std::min(rows.size(), static_cast<std::size_t>(limit));
  for (std::size_t i = 0; i < count; ++i) {
    auto demand = demand_from(rows[i]);
    if (i + 1 == count && rows.size() > count)
      out.next = request.subject ? demand.id.text() : text_of(demand);
    if (request.subject && request.state && demand.state != name_of(*request.state)) continue;
    auto view = shown(demand, work->now);
    if (!view) co_return std::move(view).error();
    event.touches.push_back({demand.subject, "requests", blob(demand.id), {}});
    out.requests.push_back(std::move(*view));
  }
  auto late = co_await count_overdue(work->now, caller.deadline);
  if (!late) co_return std::move(late).error();
  out.overdue = *late;
  event.facts = {{"overdue", *late}, {"shown", static_cast<std::int64_t>(out.requests.size())}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RequestView>> Requests::get(Caller caller, GetRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto demand = co_await find(request.request, caller.deadline);
  if (!demand) co_return std::move(demand).error();
  auto out = shown(*demand, work->now);
  if (!out) co_return std::move(out).error();
  auto keys = co_await context_.store.keys(demand->subject, caller.deadline);
  if (!keys) co_return std::move(keys).error();
  journal::Event event{.activity = "requests.get",
                       .touches = {{demand->subject, "requests", blob(demand->id), {}}}};
  for (auto [field, from, to] : {std::tuple(kAskedText, &demand->asked, &out->text),
                                 {kAnswerText, &demand->answer, &out->answer}}) {
    if (from->empty()) continue;
    auto text = keys->open(*work->keys, kRequestsGroup, demand_binding(*demand, field), *from);
    if (!text && text.error().code != Code::gone) co_return std::move(text).error();
    if (!text) continue;
    *to = std::move(*text);
    event.opened = true;
  }
  Showing showing;
  if (event.opened)
    showing = {.subjects = {demand->subject}, .terms = admission_.budgets().opener_terms(caller)};
  auto done = co_await admission_.record(*work, std::move(caller), std::move(showing), {},
                                         std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

/// `event` gets the touch; what it lies in besides is the caller's.
Task<Result<RequestView>> Requests::put(Caller caller, Demand demand, journal::Event event) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  db::Changes changes;
  auto before = demand.version++;
  changes.write(kPutDemand, put_row(demand, before), db::Expect::exactly(1),
                Error(Code::conflict, "the request changed meanwhile: read it and repeat"));
  event.touches.push_back(
      {demand.subject, "requests", blob(demand.id), demand_digest(*work->keys, demand)});
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return shown(demand, work->now);
}

Task<Result<RequestView>> Requests::update(Caller caller, UpdateRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto expected = expected_version(request.if_match, {});
  if (!expected) co_return std::move(expected).error();
  auto demand = co_await find(request.request, caller.deadline);
  if (!demand) co_return std::move(demand).error();
  if (*expected && **expected != demand->version)
    co_return Error(Code::conflict, "the request has another version by now: read it and repeat")
        .at("version");
  if (demand->answered)
    co_return Error(Code::conflict, "this request was answered before").at("request");
  if (!request.identity && !request.extend)
    co_return Error(Code::invalid, "give `identity` or `extend`").at("identity");
  journal::Event event{.activity = "requests.update", .note = request.reason.value_or("")};
  if (request.identity) {
    demand->identity = name_of(*request.identity);
    event.facts.emplace_back("identity", demand->identity);
  }
  if (request.extend) {
    if (demand->extended)
      co_return Error(Code::conflict, "two months were added before, and no more may be")
          .at("extend");
    if (demand->due <= work->now)
      co_return Error(Code::conflict, "it is due already: it could be extended within the month")
          .at("extend");
    if (request.reason.value_or("").empty())
      co_return Error(Code::invalid, "say why, as the customer must be told").at("reason");
    demand->extended = true;
    demand->due = months_after(demand->received, kMonthsExtended);
    event.facts.emplace_back("due", rfc3339(demand->due));
  }
  co_return co_await put(std::move(caller), std::move(*demand), std::move(event));
}

/// Whether an entry of the journal touched the customer, under any of their names.
Task<Result<bool>> Requests::is_of(EventId event, SubjectId subject, MonoTime deadline) {
  auto aliases = co_await context_.store.aliases(subject, deadline);
  if (!aliases) co_return std::move(aliases).error();
  std::vector<SubjectId> names{subject};
  for (const auto& alias : *aliases) names.push_back(alias.id);
  for (auto name : names) {
    auto proof = co_await proofs_.prove(event, name);
    if (!proof) co_return std::move(proof).error();
    auto proved = journal::verify_proof(to_json(*proof), std::nullopt);
    if (!proved) co_return std::move(proved).error();
    for (const auto& row : proved->rows)
      if (row.subject == name) co_return true;
  }
  co_return false;
}

Task<Result<RequestView>> Requests::answer(Caller caller, AnswerRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto demand = co_await find(request.request, caller.deadline);
  if (!demand) co_return std::move(demand).error();
  if (demand->answered)
    co_return Error(Code::conflict, "this request was answered before").at("request");
  bool grants = request.outcome == DemandOutcome::granted ||
                request.outcome == DemandOutcome::granted_in_part;
  if (grants && demand->identity == name_of(IdentityCheck::unchecked))
    co_return Error(Code::conflict,
                    "first say how it was made sure that the customer asks: `requests update`")
        .at("request");
  if (request.outcome == DemandOutcome::refused && (!request.text || request.text->empty()))
    co_return Error(Code::invalid, "a refusal needs its reasons (GDPR art. 12(4))").at("text");
  if (request.event) {
    auto theirs = co_await is_of(*request.event, demand->subject, caller.deadline);
    if (!theirs) co_return std::move(theirs).error().at("event");
    if (!*theirs)
      co_return Error(Code::invalid, "this journal entry is not about this customer").at("event");
    demand->event = request.event;
  }
  db::Changes changes;
  if (request.text && !request.text->empty()) {
    auto said = co_await sealed(*demand, kAnswerText, *request.text, changes, caller.deadline);
    if (!said) co_return std::move(said).error();
    demand->answer = std::move(*said);
  }
  demand->state = name_of(DemandState::answered);
  demand->answered = work->now;
  demand->outcome = name_of(request.outcome);
  auto before = demand->version++;
  changes.write(kPutDemand, put_row(*demand, before), db::Expect::exactly(1),
                Error(Code::conflict, "the request changed meanwhile: read it and repeat"));
  journal::Event event{.activity = "requests.answer",
                       .touches = {{demand->subject, "requests", blob(demand->id),
                                    demand_digest(*work->keys, *demand)}},
                       .facts = {{"kind", demand->kind},
                                 {"late", std::int64_t{work->now >= demand->due}},
                                 {"outcome", demand->outcome}}};
  if (demand->event) event.facts.emplace_back("event", demand->event->text());
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return shown(*demand, work->now);
}

Task<Result<void>> Requests::look() {
  auto keys = context_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto now = context_.clock.now();
  auto deadline = context_.clock.mono() + kEvery;
  for (;;) {
    auto rows =
        co_await context_.journal.reader().read(kUnalarmed, {to_ms(now), kAlarms}, deadline);
    if (!rows) co_return std::move(rows).error();
    if (rows->empty()) break;
    journal::Event event{.activity = "requests.overdue",
                         .facts = {{"requests", static_cast<std::int64_t>(rows->size())}}};
    std::vector<db::Args> puts;
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto demand = demand_from((*rows)[i]);
      demand.alarmed = now;
      auto before = demand.version++;
      puts.push_back(put_row(demand, before));
      event.touches.push_back(
          {demand.subject, "requests", blob(demand.id), demand_digest(*keys, demand)});
    }
    auto count = db::Expect::exactly(static_cast<std::int64_t>(puts.size()));
    db::Changes changes;
    changes.bulk(kPutDemand, std::move(puts), count);
    auto done = co_await context_.journal.commit({.deadline = deadline}, std::move(changes),
                                                 std::move(event));
    if (!done) co_return std::move(done).error();
  }
  auto late = co_await count_overdue(now, deadline);
  if (!late) co_return std::move(late).error();
  overdue_.store(*late, std::memory_order_relaxed);
  co_return Result<void>();
}

Task<Result<std::int64_t>> Requests::forget(Time now, std::int64_t most) {
  auto held = co_await holds_.in_force(MonoTime::max());
  if (!held) co_return std::move(held).error();
  db::List stay, whole;
  for (const auto& subject : held->subjects) stay.cells.emplace_back(blob(subject));
  for (auto id : held->collections) whole.cells.emplace_back(std::int64_t{id});
  auto rows = co_await context_.journal.reader().read(
      kOldDemands, {to_ms(now - kKept), most, std::move(stay), std::move(whole)});
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return 0;
  auto count = static_cast<std::int64_t>(rows->size());
  journal::Event event{.activity = "requests.forget", .facts = {{"requests", count}}};
  db::List ids, whose;
  std::set<SubjectId> subjects;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto demand = demand_from((*rows)[i]);
    ids.cells.emplace_back(blob(demand.id));
    whose.cells.emplace_back(blob(demand.subject));
    subjects.insert(demand.subject);
    event.touches.push_back({demand.subject, "requests", blob(demand.id), crypto::Digest{}});
  }
  db::Changes changes;
  changes.write(kDropDemands, {std::move(ids)}, db::Expect::exactly(count));
  changes.write(kDropIdleKeys, {std::string(kRequestsGroup), std::move(whose)});
  LegalHolds::guard(changes, std::vector(subjects.begin(), subjects.end()));
  auto done = co_await context_.journal.commit(Caller{}, std::move(changes), std::move(event));
  if (!done && done.error().code == Code::conflict) co_return 0;  // held meanwhile: the next round
  if (!done) co_return std::move(done).error();
  co_return count;
}

Task<void> Requests::watch(const std::atomic<bool>& stop) {
  auto next = context_.clock.mono();
  while (!stop.load()) {
    if (context_.clock.mono() >= next) {
      next = context_.clock.mono() + kEvery;
      (void)co_await look();
    }
    co_await journal::pause_for(kTick);
  }
}

std::vector<http::Route> request_routes(Requests* requests) {
  using http::route;
  std::vector<http::Route> out;
  out.push_back(route<&Requests::open>(
      requests, "requests.open", "POST", "/v1/requests",
      "Note a customer's request under GDPR art. 15 to 21",
      {.status = 201,
       .examples = {
           {"By letter",
            R"({"subject":"ext:4711","kind":"access","received":"2026-11-20T09:00:00Z"})"}}}));
  out.push_back(route<&Requests::list>(requests, "requests.list", "GET", "/v1/requests",
                                       "List requests, those due first"));
  out.push_back(route<&Requests::get>(requests, "requests.get", "GET", "/v1/requests/{request}",
                                      "Show a request with its texts"));
  out.push_back(route<&Requests::update>(
      requests, "requests.update", "PATCH", "/v1/requests/{request}",
      "Say how a request's identity was checked, or add two months",
      {.examples = {{"Known by login", R"({"identity":"account_login"})"}}}));
  out.push_back(route<&Requests::answer>(
      requests, "requests.answer", "POST", "/v1/requests/{request}/answer",
      "Note how a request was answered", {.examples = {{"Granted", R"({"outcome":"granted"})"}}}));
  return out;
}

}  // namespace holdfast::vault
