#include "vault/retention/service.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "journal/entry.h"
#include "journal/slices.h"
#include "vault/idempotency.h"
#include "vault/log_walk.h"
#include "vault/policy.h"
#include "vault/retention/due.h"

namespace holdfast::vault {
namespace {

constexpr Millis kDay{86'400'000};
constexpr std::int64_t kScanned = 250;

/// Values of one field that become due.
struct DueCount {
  std::int64_t overdue = 0, due = 0, held = 0;
  std::optional<Time> oldest;
};

/// Releases a flag that only one may hold.
struct OneAtATime {
  std::atomic<bool>& flag;
  ~OneAtATime() { flag = false; }
};

Result<void> plain_text(std::string_view text, std::string_view name) {
  if (text.empty() || has_control(text, true))
    return Error(Code::invalid, "give the reason as text, not empty and without control characters")
        .at(name);
  return {};
}

/// What an event of a sweep says in its facts.
Result<WentBatch> batch_of(const journal::Stored& stored, const journal::EntryView& view) {
  Error damaged(Code::corrupt,
                "an entry of the journal is damaged; `holdfast journal verify` says which");
  auto entry = journal::decode_entry(stored.entry);
  auto json = parse_json(stored.entry);
  if (!entry || !json || !json->is_object()) return damaged;
  WentBatch out{.seq = stored.seq,
                .event = stored.id,
                .at = from_ms(view.at_ms),
                .operation = entry->operation,
                .collection = {},
                .fields = {}};
  if (!entry->collection.empty()) out.collection = entry->collection;
  boost::system::error_code missing;
  const auto* facts = json->find_pointer("/unmapped/facts", missing);
  if (!facts || !facts->is_object()) return out;
  auto number = [&](std::string_view key) -> std::int64_t {
    const auto* value = facts->get_object().if_contains(key);
    return value && value->is_int64() ? value->get_int64() : 0;
  };
  out.records = number("records");
  out.values = number("values");
  out.tokens = number("tokens");
  out.rows = number("count");
  const auto* counts = facts->get_object().if_contains("counts");
  std::string_view rest =
      counts && counts->is_string() ? std::string_view(counts->get_string()) : std::string_view();
  for (const auto& field : entry->fields) {
    const auto count = rest.substr(0, rest.find(','));
    std::int64_t values = 0;
    std::from_chars(count.data(), count.data() + count.size(), values);
    out.fields.push_back({field, values});
    rest.remove_prefix(std::min(count.size() + 1, rest.size()));
  }
  return out;
}

}  // namespace

Task<Result<RetentionPreview>> Retention::preview(Caller caller, PreviewRetention request) {
  if (previewing_.exchange(true))
    co_return Error(Code::exhausted, "a preview is being made: ask again when it is done");
  OneAtATime release{previewing_};
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  auto out = co_await count_due(caller, std::move(*work), kDay * request.days.value_or(30));
  if (!out) co_return std::move(out).error();
  journal::Event event{.activity = "retention.preview",
                       .facts = {{"days", request.days.value_or(30)}, {"values", out->values}}};
  auto done = co_await deps_.context.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RetentionPreview>> Retention::count_due(Caller caller, Working work, Millis ahead) {
  // Where irreversible work stands still nothing goes, but what would go is of interest all the
  // more.
  const auto as_of = deps_.time.status().time;
  RetentionPreview out{.as_of = as_of, .until = as_of + ahead, .fields = {}};
  auto held = co_await deps_.holds.in_force(caller.deadline);
  if (!held) co_return std::move(held).error();
  for (const auto& [name, collection] : work.schema->collections) {
    auto shortest = shortest_keep(collection);
    if (!shortest) continue;
    std::map<const Field*, DueCount> counts;
    RecordId after{};
    for (bool more = true; more;) {
      auto records =
          co_await deps_.context.store.page(collection.id, after, kScanned, caller.deadline);
      if (!records) co_return std::move(records).error();
      more = std::ssize(*records) == kScanned;
      std::map<SubjectId, Time> closed;
      if (counts_from_closing(collection)) {
        std::set<SubjectId> subjects;
        for (const auto& record : *records) subjects.insert(record.subject);
        auto found = co_await deps_.closings.last_closed(
            std::vector(subjects.begin(), subjects.end()), caller.deadline);
        if (!found) co_return std::move(found).error();
        closed = std::move(*found);
      }
      for (const auto& record : *records) {
        after = record.id;
        if (record.created + *shortest > out.until) {
          more = false;
          break;
        }
        ++out.records;
        auto sealed = unpack(record.sealed);
        if (!sealed) {
          ++out.damaged;
          continue;
        }
        auto ended = closed.find(record.subject);
        bool holds = held->holds(record.subject, collection.id);
        for (const auto& value : *sealed) {
          const auto* field = collection.find(value.field);
          auto at =
              field ? due_at(*field, record,
                             ended == closed.end() ? std::nullopt : std::optional(ended->second))
                    : std::nullopt;
          if (!at || *at > out.until) continue;
          auto& count = counts[field];
          count.overdue += *at <= as_of;
          ++count.due;
          count.held += holds;
          count.oldest = std::min(count.oldest.value_or(*at), *at);
        }
      }
      co_await journal::pause_for(Millis(1));
    }
    for (const auto& field : collection.fields) {
      auto found = counts.find(&field);
      if (found == counts.end()) continue;
      const auto& count = found->second;
      out.values += count.due;
      out.held += count.held;
      out.fields.push_back({name, field.name, field.keep->duration,
                            field.keep->from.value_or(KeepFrom::created), count.overdue, count.due,
                            count.held, count.oldest});
    }
  }
  co_return out;
}

Task<Result<HoldView>> Retention::shown(const Working& work, const Hold& hold) {
  HoldView out{.hold = hold.id,
               .subject = hold.subject,
               .collection = {},
               .placed_by = hold.placed_by,
               .placed = hold.placed,
               .until = hold.until,
               .lifted = hold.released,
               .lifted_by = {},
               .reason = {}};
  if (hold.collection) {
    const auto* collection = work.schema->find(*hold.collection);
    out.collection = collection ? collection->name : "?";
  }
  if (hold.released) out.lifted_by = hold.released_by;
  auto reason = open_reason(*work.keys, hold);
  if (!reason) co_return std::move(reason).error();
  if (!reason->empty()) out.reason = std::move(*reason);
  co_return out;
}

Task<Result<HoldView>> Retention::hold(Caller caller, PlaceHold request) {
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  if (request.subject.has_value() == request.collection.has_value())
    co_return Error(Code::invalid, "name either a customer or a collection").at("subject");
  if (auto good = plain_text(request.reason, "reason"); !good) co_return std::move(good).error();
  auto text = to_json(request);
  Repeat repeat(*work->keys, caller, "retention.hold", request.idempotency_key, text, work->now);
  wipe(text);
  auto earlier = co_await repeat.earlier(deps_.context.journal.reader(), caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return co_await placed_before(*work, **earlier, caller.deadline);
  if (request.until && *request.until <= work->now)
    co_return Error(Code::invalid, "a hold ends in the future").at("until");
  auto count = co_await deps_.holds.count(caller.deadline);
  if (!count) co_return std::move(count).error();
  if (*count >= kMostHolds)
    co_return Error(Code::conflict,
                    "10,000 holds are in force: lift some, or hold a collection as a whole");
  Hold hold{.id = HoldId::make(work->now),
            .subject = {},
            .collection = {},
            .placed_by = caller.principal,
            .placed = work->now,
            .until = request.until,
            .released_by = {},
            .released = {},
            .sealed = {},
            .version = 1};
  journal::Event event{.activity = "retention.hold"};
  if (request.subject) {
    auto subject =
        co_await find_subject(deps_.context, *work->keys, *request.subject, caller.deadline);
    if (!subject) co_return std::move(subject).error();
    hold.subject = subject->id;
  } else {
    const auto* collection = work->schema->find(*request.collection);
    if (!collection) co_return Error(Code::not_found, "no such collection").at("collection");
    hold.collection = collection->id;
    event.collection = collection->name;
  }
  hold.sealed = seal_reason(*work->keys, hold.id, request.reason);
  wipe(request.reason);
  if (hold.until) event.facts.emplace_back("until", rfc3339(*hold.until));
  db::Changes changes;
  LegalHolds::add(changes, event, *work->keys, hold);
  repeat.remember(changes, hold.id.text());
  // Noted outside first: a crash between the two leaves one hold too many, never one too few.
  auto done = co_await journal::commit_noted(deps_.context.journal, LegalHolds::placed(hold),
                                             caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  deps_.holds.know(hold);
  co_return co_await shown(*work, hold);
}

/// The hold that the same request placed, as it is by now.
Task<Result<HoldView>> Retention::placed_before(const Working& work, std::string_view id,
                                                MonoTime deadline) {
  auto known = HoldId::parse(id);
  if (!known) co_return Error(Code::corrupt, "a remembered answer cannot be read");
  auto found = co_await deps_.holds.find(*known, deadline);
  if (!found) co_return std::move(found).error();
  if (!*found || (*found)->released)
    co_return Error(Code::gone,
                    "the hold that this request placed was lifted meanwhile: to place another, use "
                    "a new Idempotency-Key");
  co_return co_await shown(work, **found);
}

Task<Result<HoldView>> Retention::unhold(Caller caller, LiftHold request) {
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  if (auto good = plain_text(request.reason, "reason"); !good) co_return std::move(good).error();
  auto found = co_await deps_.holds.find(request.hold, caller.deadline);
  if (!found) co_return std::move(found).error();
  if (!*found) co_return Error(Code::not_found, "no such hold").at("hold");
  auto& hold = **found;
  if (hold.released) co_return Error(Code::gone, "this hold was lifted before").at("hold");
  db::Changes changes;
  journal::Event event{.activity = "retention.unhold", .note = std::move(request.reason)};
  LegalHolds::lift(changes, event, *work->keys, hold, caller.principal, work->now);
  auto done = co_await deps_.context.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  // After the deed: without this line a restore holds it again, which harms nobody.
  if (auto noted = co_await deps_.holds.note_lifted(hold.id); !noted)
    co_return std::move(noted).error();
  co_return co_await shown(*work, hold);
}

Task<Result<HoldList>> Retention::holds(Caller caller, ListHolds request) {
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  HoldId after{};
  if (request.after) {
    auto parsed = HoldId::parse(*request.after);
    if (!parsed) co_return Error(Code::invalid, "not a `next` of an earlier page").at("after");
    after = *parsed;
  }
  const auto limit = request.limit.value_or(100);
  auto found = co_await deps_.holds.list(request.ended, after, limit + 1, caller.deadline);
  if (!found) co_return std::move(found).error();
  HoldList out;
  if (std::ssize(*found) > limit) {
    found->resize(static_cast<std::size_t>(limit));
    out.next = found->back().id.text();
  }
  journal::Event event{.activity = "retention.holds"};
  for (const auto& hold : *found) {
    auto view = co_await shown(*work, hold);
    if (!view) co_return std::move(view).error();
    out.holds.push_back(std::move(*view));
    event.touches.push_back({hold.subject, "holds", to_bytes(hold.id.bytes()), {}});
  }
  auto done = co_await deps_.context.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RetentionReport>> Retention::report(Caller caller, ReportRetention request) {
  auto& log = deps_.log;
  const auto now = deps_.context.clock.now();
  const auto until = request.until.value_or(now + kDay);
  const auto since = request.since.value_or(now - 30 * kDay);
  if (since >= until) co_return Error(Code::invalid, "`since` must lie before `until`").at("since");
  if (auto done = co_await log.sequence(); !done) co_return std::move(done).error();
  std::int64_t from = 0;
  if (request.after) {
    from = *request.after;
  } else {
    auto first = co_await first_entry_at(log, since - kDay);
    if (!first) co_return std::move(first).error();
    from = *first;
  }
  const auto limit = static_cast<std::size_t>(request.limit.value_or(100));
  RetentionReport out;
  auto seen = [&](const journal::Stored& stored, const journal::EntryView& view) -> Result<bool> {
    if (!view.operation.starts_with("retention.sweep") && view.operation != "journal.sweep_sides")
      return true;
    auto batch = batch_of(stored, view);
    if (!batch) return std::move(batch).error();
    out.records += batch->records;
    out.values += batch->values;
    out.tokens += batch->tokens;
    out.rows += batch->rows;
    out.batches.push_back(std::move(*batch));
    return out.batches.size() < limit;
  };
  auto end =
      co_await walk_entries(log, from, since, until, caller.deadline, deps_.context.clock, seen);
  if (!end) co_return std::move(end).error();
  if (out.batches.size() == limit) out.next = *end;
  journal::Event event{.activity = "retention.report",
                       .facts = {{"batches", static_cast<std::int64_t>(out.batches.size())}}};
  auto done = co_await deps_.context.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RetentionStatus>> Retention::status(Caller caller, NoRetentionArguments) {
  auto time = deps_.time.status();
  auto sweep = deps_.sweep.status();
  auto holds = co_await deps_.holds.count(caller.deadline);
  if (!holds) co_return std::move(holds).error();
  RetentionStatus out{.journal_time = time.time,
                      .clock = time.wall,
                      .behind_ms = time.behind.count(),
                      .allowance_ms = time.allowance.count(),
                      .confirmations = time.confirmations,
                      .holds = *holds,
                      .database_drift_ms = {},
                      .refused = {},
                      .sweep = {.running = sweep.running,
                                .started = sweep.started,
                                .finished = sweep.finished,
                                .records = sweep.last.records,
                                .values = sweep.last.values,
                                .tokens = sweep.last.tokens,
                                .held = sweep.last.held,
                                .damaged = sweep.last.damaged,
                                .others = sweep.last.others,
                                .stopped = {}}};
  if (time.database) out.database_drift_ms = time.database->count();
  if (time.refused) out.refused = time.refused->text;
  if (sweep.stopped) out.sweep.stopped = sweep.stopped->text;
  co_return out;
}

Task<Result<ConfirmedTime>> Retention::confirm(Caller caller, ConfirmTime request) {
  auto status = co_await deps_.time.confirm(std::move(caller), request.time);
  if (!status) co_return std::move(status).error();
  co_return ConfirmedTime{status->time, status->behind.count()};
}

std::vector<http::Route> retention_routes(Retention* retention) {
  using http::route;
  using R = Retention;
  constexpr std::chrono::milliseconds kLong{600'000};
  std::vector<http::Route> out;
  out.push_back(route<&R::preview>(retention, "retention.preview", "GET", "/v1/retention/preview",
                                   "Count the values whose keep time ends within some days",
                                   {.limits = {.time = kLong}}));
  out.push_back(route<&R::report>(retention, "retention.report", "GET", "/v1/retention/report",
                                  "Show what the sweep has removed, and when",
                                  {.limits = {.time = kLong}}));
  out.push_back(route<&R::status>(retention, "retention.status", "GET", "/v1/retention/status",
                                  "Show journal time, the last sweep, and what stands still"));
  out.push_back(route<&R::hold>(
      retention, "retention.hold", "POST", "/v1/retention/holds",
      "Place a legal hold: nothing of a customer or collection is destroyed",
      {.examples = {{"A customer", R"({"subject":"ext:4711","reason":"dispute, file 12/26"})"}}}));
  out.push_back(route<&R::holds>(retention, "retention.holds", "GET", "/v1/retention/holds",
                                 "List legal holds"));
  out.push_back(route<&R::unhold>(retention, "retention.unhold", "POST",
                                  "/v1/retention/holds/{hold}/lift", "Lift a legal hold",
                                  {.examples = {{"", R"({"reason":"settled"})"}}}));
  out.push_back(route<&R::confirm>(
      retention, "keys.confirm_time", "POST", "/v1/keys/time",
      "Confirm what time it is, so that irreversible work goes on after a gap",
      {.examples = {{"By your own watch", R"({"time":"2026-11-26T21:45:00Z"})"}}}));
  return out;
}

}  // namespace holdfast::vault
