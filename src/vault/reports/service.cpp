#include "vault/reports/service.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_set>

#include "journal/entry.h"
#include "journal/slices.h"
#include "vault/log_walk.h"
#include "vault/reports/counts.h"
#include "vault/reports/pages.h"

namespace holdfast::vault {
namespace {

constexpr Millis kDay{86'400'000};
constexpr std::size_t kMostPairs = 2'000'000;
constexpr std::size_t kBatchesAtOnce = 50;

struct Period {
  Time since, until;
};
Result<Period> period_of(const ReportPeriod& request, Time now) {
  Period out{request.since.value_or(now - 90 * kDay), request.until.value_or(now + kDay)};
  if (out.since >= out.until)
    return Error(Code::invalid, "`since` must lie before `until`").at("since");
  return out;
}

std::int64_t at(const auto& counts, const auto& key) {
  auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

std::string time_limit(const Field& field) {
  if (!field.keep) return "with the keep group `" + field.keep_group + "`";
  switch (field.keep->from.value_or(KeepFrom::created)) {
    case KeepFrom::created:
      return field.keep->duration + " after it was collected";
    case KeepFrom::updated:
      return field.keep->duration + " after the last change";
    case KeepFrom::closed:
      return field.keep->duration + " after the last order, ticket or call was closed";
  }
  return field.keep->duration;
}

/// The measures that hold for every store that Holdfast runs.
std::vector<std::string> measures() {
  return {// NOLINTNEXTLINE(bugprone-suspicious-missing-comma): most of them take two lines
          "Each value is sealed with AES-256-GCM under a key of its customer; a stolen database "
          "opens nothing.",
          "A value is opened only for a declared purpose, by who was granted it, and masked "
          "otherwise.",
          "Each opening and each change is recorded in a tamper-evident, signed log before it is "
          "shown or done.",
          "Values are erased when their time limit ends; erasing a customer destroys the "
          "customer's keys, which backups cannot bring back.",
          "Keys lie apart from the data and its backups, with recovery shares that several people "
          "hold.",
          "Transport is encrypted with TLS 1.2 or 1.3."};
}

/// Whether the fields of an event are all of the collection that it names.
bool names_its_collection(std::string_view operation) {
  return operation == "records.reveal" || operation == "records.verify" ||
         operation == "records.search";
}

/// Whether it opens whatever there is, which says nothing of what is used.
bool opens_all(std::string_view operation) {
  return operation == "subjects.export" || operation == "canaries.sample";
}

struct Use {
  std::int64_t opened = 0, searched = 0;
  std::optional<Time> last;
};

/// One actor under one key, while a period is walked.
struct Tally {
  std::int64_t events = 0;
  std::unordered_set<SubjectId> subjects;
  std::set<std::string> fields, purposes;
  Time first{}, last{};
};

}  // namespace

/// One report at a time.
class Reports::Turn {
 public:
  explicit Turn(std::atomic<bool>& busy) : busy_(busy), mine_(!busy.exchange(true)) {}
  ~Turn() {
    if (mine_) busy_ = false;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  Result<void> taken() const {
    if (mine_) return {};
    return Error(Code::exhausted, "a report is being made: ask again when it is done");
  }

 private:
  std::atomic<bool>& busy_;
  bool mine_;
};

Task<Result<void>> Reports::recorded(Caller caller, std::string_view activity) {
  auto done = co_await deps_.context.journal.commit(caller, {}, {.activity = activity});
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

Task<Result<DataMap>> Reports::mapped(Caller caller, const Working& work) {
  auto records = co_await count_records(deps_.context, *work.schema, caller.deadline);
  if (!records) co_return std::move(records).error();
  auto tokens = co_await count_tokens(deps_.context, caller.deadline);
  if (!tokens) co_return std::move(tokens).error();
  auto subjects = co_await count_subjects(deps_.context, caller.deadline);
  if (!subjects) co_return std::move(subjects).error();
  DataMap out{.at = work.now,
              .customers = subjects->living,
              .erased_customers = subjects->erased,
              .values = records->total,
              .tokens = tokens->total,
              .damaged = records->damaged,
              .collections = {},
              .purposes = {}};
  for (const auto& [name, collection] : work.schema->collections) {
    MappedCollection mapped{.collection = name,
                            .doc = collection.doc,
                            .records = at(records->records, collection.id),
                            .fields = {}};
    out.records += mapped.records;
    for (const auto& field : collection.fields) {
      FieldKey key{collection.id, field.id};
      mapped.fields.push_back({.field = field.name,
                               .type = field.type,
                               .field_class = field.field_class,
                               .index = field.index,
                               .purposes = field.purposes,
                               .keep = field.keep,
                               .keep_group = field.keep_group,
                               .values = at(records->values, key),
                               .tokens = at(tokens->tokens, key)});
    }
    out.collections.push_back(std::move(mapped));
  }
  for (const auto& [name, purpose] : work.schema->purposes)
    out.purposes.push_back({name, purpose.legal_basis, purpose.doc});
  co_return out;
}

Task<Result<DataMap>> Reports::data_map(Caller caller, NoReportArguments) {
  Turn turn(busy_);
  if (auto mine = turn.taken(); !mine) co_return std::move(mine).error();
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  auto out = co_await mapped(caller, *work);
  if (!out) co_return std::move(out).error();
  if (auto done = co_await recorded(std::move(caller), "reports.data_map"); !done)
    co_return std::move(done).error();
  co_return out;
}

Task<Result<void>> Reports::data_map_csv(Caller caller, NoReportArguments request,
                                         http::BodyWriter& out) {
  auto map = co_await data_map(std::move(caller), request);
  if (!map) co_return std::move(map).error();
  if (auto done = co_await out.start("text/csv; charset=utf-8"); !done) co_return done;
  auto text = vault::data_map_csv(*map);
  co_return co_await out.write(text);
}

Task<Result<UnusedReport>> Reports::unused(Caller caller, ReportPeriod request) {
  Turn turn(busy_);
  if (auto mine = turn.taken(); !mine) co_return std::move(mine).error();
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  auto period = period_of(request, work->now);
  if (!period) co_return std::move(period).error();
  auto records = co_await count_records(deps_.context, *work->schema, caller.deadline);
  if (!records) co_return std::move(records).error();

  std::map<FieldKey, Use> uses;
  auto use = [&](const Collection& collection, std::string_view name, bool search, Time when) {
    const auto* field = collection.find(name);
    if (!field) return false;
    auto& one = uses[{collection.id, field->id}];
    ++(search ? one.searched : one.opened);
    one.last = std::max(one.last.value_or(when), when);
    return true;
  };
  auto seen = [&](const journal::Stored& stored, const journal::EntryView& view) -> Result<bool> {
    const bool search = view.operation == "records.search";
    if (!(view.opened || search || view.operation == "records.verify") ||
        view.outcome != "success" || opens_all(view.operation))
      return true;
    auto entry = journal::decode_entry(stored.entry);
    if (!entry) return std::move(entry).error();
    const auto* named =
        names_its_collection(entry->operation) ? work->schema->find(entry->collection) : nullptr;
    for (const auto& name : entry->fields) {
      if (named && use(*named, name, search, entry->at)) continue;
      for (const auto& [other, collection] : work->schema->collections)
        use(collection, name, search, entry->at);
    }
    return true;
  };
  auto& log = deps_.log;
  if (auto done = co_await log.sequence(); !done) co_return std::move(done).error();
  auto from = co_await first_entry_at(log, period->since - kDay);
  if (!from) co_return std::move(from).error();
  auto end = co_await walk_entries(log, *from, period->since, period->until, caller.deadline,
                                   deps_.context.clock, seen);
  if (!end) co_return std::move(end).error();

  UnusedReport out{.since = period->since, .until = period->until, .fields = {}};
  for (const auto& [name, collection] : work->schema->collections) {
    for (const auto& field : collection.fields) {
      FieldKey key{collection.id, field.id};
      auto found = uses.find(key);
      Use one = found == uses.end() ? Use{} : found->second;
      auto values = at(records->values, key);
      out.fields.push_back({name, field.name, values, one.opened, one.searched, one.last,
                            values > 0 && one.opened + one.searched == 0});
    }
  }
  auto order = [](const FieldUse& one) {
    return std::tuple(!one.unused, one.unused ? -one.values : 0, std::string_view(one.collection),
                      std::string_view(one.field));
  };
  std::ranges::sort(out.fields, {}, order);
  if (auto done = co_await recorded(std::move(caller), "reports.unused"); !done)
    co_return std::move(done).error();
  co_return out;
}

Task<Result<KeyVersions>> Reports::key_versions(Caller caller, NoReportArguments) {
  Turn turn(busy_);
  if (auto mine = turn.taken(); !mine) co_return std::move(mine).error();
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  auto records = co_await count_records(deps_.context, *work->schema, caller.deadline);
  if (!records) co_return std::move(records).error();
  auto tokens = co_await count_tokens(deps_.context, caller.deadline);
  if (!tokens) co_return std::move(tokens).error();
  auto subjects = co_await count_subjects(deps_.context, caller.deadline);
  if (!subjects) co_return std::move(subjects).error();
  auto wrapped = co_await count_subject_keys(deps_.context, caller.deadline);
  if (!wrapped) co_return std::move(wrapped).error();

  KeyVersions out{.at = work->now,
                  .epochs = {},
                  .values = {},
                  .index_keys = {},
                  .external_ids = subjects->external_ids,
                  .tokens = tokens->total,
                  .token_keys = {},
                  .damaged = records->damaged,
                  .keys = {}};
  std::map<std::int64_t, std::int64_t> by_index_key;
  for (const auto& [id, collection] : work->schema->by_id)
    for (const auto& field : collection->fields)
      for (const auto& index : field.indexes) {
        auto terms = co_await count_terms(deps_.context, index.number, caller.deadline);
        if (!terms) co_return std::move(terms).error();
        by_index_key[index.key] += *terms;
        out.index_terms += *terms;
      }
  for (const auto& [key, terms] : by_index_key) out.index_keys.push_back({key, terms});
  for (const auto& [key, count] : tokens->by_key)
    out.token_keys.push_back({std::int64_t{key}, count});
  for (const auto& [key, count] : records->by_key) out.values.push_back({std::int64_t{key}, count});
  for (const auto& key : work->keys->ring.list()) {
    out.keys.push_back(
        {std::string(use_name(key.use)), std::int64_t{key.id}, key.created, key.active});
    if (key.use != crypto::KeyUse::epoch) continue;
    out.epochs.push_back(
        {std::int64_t{key.id}, key.created, key.active, true, at(*wrapped, key.id)});
    wrapped->erase(key.id);
  }
  for (const auto& [epoch, count] : *wrapped)
    out.epochs.push_back({std::int64_t{epoch}, {}, false, false, count});
  std::ranges::sort(out.epochs, {}, &EpochCount::epoch);
  if (auto done = co_await recorded(std::move(caller), "reports.key_versions"); !done)
    co_return std::move(done).error();
  co_return out;
}

Task<Result<Art30Record>> Reports::record_of(const Working& work) {
  Art30Record out{.at = work.now,
                  .controller = deps_.controller,
                  .missing = {},
                  .activities = {},
                  .measures = measures()};
  const auto& c = deps_.controller;
  auto need = [&](std::string_view setting, bool given) {
    if (!given) out.missing.push_back("the setting `controller." + std::string(setting) + "`");
  };
  need("name", !c.name.empty());
  need("address", !c.address.empty());
  need("email", !c.email.empty() || !c.phone.empty());
  need("recipients", !c.recipients.empty());
  for (const auto& [name, purpose] : work.schema->purposes) {
    ProcessingActivity activity{.purpose = name,
                                .legal_basis = purpose.legal_basis,
                                .doc = purpose.doc,
                                .data_subjects = {"customers of the shop"},
                                .fields = {}};
    for (const auto& [collection_name, collection] : work.schema->collections)
      for (const auto& field : collection.fields)
        if (field.purposes.empty() ||
            std::ranges::find(field.purposes, name) != field.purposes.end())
          activity.fields.push_back(
              {collection_name, field.name, field.field_class, time_limit(field)});
    if (!activity.fields.empty()) out.activities.push_back(std::move(activity));
  }
  co_return out;
}

Task<Result<Art30Record>> Reports::art30(Caller caller, NoReportArguments) {
  auto work = co_await begin(deps_.context, caller);
  if (!work) co_return std::move(work).error();
  auto out = co_await record_of(*work);
  if (!out) co_return std::move(out).error();
  if (auto done = co_await recorded(std::move(caller), "reports.art30"); !done)
    co_return std::move(done).error();
  co_return out;
}

Task<Result<void>> Reports::art30_page(Caller caller, NoReportArguments request,
                                       http::BodyWriter& out) {
  auto record = co_await art30(std::move(caller), request);
  if (!record) co_return std::move(record).error();
  if (auto done = co_await out.start("text/html; charset=utf-8"); !done) co_return done;
  auto text = art30_html(*record);
  co_return co_await out.write(text);
}

Task<Result<OpeningsReport>> Reports::openings(Caller caller, ReportPeriod request) {
  Turn turn(busy_);
  if (auto mine = turn.taken(); !mine) co_return std::move(mine).error();
  const auto now = deps_.context.clock.now();
  auto period = period_of(request, now);
  if (!period) co_return std::move(period).error();
  auto& log = deps_.log;
  if (auto done = co_await log.sequence(); !done) co_return std::move(done).error();
  auto from = co_await first_entry_at(log, period->since - kDay);
  if (!from) co_return std::move(from).error();

  std::map<std::pair<std::string, std::string>, Tally> tallies;
  std::unordered_set<SubjectId> all;
  std::size_t pairs = 0;
  std::vector<std::pair<EventId, Tally*>> batches;  // their customers lie in the leaves
  OpeningsReport out{.since = period->since, .until = period->until, .actors = {}};
  auto add = [&](Tally& tally, const SubjectId& subject) {
    all.insert(subject);
    pairs += tally.subjects.insert(subject).second;
  };
  auto seen = [&](const journal::Stored& stored, const journal::EntryView& view) -> Result<bool> {
    if (!view.opened || view.outcome != "success") return true;
    auto entry = journal::decode_entry(stored.entry);
    if (!entry) return std::move(entry).error();
    auto& tally = tallies[{entry->actor, entry->principal}];
    if (tally.events == 0) tally.first = tally.last = entry->at;
    tally.first = std::min(tally.first, entry->at);
    tally.last = std::max(tally.last, entry->at);
    ++tally.events;
    ++out.events;
    for (const auto& field : entry->fields) tally.fields.insert(field);
    if (!entry->purpose.empty()) tally.purposes.insert(entry->purpose);
    for (const auto& touch : entry->touches)
      if (touch.subject) add(tally, *touch.subject);
    if (entry->root) batches.emplace_back(stored.id, &tally);
    return batches.size() < kBatchesAtOnce && pairs <= kMostPairs;
  };
  journal::Slices slices;
  for (auto next = *from;;) {
    auto end = co_await walk_entries(log, next, period->since, period->until, caller.deadline,
                                     deps_.context.clock, seen);
    if (!end) co_return std::move(end).error();
    const bool paused = batches.size() >= kBatchesAtOnce;
    for (auto& [event, tally] : std::exchange(batches, {})) {
      auto leaves = co_await log.leaves(event);
      if (!leaves) co_return std::move(leaves).error();
      for (const auto& leaf : *leaves) {
        auto touch = journal::decode_leaf(leaf);
        if (!touch) co_return std::move(touch).error();
        if (touch->subject && !touch->unopened) add(*tally, *touch->subject);
        if (slices.due()) co_await slices.pause();
      }
    }
    if (pairs > kMostPairs)
      co_return Error(Code::too_large, "too much was opened in this period: choose a shorter one")
          .at("since");
    if (!paused) break;
    next = *end;
  }
  out.subjects = static_cast<std::int64_t>(all.size());
  for (auto& [who, tally] : tallies)
    out.actors.push_back({.actor = who.first,
                          .principal = who.second,
                          .events = tally.events,
                          .subjects = static_cast<std::int64_t>(tally.subjects.size()),
                          .fields = static_cast<std::int64_t>(tally.fields.size()),
                          .first = tally.first,
                          .last = tally.last,
                          .purposes = {tally.purposes.begin(), tally.purposes.end()}});
  auto order = [](const ActorOpenings& one) {
    return std::tuple(-one.subjects, std::string_view(one.actor), std::string_view(one.principal));
  };
  std::ranges::sort(out.actors, {}, order);
  if (auto done = co_await recorded(std::move(caller), "reports.openings"); !done)
    co_return std::move(done).error();
  co_return out;
}

std::vector<http::Route> report_routes(Reports* reports) {
  using http::route;
  using R = Reports;
  const http::RouteOptions long_one{.limits = {.time = std::chrono::milliseconds(600'000)}};
  std::vector<http::Route> out;
  out.push_back(route<&R::data_map>(reports, "reports.data_map", "GET", "/v1/reports/data-map",
                                    "Show what is held, what for, for how long and how much",
                                    long_one));
  out.push_back(route<&R::data_map_csv>(reports, "reports.data_map_csv", "GET",
                                        "/v1/reports/data-map.csv",
                                        "Download the data map as CSV"));
  out.push_back(route<&R::unused>(reports, "reports.unused", "GET", "/v1/reports/unused",
                                  "Show fields that are collected and never used", long_one));
  out.push_back(route<&R::key_versions>(reports, "reports.key_versions", "GET",
                                        "/v1/reports/key-versions",
                                        "Count rows under each version of each key", long_one));
  out.push_back(route<&R::art30>(reports, "reports.art30", "GET", "/v1/reports/art30",
                                 "Show the record of processing activities (GDPR art. 30)"));
  out.push_back(route<&R::art30_page>(reports, "reports.art30_page", "GET",
                                      "/v1/reports/art30.html",
                                      "Download the record of processing activities as HTML"));
  out.push_back(route<&R::openings>(reports, "reports.openings", "GET", "/v1/reports/openings",
                                    "Show who opened how much in a period", long_one));
  return out;
}

}  // namespace holdfast::vault
