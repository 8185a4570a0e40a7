#include "vault/records/service.h"

#include <set>

#include "vault/draft.h"
#include "vault/held.h"
#include "vault/idempotency.h"
#include "vault/policy.h"
#include "vault/records/unique_tries.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kPage = 50;
constexpr std::string_view kMainSlot = "main";

Error no_collection() {
  return Error(Code::not_found, "no such collection").at("collection");
}
journal::Touch touch_of(const Record& record) {
  return {record.subject, "records", to_bytes(record.id.bytes()), {}};
}
Error no_record() {
  return Error(Code::not_found, "no such record").at("record");
}

/// One record that is to be made, as asked for.
struct Wanted {
  SubjectRef subject;  // neither id nor external: a customer without an id of the shop's
  std::optional<std::string> slot;
  std::vector<CheckedValue> values;
};

Result<std::vector<Wanted>> wanted(const Collection& collection, CreateRecords& request) {
  if (request.records.empty() == request.values.entries.empty())
    return Error(Code::invalid, "give either `values` or `records`").at("values");
  std::vector<Wanted> out;
  auto add = [&](std::optional<std::string>& subject, std::optional<std::string>& slot,
                 Values& values, const FieldPath& where) -> Result<void> {
    Wanted one;
    if (subject) {
      auto ref = parse_subject_ref(*subject);
      if (!ref) return std::move(ref).error().at(where / "subject");
      one.subject = std::move(*ref);
    }
    if (slot && !is_name(*slot))
      return Error(Code::invalid, "a slot is a name of lower-case letters, digits and _")
          .at(where / "slot");
    one.slot = slot             ? std::move(slot)
               : request.upsert ? std::optional(std::string(kMainSlot))
                                : std::nullopt;
    if (request.upsert && !subject)
      return Error(Code::invalid, "upsert needs the customer that it is for").at(where / "subject");
    auto checked = check_values(collection, values, where / "values");
    if (!checked) return std::move(checked).error();
    one.values = std::move(*checked);
    out.push_back(std::move(one));
    return {};
  };
  if (request.records.empty()) {
    if (auto done = add(request.subject, request.slot, request.values, FieldPath()); !done)
      return std::move(done).error();
    return out;
  }
  if (request.subject || request.slot)
    return Error(Code::invalid, "with `records`, each names its own customer").at("subject");
  for (std::size_t i = 0; i < request.records.size(); ++i) {
    auto& one = request.records[i];
    auto done = add(one.subject, one.slot, one.values, FieldPath("records")[i]);
    if (!done) return std::move(done).error();
  }
  return out;
}

/// The customers of a request: those that exist with their keys, and those made on the way.
class Customers {
 public:
  static Task<Result<Customers>> load(const Context& context, const crypto::KeySet& keys,
                                      const std::vector<Wanted>& wanted, MonoTime deadline) {
    Customers out;
    std::vector<Bytes> terms;
    std::set<SubjectId> ids;
    for (const auto& one : wanted) {
      if (!one.subject.external.empty()) terms.push_back(external_term(keys, one.subject.external));
      if (one.subject.id) ids.insert(*one.subject.id);
    }
    auto by_term = co_await subjects_of(context, keys, std::move(terms), deadline);
    if (!by_term) co_return std::move(by_term).error();
    for (auto id : ids) {
      auto subject = co_await subject_of(context, keys, {id, {}}, deadline);
      if (!subject) co_return std::move(subject).error();
      if (!*subject) co_return Error(Code::not_found, "no such customer").at("subject");
      if ((*subject)->erased) co_return Error(Code::gone, "this customer was erased").at("subject");
      out.by_id_.emplace(id, (*subject)->id);
      out.rows_.emplace((*subject)->id, std::move(**subject));
    }
    for (auto& [term, subject] : *by_term) {
      out.by_term_.emplace(term, subject.id);
      out.rows_.emplace(subject.id, std::move(subject));
    }
    std::vector<SubjectId> held_by;
    for (const auto& [id, subject] : out.rows_) held_by.push_back(id);
    auto held = co_await context.store.keys(std::move(held_by), deadline);
    if (!held) co_return std::move(held).error();
    out.keys_ = std::move(*held);
    co_return out;
  }

