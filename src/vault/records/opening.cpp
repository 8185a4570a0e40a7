#include "vault/records/opening.h"

#include <algorithm>

#include "vault/policy.h"
#include "vault/records/service.h"
#include "vault/records/wrong_values.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kSlice = 64;
constexpr std::string_view kUnknownField = "unknown_field";
constexpr std::string_view kOtherCustomer = "other_customer";

Error no_record() {
  return Error(Code::not_found, "no such record").at("record");
}
Error not_open() {
  return {Code::forbidden, "nothing here is open to you for this purpose; this try was recorded"};
}

/// Why an engagement that holds does not help here.
Error barred(std::string_view reason) {
  if (reason == kOtherCustomer)
    return Error(Code::forbidden, "this engagement is for another customer; this try was recorded")
        .at("engagement");
  if (reason == "assignee")
    return Error(Code::forbidden,
                 "this engagement was given to somebody else; this try was recorded")
        .at("engagement");
  return Error(Code::forbidden,
               "these fields do not open under an engagement of this kind; this try was recorded")
      .at("engagement");
}

Error without_engagement() {
  return Error(Code::forbidden,
               "this opens only under a live engagement of the customer: name it; this try was "
               "recorded")
      .at("engagement");
}

Error without_person() {
  return Error(Code::forbidden,
               "this opens only where the call says who is behind it, such as `staff:17` or "
               "`customer:4711`; this try was recorded")
      .at("on_behalf_of");
}

/// Errors: invalid (none, or one of them twice).
Result<void> check_fields(std::vector<std::string> fields) {
  if (fields.empty()) return Error(Code::invalid, "name at least one field").at("fields");
  std::ranges::sort(fields);
  if (std::ranges::adjacent_find(fields) != fields.end())
    return Error(Code::invalid, "a field is named twice").at("fields");
  return {};
}

/// Why nothing at all may be shown; what was erased or damaged is listed instead.
std::optional<Error> nothing_open(const Opened& opened, const Error& forbidden) {
  if (opened.any) return std::nullopt;
  std::string_view shut;
  for (const auto& record : opened.records)
    for (const auto& refusal : record.refused) {
      if (refusal.reason == "forbidden") return forbidden;
      if (is_closed(refusal.reason)) shut = refusal.reason;
    }
  return shut.empty() ? std::nullopt : std::optional(closed_by_customer(shut));
}

/// Equal under the field's rules; exactly equal where these leave nothing to compare.
bool same_value(const Field& field, const Secret& stored, const Secret& offered,
                std::string_view calling_code) {
  auto term = index_term(field, stored.expose_text(), calling_code);
  if (!term.empty())
    return term.matches(index_term(field, offered.expose_text(), calling_code).expose());
  auto checked = checked_value(field, offered.expose_text());
  return checked && checked->matches(stored.expose());
}

std::string_view refusal_of(Code code) {
  if (code == Code::gone) return "erased";
  return code == Code::corrupt ? "corrupt" : "forbidden";
}

bool holds(std::span<const std::string> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

/// Each declared field that was refused anywhere in the request, once; what is no field's name may
/// be anything, and is only counted.
void note_refusals(const std::vector<OpenedRecord>& records, journal::Event& event) {
  std::vector<std::string> names;
  std::int64_t unknown = 0;
  for (const auto& record : records)
    for (const auto& refusal : record.refused)
      if (refusal.reason == kUnknownField)
        ++unknown;
      else if (!holds(names, refusal.field))
        names.push_back(refusal.field);
  if (unknown > 0) event.facts.emplace_back("unknown_fields", unknown);
  if (names.empty()) return;
  std::string joined;
  for (const auto& name : names) (joined += joined.empty() ? "" : ",") += name;
  event.facts.emplace_back("refused_fields", std::move(joined));
}

/// Whether it is a card's field and a person asks, or stands behind the call: who could try numbers
/// until one is right.
bool tries_cards(const Field& field, const Caller& caller) {
  return is_card(field.type) &&
         (!caller.on_behalf_of.empty() || caller.principal.starts_with("staff_"));
}

}  // namespace

