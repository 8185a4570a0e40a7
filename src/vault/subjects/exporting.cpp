// Everything held of a customer, as one document that is streamed.
#include <algorithm>
#include <map>

#include "journal/slices.h"
#include "vault/engagement.h"
#include "vault/policy.h"
#include "vault/statements.h"
#include "vault/subjects/document.h"
#include "vault/subjects/service.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kExport = "subjects.export";
constexpr std::string_view kAccount = "account";
constexpr std::int64_t kMostRows = 20'000, kAtOnce = 500;
constexpr std::size_t kPage = 200;

/// Where an export goes, piece by piece, while its key may still have it.
struct Leaving {
  http::BodyWriter& out;
  const Permits& permits;
  const Caller& caller;

  Task<Result<void>> send(std::string piece) const {
    auto done = co_await permits.still(caller, kExport);
    if (done) done = co_await out.write(piece);
    wipe(piece);
    co_return done;
  }
};

/// What one export works on, and what it may show.
struct Exporting {
  const Context& context;
  const Working& work;
  const Caller& caller;
  std::string purpose;
  /// Of each field that is held. Decided once, so that what is shown is what was recorded, also
  /// when the hours of a grant begin or end meanwhile.
  std::map<const Field*, View> views{};
  /// External ids, evidence and references are personal: for whoever sees a personal field, held or
  /// not.
  bool personal = false;

  Permitted permitted(const Collection& collection, const Field& field) const;
  journal::Event decide(SubjectId subject, const std::vector<Record>& records, Showing& showing);
  DocumentRecord opened(const Record& record, SubjectKeys& keys) const;
  DocumentValue opened(const Record& record, SubjectKeys& keys, const Collection& collection,
                       const Field& field, const SealedField& sealed) const;
  std::optional<DocumentEngagement> opened(const Engagement& one, SubjectKeys& keys) const;
  Task<Result<std::vector<DocumentEngagement>>> engagements(
      const std::vector<SubjectId>& names, std::map<SubjectId, SubjectKeys>& keys) const;
};

/// Nothing of a row that Holdfast did not write.
std::optional<DocumentEngagement> Exporting::opened(const Engagement& one,
                                                    SubjectKeys& keys) const {
  if (!authentic(*work.keys, one)) return std::nullopt;
  DocumentEngagement out{one.id, one.kind, one.opened, one.closed.value_or(one.closes), {}};
  if (!personal) return out;
  auto plain = keys.open(*work.keys, kAccount, engagement_binding(one), one.sealed);
  auto sealed = plain ? parse_json_as<EngagementPrivate>(plain->expose_text())
                      : Result<EngagementPrivate>(Error(Code::gone, "erased"));
  if (!sealed) return out;
  out.reference = Secret::copy(sealed->reference);
  wipe(sealed->reference);
  wipe(sealed->assignee);
  wipe(sealed->opener_person);
  return out;
}

Task<Result<std::vector<DocumentEngagement>>> Exporting::engagements(
    const std::vector<SubjectId>& names, std::map<SubjectId, SubjectKeys>& keys) const {
  std::vector<DocumentEngagement> out;
  journal::Slices slices;
  for (auto name : names) {
    Bytes after(16, 0);
    for (bool more = true; more;) {
      auto rows = co_await context.journal.reader().read(
          kPageEngagementsOf, {after, kAtOnce, to_bytes(name.bytes())}, caller.deadline);
      if (!rows) co_return std::move(rows).error();
      more = rows->size() == static_cast<std::size_t>(kAtOnce);
      for (std::size_t i = 0; i < rows->size(); ++i) {
        after = to_bytes((*rows)[i].bytes(0));
        if (auto one = opened(engagement_from((*rows)[i]), keys.at(name)))
          out.push_back(std::move(*one));
        if (slices.due()) co_await slices.pause();
      }
    }
  }
  co_return out;
}

/// Not narrowed by the purposes that a field names: the right to a copy knows none. Of a card,
/// which the customer has, a copy that travels names what a receipt would.
Permitted Exporting::permitted(const Collection& collection, const Field& field) const {
  auto out = context.permits.decide(
      caller, {kExport, collection.name, field.name, field.field_class, purpose});
  if (is_card(field.type) && out.view > View::masked) return {View::masked, 0, out.missing};
  return out;
}