  /// Errors: conflict while the customer's data is restricted.
  Result<void> may_change(const crypto::KeySet& keys, SubjectId subject) const {
    auto found = rows_.find(subject);
    return found == rows_.end() ? Result<void>() : changeable(keys, found->second);
  }

  Result<SubjectKeys*> of(const crypto::KeySet& keys, const SubjectRef& ref, Draft& draft) {
    Bytes term;
    if (!ref.external.empty()) term = external_term(keys, ref.external);
    auto known = by_term_.find(term);
    if (ref.id || known != by_term_.end()) {
      auto& held = keys_.at(ref.id ? by_id_.at(*ref.id) : known->second);
      if (!fresh_.contains(held.subject())) draft.expect_living(held.subject());
      return &held;
    }
    SubjectKeys fresh{SubjectId{}};
    auto id = draft.add_subject(ref.external, fresh);
    if (!id) return std::move(id).error();
    fresh_.insert(*id);
    if (!term.empty()) by_term_.emplace(std::move(term), *id);
    return &keys_.insert_or_assign(*id, std::move(fresh)).first->second;
  }

 private:
  std::map<Bytes, SubjectId> by_term_;
  std::map<SubjectId, SubjectId> by_id_;  // an alias to whom it stands for
  std::map<SubjectId, Subject> rows_;
  std::map<SubjectId, SubjectKeys> keys_;
  std::set<SubjectId> fresh_;
};

}  // namespace

Result<MaskedRecord> mask_record(const Context& context, const Working& work, const Caller& caller,
                                 std::string_view operation, const Openable& openable) {
  const auto& record = openable.record;
  const auto* collection = work.schema->find(record.collection);
  if (!collection) return Error(Code::corrupt, "the record's collection is missing");
  MaskedRecord out{.record = record.id,
                   .subject = record.subject,
                   .collection = collection->name,
                   .slot = record.slot,
                   .version = record.version,
                   .created = record.created,
                   .updated = record.updated,
                   .values = {},
                   .hidden = {},
                   .restricted = false};
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  auto standing = standing_of(*work.keys, *openable.subject);
  if (!standing) return std::move(standing).error();
  out.restricted = standing->restricted.has_value() || openable.subject->erased.has_value();
  for (const auto& one : *fields) {
    const auto* field = collection->find(one.field);
    if (!field || expired(*field, record, work.now)) continue;
    if (out.restricted ||
        view_of_field(context, caller, operation, *collection, *field, {}) == View::none) {
      out.hidden.push_back(field->name);
      continue;
    }
    auto value = openable.keys->open(
        *work.keys, field->keep_group,
        {record.subject, record.id, collection->id, field->id, one.since}, one.sealed);
    if (!value && value.error().code == Code::gone) continue;
    if (!value) return std::move(value).error().at(FieldPath("values") / field->name);
    out.values.entries.push_back(
        {{field->name, Secret::copy(masked(*field, value->expose_text())), false}, false});
  }
  return out;
}