Error closed_by_customer(std::string_view reason) {
  if (reason == "restricted")
    return {
        Code::forbidden,
        "the customer is restricted, or was erased and a legal duty holds the rest, which closes "
        "this for the purpose: see `holdfast subjects standing`; this try was recorded"};
  if (reason == "objected")
    return {Code::forbidden,
            "the customer objected to this purpose: see `holdfast subjects standing`; this try was "
            "recorded"};
  return {Code::forbidden,
          "this purpose needs the customer's consent, which is not given: see `holdfast subjects "
          "standing`; this try was recorded"};
}

Task<Result<Caller>> Opening::prepare(const Working& work, Caller caller,
                                      std::string_view operation, std::string_view purpose,
                                      const std::optional<std::string>& on_behalf_of) {
  journal::Event event{.activity = operation};
  if (!work.schema->purposes.contains(
          purpose))  // and what was written there stays out of the journal
    co_return co_await refused(std::move(caller), std::move(event),
                               no_such_purpose(*work.schema, purpose));
  if (!on_behalf_of) co_return caller;
  auto acting = context_.permits.acting_for(caller, *on_behalf_of);
  if (acting) co_return acting;
  auto error = std::move(acting).error().at("on_behalf_of");
  if (error.code != Code::forbidden) co_return error;
  event.purpose = purpose;
  co_return co_await refused(std::move(caller), std::move(event), std::move(error));
}

Task<Error> Opening::refused(Caller caller, journal::Event event, Error error) {
  return admission_.refused(std::move(caller), std::move(event), std::move(error));
}

Task<Error> Opening::refused_under(Caller caller, journal::Event event, bool engaged,
                                   std::string_view missing, Error error) {
  if (missing == "person") error = without_person();
  if (missing != "engagement" && missing != "assignee")
    return admission_.refused(std::move(caller), std::move(event), std::move(error));
  return admission_.refused(std::move(caller), std::move(event),
                            engaged ? barred(missing) : without_engagement(), "engagement");
}

Task<Result<std::optional<Engaged>>> Opening::engage(const Working& work, const Caller& caller,
                                                     std::string_view operation,
                                                     std::string purpose,
                                                     std::optional<std::string> named) {
  if (!named) co_return std::nullopt;
  auto engaged = co_await admission_.engage(work, caller, std::move(*named));
  if (engaged) co_return std::optional(std::move(*engaged));
  if (engaged.error().code != Code::forbidden) co_return std::move(engaged).error();
  co_return co_await admission_.refused(caller,
                                        {.activity = operation, .purpose = std::move(purpose)},
                                        std::move(engaged).error(), "engagement");
}

Task<Result<EventId>> Opening::record(const Working& work, const Caller& caller, Opened& opened,
                                      Error not_open) {
  if (!opened.barred.empty())
    co_return co_await admission_.refused(caller, std::move(opened.event), barred(opened.barred),
                                          "engagement");
  if (auto why = nothing_open(opened, not_open))
    co_return co_await refused(caller, std::move(opened.event), std::move(*why));
  auto done = co_await admission_.record(work, caller, std::move(opened.showing), {},
                                         std::move(opened.event));
  if (!done) co_return std::move(done).error();
  co_return done->receipt.event;
}

Task<Result<std::optional<SubjectId>>> Opening::own_only(const Working& work, const Caller& caller,
                                                         std::string_view purpose) {
  if (purpose != kSelfService) co_return std::nullopt;
  auto own = co_await own_subject(context_, *work.keys, caller);
  if (own && !*own) co_return std::optional(SubjectId{});
  co_return own;
}