/// What is about to be opened, for the journal, and what that brings with it.
journal::Event Exporting::decide(SubjectId subject, const std::vector<Record>& records,
                                 Showing& showing) {
  journal::Event event{.activity = kExport, .purpose = purpose};
  auto is_personal = [](const Field& field) { return field.field_class >= FieldClass::personal; };
  for (const auto& record : records) {
    event.touches.push_back({subject, "records", to_bytes(record.id.bytes()), {}});
    const auto* collection = work.schema->find(record.collection);
    auto fields = unpack(record.sealed);
    if (!collection || !fields) continue;
    for (const auto& one : *fields) {
      const auto* field = collection->find(one.field);
      if (!field || views.contains(field)) continue;
      const auto permitted = this->permitted(*collection, *field);
      views[field] = permitted.view;
      if (permitted.view != View::clear) continue;
      event.opened = true;
      showing.add(permitted.terms);
      personal |= is_personal(*field);
      if (std::ranges::find(event.fields, field->name) == event.fields.end())
        event.fields.push_back(field->name);
    }
  }
  event.touches.push_back({subject, "subjects", to_bytes(subject.bytes()), {}});
  for (const auto& [name, collection] : work.schema->collections)
    for (const auto& field : collection.fields) {
      if (personal || !is_personal(field)) continue;
      const auto permitted = this->permitted(collection, field);
      personal = permitted.view == View::clear;
      if (personal) showing.add(permitted.terms);
    }
  return event;
}

DocumentValue Exporting::opened(const Record& record, SubjectKeys& keys,
                                const Collection& collection, const Field& field,
                                const SealedField& sealed) const {
  DocumentValue out{.field = field.name,
                    .field_class = field.field_class,
                    .purposes = field.purposes,
                    .keep_group = field.keep_group,
                    .kept_until = {},
                    .shown = Shown::withheld,
                    .value = {},
                    .json = field.type == FieldType::json};
  if (field.keep_for && field.keep) {
    auto from = field.keep->from.value_or(KeepFrom::created);
    if (from != KeepFrom::closed)
      out.kept_until =
          (from == KeepFrom::created ? record.created : record.updated) + *field.keep_for;
  }
  const auto view = views.at(&field);
  if (view == View::none) return out;
  if (expired(field, record, work.now)) {
    out.shown = Shown::erased;
    return out;
  }
  auto value =
      keys.open(*work.keys, field.keep_group,
                {record.subject, record.id, collection.id, field.id, sealed.since}, sealed.sealed);
  if (!value) {
    out.shown = value.error().code == Code::gone ? Shown::erased : Shown::damaged;
    return out;
  }
  out.shown = view == View::clear ? Shown::clear : Shown::masked;
  out.value =
      view == View::clear ? std::move(*value) : Secret::copy(masked(field, value->expose_text()));
  return out;
}

DocumentRecord Exporting::opened(const Record& record, SubjectKeys& keys) const {
  DocumentRecord out{.record = record.id,
                     .collection = "?",
                     .meaning = {},
                     .slot = record.slot,
                     .created = record.created,
                     .updated = record.updated,
                     .values = {}};
  const auto* collection = work.schema->find(record.collection);
  auto fields = unpack(record.sealed);
  if (!collection || !fields) return out;
  out.collection = collection->name;
  out.meaning = collection->doc;
  for (const auto& one : *fields)
    if (const auto* field = collection->find(one.field))
      out.values.push_back(opened(record, keys, *collection, *field, one));
  return out;
}

/// Whether an external id or a text that proves a consent is held.
bool holds_texts(const std::vector<Subject>& names, const db::Rows& decided) {
  for (std::size_t i = 0; i < decided.size(); ++i)
    if (!decision_from(decided[i]).evidence.empty()) return true;
  return std::ranges::any_of(names,
                             [](const Subject& one) { return !one.external_sealed.empty(); });
}

}  // namespace