Task<Result<CreatedRecords>> Records::create(Caller caller, CreateRecords request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto* collection = work->schema->find(request.collection);
  if (!collection) co_return no_collection();
  auto text = to_json(request);
  Repeat repeat(*work->keys, caller, "records.create", request.idempotency_key, text, work->now);
  wipe(text);
  auto earlier = co_await repeat.earlier(context_.journal.reader(), caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return parse_json_as<CreatedRecords>(**earlier);

  auto list = wanted(*collection, request);
  if (!list) co_return std::move(list).error();
  auto customers = co_await Customers::load(context_, *work->keys, *list, caller.deadline);
  if (!customers) co_return std::move(customers).error();

  Draft draft(*work->keys, work->now);
  CreatedRecords out;
  std::set<std::pair<SubjectId, std::string>> slots;
  UniqueTries tries(context_, *work, caller, "records.create");
  for (const auto& one : *list) tries.add(*collection, one.values);
  if (auto allowed = co_await tries.allowed(); !allowed) co_return std::move(allowed).error();
  bool losing = false;  // a value goes without another in its place
  for (auto& one : *list) {
    auto keys = customers->of(*work->keys, one.subject, draft);
    if (!keys) co_return std::move(keys).error();
    auto subject = (*keys)->subject();
    if (one.slot && !slots.emplace(subject, *one.slot).second)
      co_return Error(Code::invalid, "two records of this request share a customer and slot")
          .at("slot");
    std::optional<Record> existing;
    if (request.upsert) {
      auto found = co_await context_.store.record_in_slot(subject, collection->id, *one.slot,
                                                          caller.deadline);
      if (!found) co_return std::move(found).error();
      existing = std::move(*found);
    }
    if (existing) {
      if (auto may = customers->may_change(*work->keys, subject); !may)
        co_return std::move(may).error().at("subject");
      if (loses(one.values)) {
        losing = true;
        auto free = co_await not_held(context_, holds_, caller, "records.create", collection->name,
                                      subject, touch_of(*existing));
        if (!free) co_return std::move(free).error().at("subject");
      }
      auto changed = draft.change_record(**keys, *collection, *existing, one.values);
      if (!changed) co_return std::move(changed).error();
      out.records.push_back({existing->id, subject, existing->version, false});
    } else {
      auto made = draft.add_record(**keys, *collection, std::move(one.slot), one.values);
      if (!made) co_return std::move(made).error();
      out.records.push_back({made->id, subject, 1, true});
    }
  }
  journal::Event event{.activity = "records.create",
                       .collection = collection->name,
                       .touches = std::move(draft.touches())};
  auto changes = std::move(draft).changes();
  repeat.remember(changes, to_json(out));
  if (losing)
    for (const auto& [subject, slot] : slots) holds_.guard(changes, subject);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return co_await tries.refused(std::move(done).error());
  co_return out;
}

Task<Result<MaskedRecord>> Records::get(Caller caller, RecordRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto loaded = co_await context_.store.load({request.record}, caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  if (loaded->records.empty()) co_return no_record();
  auto out = mask_record(context_, *work, caller, "records.get", loaded->records.front());
  if (!out) co_return std::move(out).error();
  journal::Event event{.activity = "records.get",
                       .collection = out->collection,
                       .touches = {{out->subject, "records", to_bytes(out->record.bytes()), {}}}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RecordPage>> Records::list(Caller caller, ListRecords request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  const auto* collection = work->schema->find(request.collection);
  if (!collection) co_return no_collection();
  auto limit = static_cast<std::size_t>(request.limit.value_or(kPage));
  RecordId after{};
  if (request.after) {
    auto parsed = RecordId::parse(*request.after);
    if (!parsed) co_return Error(Code::invalid, "not a `next` of an earlier page").at("after");
    after = *parsed;
  }
  std::vector<Record> found;
  if (request.subject) {
    auto subject = co_await find_subject(context_, *work->keys, *request.subject, caller.deadline);
    if (!subject) co_return std::move(subject).error();
    auto all = co_await context_.store.records_of(subject->id, caller.deadline);
    if (!all) co_return std::move(all).error();
    for (auto& one : *all)
      if (one.collection == collection->id && one.id > after && found.size() <= limit)
        found.push_back(std::move(one));
  } else {
    auto page = co_await context_.store.page(collection->id, after,
                                             static_cast<std::int64_t>(limit) + 1, caller.deadline);
    if (!page) co_return std::move(page).error();
    found = std::move(*page);
  }
  RecordPage out;
  if (found.size() > limit) {
    found.resize(limit);
    out.next = found.back().id.text();
  }
  auto loaded = co_await context_.store.with_keys(std::move(found), caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  journal::Event event{.activity = "records.list", .collection = collection->name};
  for (const auto& one : loaded->records) {
    auto shown = mask_record(context_, *work, caller, "records.list", one);
    if (!shown) co_return std::move(shown).error().at(FieldPath("records") / one.record.id.text());
    out.records.push_back(std::move(*shown));
    event.touches.push_back({one.record.subject, "records", to_bytes(one.record.id.bytes()), {}});
  }
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<MaskedRecord>> Records::update(Caller caller, UpdateRecord request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto expected = expected_version(request.if_match, request.version);
  if (!expected) co_return std::move(expected).error();
  auto loaded = co_await context_.store.load({request.record}, caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  if (loaded->records.empty()) co_return no_record();
  auto& openable = loaded->records.front();
  const auto* collection = work->schema->find(openable.record.collection);
  if (!collection) co_return Error(Code::corrupt, "the record's collection is missing");
  if (*expected && **expected != openable.record.version)
    co_return Error(Code::conflict, "the record has another version by now: read it and repeat")
        .at("version");
  if (request.values.entries.empty())
    co_return Error(Code::invalid, "name at least one value").at("values");
  auto values = check_values(*collection, request.values, FieldPath("values"));
  if (!values) co_return std::move(values).error();
  if (auto may = changeable(*work->keys, *openable.subject); !may)
    co_return std::move(may).error().at("record");

  UniqueTries tries(context_, *work, caller, "records.update");
  tries.add(*collection, *values);
  if (auto allowed = co_await tries.allowed(); !allowed) co_return std::move(allowed).error();
  if (loses(*values)) {
    auto free = co_await not_held(context_, holds_, caller, "records.update", collection->name,
                                  openable.record.subject, touch_of(openable.record));
    if (!free) co_return std::move(free).error().at("record");
  }
  Draft draft(*work->keys, work->now);
  draft.expect_living(openable.record.subject);  // what a duty holds of an erased one does not grow
  auto changed = draft.change_record(*openable.keys, *collection, openable.record, *values);
  if (!changed) co_return std::move(changed).error();
  journal::Event event{.activity = "records.update",
                       .collection = collection->name,
                       .touches = std::move(draft.touches())};
  if (!*changed)
    event.touches = {
        {openable.record.subject, "records", to_bytes(openable.record.id.bytes()), {}}};
  for (const auto& entry : request.values.entries) event.fields.push_back(entry.name);
  auto changes = std::move(draft).changes();
  if (loses(*values)) holds_.guard(changes, openable.record.subject);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return co_await tries.refused(std::move(done).error());
  co_return mask_record(context_, *work, caller, "records.update", openable);
}

Task<Result<DeletedRows>> Records::remove(Caller caller, DeleteRecord request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto expected = expected_version(request.if_match, {});
  if (!expected) co_return std::move(expected).error();
  auto loaded = co_await context_.store.load({request.record}, caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  if (loaded->records.empty()) co_return no_record();
  auto& openable = loaded->records.front();
  if (*expected && **expected != openable.record.version)
    co_return Error(Code::conflict, "the record has another version by now: read it and repeat")
        .at("version");
  const auto* collection = work->schema->find(openable.record.collection);
  if (!collection) co_return Error(Code::corrupt, "the record's collection is missing");
  if (auto may = changeable(*work->keys, *openable.subject); !may)
    co_return std::move(may).error().at("record");
  if (openable.subject->erased)
    co_return Error(Code::gone,
                    "this customer was erased: what a legal duty holds stays until its date, and "
                    "`holdfast subjects erase` takes it then")
        .at("record");
  auto free = co_await not_held(context_, holds_, caller, "records.delete", collection->name,
                                openable.record.subject, touch_of(openable.record));
  if (!free) co_return std::move(free).error().at("record");
  Draft draft(*work->keys, work->now);
  draft.expect_living(openable.record.subject);
  auto tokens = co_await context_.store.tokens_of(openable.record.id, caller.deadline);
  if (!tokens) co_return std::move(tokens).error();
  auto dropped = draft.drop_record(*openable.keys, *collection, openable.record, *tokens);
  if (!dropped) co_return std::move(dropped).error();
  journal::Event event{.activity = "records.delete",
                       .collection = collection->name,
                       .touches = std::move(draft.touches())};
  auto changes = std::move(draft).changes();
  holds_.guard(changes, openable.record.subject);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return DeletedRows{1, done->receipt.event};
}

}  // namespace holdfast::vault