Permitted Opening::permitted(const Caller& caller, const Collection& collection, const Field& field,
                             SubjectId subject, std::optional<SubjectId> own,
                             Opened& opened) const {
  const auto* engaged = opened.showing.engaged ? &*opened.showing.engaged : nullptr;
  if (engaged && engaged->subject != subject) {
    opened.barred = kOtherCustomer;
    return {};
  }
  if (own && *own != subject) return {};
  auto out = permitted_field(context_, caller, opened.event.activity, collection, field,
                             opened.event.purpose, engaged);
  // Who names an engagement that does not help is told, instead of shown masks.
  if (engaged && (out.missing == "engagement" || out.missing == "assignee"))
    opened.barred = out.missing;
  return out;
}

Result<OpenedRecord> Opening::open_one(const Working& work, const Caller& caller,
                                       const Openable& openable,
                                       const std::vector<std::string>& wanted,
                                       const Purpose& purpose, bool allowed, Opened& opened) {
  const auto& record = openable.record;
  const auto* collection = work.schema->find(record.collection);
  if (!collection) return Error(Code::corrupt, "the record's collection is missing");
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  bool cleared = false;
  auto standing = standing_of(*work.keys, *openable.subject);
  auto shut = standing ? closed_for(*standing, openable.subject->erased.has_value(), purpose)
                       : Closed::open;
  OpenedRecord out{
      .record = record.id, .subject = record.subject, .values = {}, .masked = {}, .refused = {}};
  for (const auto& name : wanted) {
    const auto* field = collection->find(name);
    if (!field) {
      out.refused.push_back({name, std::string(kUnknownField)});
      continue;
    }
    auto permitted = allowed
                         ? this->permitted(caller, *collection, *field, record.subject, {}, opened)
                         : Permitted();
    if (permitted.view == View::none) {
      out.refused.push_back({name, "forbidden"});
      continue;
    }
    if (!standing || shut != Closed::open) {
      out.refused.push_back({name, std::string(standing ? reason_of(shut) : "corrupt")});
      continue;
    }
    auto sealed = std::ranges::find(*fields, field->id, &SealedField::field);
    if (sealed == fields->end()) continue;  // the record has no such value
    if (expired(*field, record, work.now)) {
      out.refused.push_back({name, "expired"});
      continue;
    }
    auto value = openable.keys->open(
        *work.keys, field->keep_group,
        {record.subject, record.id, collection->id, field->id, sealed->since}, sealed->sealed);
    if (!value) {
      out.refused.push_back({name, std::string(refusal_of(value.error().code))});
      continue;
    }
    if (permitted.view == View::clear) {
      cleared = true;
      opened.showing.add(permitted.terms);
      out.values.entries.push_back(
          {{name, std::move(*value), field->type == FieldType::json}, false});
    } else {
      out.masked.push_back(name);
      out.values.entries.push_back(
          {{name, Secret::copy(masked(*field, value->expose_text())), false}, false});
    }
  }
  if (cleared) opened.showing.subjects.push_back(record.subject);
  opened.event.opened |= cleared;
  return out;
}