Task<Result<void>> Subjects::export_all(Caller caller, ExportSubject request,
                                        http::BodyWriter& out) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (request.purpose != kSubjectRequest && request.purpose != kSelfService)
    co_return Error(Code::invalid, "an export is for subject_request or self_service")
        .at("purpose");
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto as = co_await acting_for_own(context_, *work->keys, std::move(caller), kExport, subject->id,
                                    std::move(request.on_behalf_of));
  if (!as) co_return std::move(as).error();
  auto own = co_await own_subject(context_, *work->keys, *as);
  if (!own) co_return std::move(own).error();
  if (own->has_value() != (request.purpose == kSelfService))
    co_return co_await refused_for(
        context_, std::move(*as), kExport, subject->id,
        Error(Code::forbidden, "self_service is for the customer behind the call, and only it")
            .at("purpose"));

  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  auto records = co_await context_.store.records_of(subject->id, as->deadline);
  if (!records) co_return std::move(records).error();
  auto aliases = co_await context_.store.aliases(subject->id, as->deadline);
  if (!aliases) co_return std::move(aliases).error();
  aliases->insert(aliases->begin(), *subject);
  std::vector<SubjectId> names;
  db::List whose;
  for (const auto& one : *aliases) {
    names.push_back(one.id);
    whose.cells.emplace_back(to_bytes(one.id.bytes()));
  }
  auto keys = co_await context_.store.keys(names, as->deadline);
  if (!keys) co_return std::move(keys).error();
  auto& reader = context_.journal.reader();
  auto decided = co_await reader.read(kDecisionsOf, {whose, kMostRows}, as->deadline);
  if (!decided) co_return std::move(decided).error();
  auto asked =
      co_await reader.read(kDemandsOf, {std::move(whose), Bytes(16, 0), kMostRows}, as->deadline);
  if (!asked) co_return std::move(asked).error();

  Exporting exporting{context_, *work, *as, request.purpose};
  Showing showing;
  auto event = exporting.decide(subject->id, *records, showing);
  if (!event.opened && !exporting.personal)
    co_return co_await refused_for(
        context_, std::move(*as), kExport, subject->id,
        Error(Code::forbidden, "no field is open to you for this purpose; this try was recorded"));
  event.facts = {{"records", static_cast<std::int64_t>(records->size())}};
  auto engaged = co_await exporting.engagements(names, *keys);
  if (!engaged) co_return std::move(engaged).error();
  event.opened |= std::ranges::any_of(
      *engaged, [](const DocumentEngagement& one) { return one.reference.has_value(); });
  event.opened |= exporting.personal && holds_texts(*aliases, *decided);
  if (event.opened) showing.subjects.push_back(subject->id);
  auto done = co_await deps_.admission.record(*work, *as, std::move(showing), {}, std::move(event));
  if (!done) co_return std::move(done).error();

  // From here on everything is recorded, and leaves piece by piece.
  auto document = make_document(request.format.value_or(ExportFormat::json));
  if (auto sent = co_await out.start(document->type()); !sent) co_return sent;
  DocumentHead head{.made = work->now,
                    .subject = subject->id,
                    .created = subject->created,
                    .external_ids = {},
                    .standing = std::move(*standing),
                    .purposes = {}};
  for (const auto& one : *aliases) {
    if (!exporting.personal || one.external_sealed.empty()) continue;
    auto id =
        keys->at(one.id).open(*work->keys, kAccount, external_binding(one.id), one.external_sealed);
    if (id) head.external_ids.push_back(std::move(*id));
  }
  for (const auto& [name, purpose] : work->schema->purposes) head.purposes.push_back(purpose);
  const Leaving leaving{out, context_.permits, *as};
  if (auto sent = co_await leaving.send(document->begin(head)); !sent) co_return sent;
  journal::Slices slices;
  for (const auto& record : *records) {
    auto piece = document->record(exporting.opened(record, keys->at(subject->id)));
    if (auto sent = co_await leaving.send(std::move(piece)); !sent) co_return sent;
    if (slices.due()) co_await slices.pause();
  }
  for (std::size_t i = decided->size(); i-- > 0;) {
    auto decision = decision_from((*decided)[i]);
    DecisionView view{.decision = decision.id,
                      .at = decision.at,
                      .decided = decision.decision,
                      .purpose = {},
                      .evidence = {}};
    if (!decision.purpose.empty()) view.purpose = decision.purpose;
    if (exporting.personal && !decision.evidence.empty())
      if (auto text =
              keys->at(decision.subject)
                  .open(*work->keys, kAccount, evidence_binding(decision), decision.evidence))
        view.evidence = std::move(*text);
    if (auto sent = co_await leaving.send(document->decision(view)); !sent) co_return sent;
  }
  for (std::size_t i = 0; i < asked->size(); ++i)
    if (auto sent = co_await leaving.send(document->request(demand_from((*asked)[i]))); !sent)
      co_return sent;
  for (const auto& one : *engaged)
    if (auto sent = co_await leaving.send(document->engagement(one)); !sent) co_return sent;
  for (auto name : names) {
    for (std::int64_t before = INT64_MAX;;) {
      auto page = co_await deps_.accesses.accesses(name, before, kPage);
      if (!page) co_return std::move(page).error();
      for (const auto& one : page->accesses) {
        AccessNote note{one.stored.seq,    one.entry.id,        one.entry.at,
                        one.entry.actor,   one.entry.principal, one.entry.operation,
                        one.entry.purpose, one.entry.fields};
        if (auto sent = co_await leaving.send(document->access(note)); !sent) co_return sent;
      }
      if (!page->before_seq) break;
      before = *page->before_seq;
    }
  }
  co_return co_await leaving.send(document->end());
}

}  // namespace holdfast::vault
