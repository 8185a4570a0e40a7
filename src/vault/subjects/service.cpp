#include "vault/subjects/service.h"

#include <algorithm>

#include "vault/held.h"
#include "vault/records/unique_tries.h"
#include "vault/statements.h"
#include "vault/subjects/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kPage = 100;

AccessNote note_of(journal::Access& access) {
  return {access.stored.seq,    access.entry.id,        access.entry.at,
          access.entry.actor,   access.entry.principal, access.entry.operation,
          access.entry.purpose, access.entry.fields};
}

}  // namespace

std::span<const db::Sql* const> subject_statements() {
  static constexpr const db::Sql* kAll[] = {&kDropKeys, &kGuardNoKeys, &kGuardRecord, &kGroupsOf};
  return kAll;
}

Task<Result<Subject>> Subjects::living(const crypto::KeySet& keys, std::string ref,
                                       MonoTime deadline) {
  auto subject = co_await find_subject(context_, keys, ref, deadline);
  if (subject && subject->erased)
    co_return Error(Code::gone, "this customer was erased").at("subject");
  co_return subject;
}

/// The customer's id and those of all who were merged into them.
Task<Result<std::vector<SubjectId>>> Subjects::names_of(SubjectId subject, MonoTime deadline) {
  auto aliases = co_await context_.store.aliases(subject, deadline);
  if (!aliases) co_return std::move(aliases).error();
  std::vector<SubjectId> out{subject};
  for (const auto& alias : *aliases) out.push_back(alias.id);
  co_return out;
}

Task<Result<SubjectView>> Subjects::get(Caller caller, SubjectRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  auto names = co_await names_of(subject->id, caller.deadline);
  if (!names) co_return std::move(names).error();
  auto groups = co_await context_.journal.reader().read(
      kGroupsOf, {db::List{{to_bytes(subject->id.bytes())}}}, caller.deadline);
  if (!groups) co_return std::move(groups).error();
  auto records = co_await context_.store.records_of(subject->id, caller.deadline);
  if (!records) co_return std::move(records).error();

  SubjectView out{.subject = subject->id,
                  .created = subject->created,
                  .erased = subject->erased,
                  .has_external_id = !subject->external_term.empty(),
                  .aliases = {names->begin() + 1, names->end()},
                  .restricted = {},
                  .purposes = views_of(*standing),
                  .keep_groups = {},
                  .records = {}};
  if (standing->restricted) out.restricted = view_of(*standing->restricted);
  for (std::size_t i = 0; i < groups->size(); ++i)
    if (auto group = (*groups)[i].text(0); group != kRequestsGroup)
      out.keep_groups.emplace_back(group);
  for (const auto& record : *records) {
    const auto* collection = work->schema->find(record.collection);
    out.records.push_back(
        {record.id, collection ? collection->name : "?", record.slot, record.version});
  }
  journal::Event event{.activity = "subjects.get",
                       .touches = {{subject->id, "subjects", to_bytes(subject->id.bytes()), {}}}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<AccessList>> Subjects::accesses(Caller caller, AccessesRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto names = co_await names_of(subject->id, caller.deadline);
  if (!names) co_return std::move(names).error();

  auto limit = static_cast<std::size_t>(request.limit.value_or(kPage));
  AccessList out{.subject = subject->id, .accesses = {}, .before = {}};
  bool more = false;
  for (auto name : *names) {
    auto page = co_await deps_.accesses.accesses(name, request.before.value_or(INT64_MAX), limit);
    if (!page) co_return std::move(page).error();
    more |= page->before_seq.has_value();
    for (auto& one : page->accesses) out.accesses.push_back(note_of(one));
  }
  // A batch may have opened records of more than one of the names.
  std::ranges::sort(out.accesses, std::ranges::greater(), &AccessNote::seq);
  auto twice = std::ranges::unique(out.accesses, {}, &AccessNote::seq);
  out.accesses.erase(twice.begin(), twice.end());
  more |= out.accesses.size() > limit;
  if (out.accesses.size() > limit) out.accesses.resize(limit);
  if (more && !out.accesses.empty()) out.before = out.accesses.back().seq;

  journal::Event event{.activity = "subjects.accesses",
                       .touches = {{subject->id, "subjects", to_bytes(subject->id.bytes()), {}}},
                       .facts = {{"shown", static_cast<std::int64_t>(out.accesses.size())}}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<RectifiedRecord>> Subjects::rectify(Caller caller, RectifyRecord request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await living(*work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto loaded = co_await context_.store.load({request.record}, caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  // Of somebody else's record not even that it exists is said.
  if (loaded->records.empty() || loaded->records.front().record.subject != subject->id)
    co_return co_await refused_for(
        context_, std::move(caller), "subjects.rectify", subject->id,
        Error(Code::not_found, "this customer has no such record").at("record"));
  auto& openable = loaded->records.front();
  const auto* collection = work->schema->find(openable.record.collection);
  if (!collection) co_return Error(Code::corrupt, "the record's collection is missing");
  if (request.version && *request.version != openable.record.version)
    co_return Error(Code::conflict, "the record has another version by now: read it and repeat")
        .at("version");
  if (request.values.entries.empty())
    co_return Error(Code::invalid, "name at least one value").at("values");
  auto values = check_values(*collection, request.values, FieldPath("values"));
  if (!values) co_return std::move(values).error();

  UniqueTries tries(context_, *work, caller, "subjects.rectify");
  tries.add(*collection, *values);
  if (auto allowed = co_await tries.allowed(); !allowed) co_return std::move(allowed).error();
  if (loses(*values)) {
    auto free = co_await not_held(
        context_, deps_.holds, caller, "subjects.rectify", collection->name, subject->id,
        {subject->id, "records", to_bytes(openable.record.id.bytes()), {}});
    if (!free) co_return std::move(free).error().at("subject");
  }
  Draft draft(*work->keys, work->now);
  draft.expect_living(subject->id);
  auto changed = draft.change_record(*openable.keys, *collection, openable.record, *values);
  if (!changed) co_return std::move(changed).error();
  RectifiedRecord out{.record = openable.record.id,
                      .subject = subject->id,
                      .version = openable.record.version,
                      .changed = {},
                      .event = {}};
  for (const auto& value : *values) out.changed.push_back(value.field->name);
  journal::Event event{.activity = "subjects.rectify",
                       .collection = collection->name,
                       .fields = out.changed,
                       .touches = std::move(draft.touches()),
                       .note = request.note.value_or("")};
  if (!*changed)
    event.touches = {{subject->id, "records", to_bytes(openable.record.id.bytes()), {}}};
  auto changes = std::move(draft).changes();
  if (loses(*values)) deps_.holds.guard(changes, subject->id);
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return co_await tries.refused(std::move(done).error());
  out.event = done->receipt.event;
  co_return out;
}

}  // namespace holdfast::vault