Task<Result<Opened>> Opening::open(const Working& work, const Caller& caller,
                                   std::string_view operation, std::vector<OpenItem> items,
                                   std::string purpose, std::optional<Engaged> engaged) {
  auto own = co_await own_only(work, caller, purpose);
  if (!own) co_return std::move(own).error();
  auto declared = work.schema->purposes.find(purpose);
  if (declared == work.schema->purposes.end())
    co_return Error(Code::internal, "opening for a purpose that is not declared");
  std::vector<RecordId> ids;
  ids.reserve(items.size());
  for (const auto& item : items) ids.push_back(item.record);
  auto loaded = co_await context_.store.load(ids, caller.deadline);
  if (!loaded) co_return std::move(loaded).error();

  Opened out;
  out.event = {.activity = operation, .purpose = std::move(purpose)};
  out.showing.engaged = std::move(engaged);
  out.records.reserve(loaded->records.size());
  std::vector<std::string> masks;  // fields of which masks alone are shown
  std::size_t next = 0;
  for (const auto& item : items) {
    if (next == loaded->records.size() || loaded->records[next].record.id != item.record) {
      out.missing.push_back(item.record);
      continue;
    }
    const auto& openable = loaded->records[next++];
    bool allowed = !*own || **own == openable.record.subject;
    if (out.showing.engaged && out.showing.engaged->subject != openable.record.subject) {
      out.barred = kOtherCustomer;
      allowed = false;
    }
    auto one = open_one(work, caller, openable, item.fields, declared->second, allowed, out);
    if (!one) co_return std::move(one).error();
    out.any |= !one->values.entries.empty();
    for (const auto& value : one->values.entries) {
      auto& names = holds(one->masked, value.name) ? masks : out.event.fields;
      if (!holds(names, value.name)) names.push_back(value.name);
    }
    out.event.touches.push_back({.subject = openable.record.subject,
                                 .kind = "records",
                                 .row = to_bytes(openable.record.id.bytes()),
                                 .unopened = one->values.entries.size() == one->masked.size()});
    if (out.event.collection.empty())
      if (const auto* collection = work.schema->find(openable.record.collection))
        out.event.collection = collection->name;
    out.records.push_back(std::move(*one));
    if (out.records.size() % kSlice == 0) co_await give_way();
  }
  if (!out.event.opened) out.event.fields = std::move(masks);
  note_refusals(out.records, out.event);
  co_return out;
}

Task<Result<RevealedRecord>> Opening::reveal(Caller caller, RevealRecord request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto acting = co_await prepare(*work, std::move(caller), "records.reveal", request.purpose,
                                 request.on_behalf_of);
  if (!acting) co_return std::move(acting).error();
  if (auto named = check_fields(request.fields); !named) co_return std::move(named).error();
  auto engaged =
      co_await engage(*work, *acting, "records.reveal", request.purpose, request.engagement);
  if (!engaged) co_return std::move(engaged).error();
  std::vector<OpenItem> items;
  items.push_back({request.record, std::move(request.fields)});
  auto opened = co_await open(*work, *acting, "records.reveal", std::move(items), request.purpose,
                              std::move(*engaged));
  if (!opened) co_return std::move(opened).error();
  if (opened->records.empty()) co_return no_record();
  auto done = co_await record(*work, *acting, *opened, not_open());
  if (!done) co_return std::move(done).error();
  auto& one = opened->records.front();
  co_return RevealedRecord{
      one.record, one.subject, std::move(one.values), std::move(one.masked), std::move(one.refused),
      *done};
}

Task<Result<RevealedRecords>> Opening::reveal_batch(Caller caller, RevealRecords request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto acting = co_await prepare(*work, std::move(caller), "records.reveal_batch", request.purpose,
                                 request.on_behalf_of);
  if (!acting) co_return std::move(acting).error();
  if (auto named = check_fields(request.fields); !named) co_return std::move(named).error();
  if (request.records.empty())
    co_return Error(Code::invalid, "name at least one record").at("records");
  std::vector<OpenItem> items;
  items.reserve(request.records.size());
  for (auto id : request.records) items.push_back({id, request.fields});
  auto sorted = request.records;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end())
    co_return Error(Code::invalid, "a record is named twice").at("records");
  auto engaged =
      co_await engage(*work, *acting, "records.reveal_batch", request.purpose, request.engagement);
  if (!engaged) co_return std::move(engaged).error();
  auto opened = co_await open(*work, *acting, "records.reveal_batch", std::move(items),
                              request.purpose, std::move(*engaged));
  if (!opened) co_return std::move(opened).error();
  auto done = co_await record(*work, *acting, *opened, not_open());
  if (!done) co_return std::move(done).error();
  co_return RevealedRecords{std::move(opened->records), std::move(opened->missing), *done};
}

Task<Result<Verified>> Opening::verify(Caller caller, VerifyValue request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto acting = co_await prepare(*work, std::move(caller), "records.verify", request.purpose,
                                 request.on_behalf_of);
  if (!acting) co_return std::move(acting).error();
  auto own = co_await own_only(*work, *acting, request.purpose);
  if (!own) co_return std::move(own).error();
  auto loaded = co_await context_.store.load({request.record}, acting->deadline);
  if (!loaded) co_return std::move(loaded).error();
  if (loaded->records.empty()) co_return no_record();
  auto& [record, keys, subject] = loaded->records.front();
  const auto* collection = work->schema->find(record.collection);
  if (!collection) co_return Error(Code::corrupt, "the record's collection is missing");
  const auto* field = collection->find(request.field);
  if (!field)
    co_return Error(Code::invalid, "the collection does not declare this field").at("field");

  journal::Event event{.activity = "records.verify",
                       .purpose = request.purpose,
                       .collection = collection->name,
                       .fields = {field->name},
                       .touches = {{record.subject, "records", to_bytes(record.id.bytes()), {}}}};
  auto engaged =
      co_await engage(*work, *acting, "records.verify", request.purpose, request.engagement);
  if (!engaged) co_return std::move(engaged).error();
  bool allowed = !*own || **own == record.subject;
  if (*engaged && (*engaged)->subject != record.subject)
    co_return co_await admission_.refused(std::move(*acting), std::move(event),
                                          barred(kOtherCustomer), "engagement");
  auto permitted = permitted_field(context_, *acting, "records.verify", *collection, *field,
                                   request.purpose, *engaged ? &**engaged : nullptr);
  if (!allowed || tries_cards(*field, *acting))
    co_return co_await refused(std::move(*acting), std::move(event), not_open());
  if (permitted.view < View::verify)
    co_return co_await refused_under(std::move(*acting), std::move(event), engaged->has_value(),
                                     permitted.missing, not_open());
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  auto shut = closed_for(*standing, subject->erased.has_value(),
                         work->schema->purposes.find(request.purpose)->second);
  if (shut != Closed::open) {
    event.facts = {{"closed", std::string(reason_of(shut))}};
    co_return co_await refused(std::move(*acting), std::move(event),
                               closed_by_customer(reason_of(shut)));
  }
  auto spent = co_await used_up(context_.journal.reader(), {record.subject}, collection->id,
                                work->now, acting->deadline);
  if (!spent) co_return std::move(spent).error();
  if (spent->contains({record.subject, field->id}))
    co_return co_await refused(std::move(*acting), std::move(event), values_used_up());

  auto fields = unpack(record.sealed);
  if (!fields) co_return std::move(fields).error();
  auto sealed = std::ranges::find(*fields, field->id, &SealedField::field);
  bool matches = false;
  if (sealed != fields->end() && !expired(*field, record, work->now)) {
    auto value = keys->open(*work->keys, field->keep_group,
                            {record.subject, record.id, collection->id, field->id, sealed->since},
                            sealed->sealed);
    if (!value && value.error().code != Code::gone) co_return std::move(value).error();
    if (value) matches = same_value(*field, *value, request.value, collection->calling_code);
  }
  db::Changes changes;
  count_wrong(changes, collection->id, {{{record.subject, field->id}, !matches}}, work->now);
  event.facts = {{"matches", std::int64_t{matches}}};
  event.opened = matches;  // whoever asked knows the value now
  auto kept = event;
  Showing showing{.subjects = {record.subject}, .terms = {}, .engaged = std::move(*engaged)};
  showing.add(permitted.terms);
  auto done = co_await admission_.record(*work, *acting, std::move(showing), std::move(changes),
                                         std::move(event));
  if (!done && done.error().code == Code::exhausted &&
      done.error().field.empty())  // others were faster
    co_return co_await refused(std::move(*acting), std::move(kept), values_used_up());
  if (!done) co_return std::move(done).error();
  co_return Verified{matches, done->receipt.event};
}

}  // namespace holdfast::vault
