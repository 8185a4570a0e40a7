#include "vault/subjects/service.h"

#include <algorithm>
#include <map>
#include <set>

#include "vault/draft.h"
#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kDropKeys{
    "vault.drop_keys", "delete from vault_subject_keys where subject = $1 and keep_group = $2"};
inline constexpr db::Sql kEraseSubject{
    "vault.erase_subject",
    "update vault_subjects set external_term = null, external_sealed = null, "
    "external_other = null, erased_ms = $3, version = version + 1 where id = $1 and version = $2"};
/// Together these keep out what is added while a customer is erased: it waits for the lock (its own
/// guard shares it), and what was there before the lock is seen by the other two.
inline constexpr db::Sql kLockSubject{"vault.lock_subject",
                                      "select 1 from vault_subjects where id = $1 {{for update}}"};
inline constexpr db::Sql kGuardNoOthers{"vault.guard_no_others",
                                        "select 1 where not exists (select 1 from vault_records "
                                        "where subject = $1 and not (id {{in $2}}))"};
inline constexpr db::Sql kGuardRecord{"vault.guard_record",
                                      "select 1 from vault_records where id = $1 and version = $2"};
inline constexpr db::Sql kGroupsOf{
    "vault.groups_of",
    "select distinct keep_group from vault_subject_keys where subject = $1 order by keep_group"};

constexpr std::string_view kErased = "subject.erased";
constexpr std::string_view kAccount = "account";
constexpr std::string_view kLegal = "legal";

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

/// The afterlog's line: the id, then the groups.
Bytes afterlog_id(SubjectId subject, const std::vector<std::string>& groups) {
  Bytes out = blob(subject);
  for (const auto& group : groups) put_part(out, group);
  return out;
}

std::optional<std::pair<SubjectId, std::vector<std::string>>> read_afterlog_id(BytesView bytes) {
  ByteReader reader(bytes);
  auto id = reader.take(16);
  if (!id) return std::nullopt;
  std::pair<SubjectId, std::vector<std::string>> out{*SubjectId::from(*id), {}};
  while (!reader.rest().empty()) {
    auto group = reader.part();
    if (!group) return std::nullopt;
    out.second.emplace_back(as_text(*group));
  }
  return out;
}

Task<Result<std::vector<std::string>>> groups_of(db::Reader& reader, SubjectId id,
                                                 MonoTime deadline) {
  auto rows = co_await reader.read(kGroupsOf, {blob(id)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<std::string> out;
  for (std::size_t i = 0; i < rows->size(); ++i) out.emplace_back((*rows)[i].text(0));
  co_return out;
}

/// Until when a value of the `legal` group must be kept.
std::optional<Time> duty_until(const Schema& schema, const std::vector<Record>& records) {
  std::optional<Time> out;
  for (const auto& record : records) {
    const auto* collection = schema.find(record.collection);
    auto fields = unpack(record.sealed);
    if (!collection || !fields) continue;
    for (const auto& one : *fields) {
      const auto* field = collection->find(one.field);
      if (!field || field->keep_group != kLegal || !field->keep_for) continue;
      auto from = field->keep->from.value_or(KeepFrom::created) == KeepFrom::updated
                      ? record.updated
                      : record.created;
      out = std::max(out.value_or(Time{}), from + *field->keep_for);
    }
  }
  return out;
}

}  // namespace

std::span<const db::Sql* const> subject_statements() {
  static constexpr const db::Sql* kAll[] = {&kDropKeys,    &kEraseSubject,  &kLockSubject,
                                            &kGuardRecord, &kGuardNoOthers, &kGroupsOf};
  return kAll;
}

Task<Result<SubjectView>> Subjects::get(Caller caller, SubjectRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto groups = co_await groups_of(context_.journal.reader(), subject->id, caller.deadline);
  if (!groups) co_return std::move(groups).error();
  auto records = co_await context_.store.records_of(subject->id, caller.deadline);
  if (!records) co_return std::move(records).error();
  SubjectView out{.subject = subject->id,
                  .created = subject->created,
                  .erased = subject->erased,
                  .has_external_id = !subject->external_term.empty(),
                  .keep_groups = std::move(*groups),
                  .records = {}};
  for (const auto& record : *records) {
    const auto* collection = work->schema->find(record.collection);
    out.records.push_back(
        {record.id, collection ? collection->name : "?", record.slot, record.version});
  }
  journal::Event event{.activity = "subjects.get",
                       .touches = {{subject->id, "subjects", blob(subject->id), {}}}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<ErasedSubject>> Subjects::erase(Caller caller, EraseSubject request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto groups = co_await groups_of(context_.journal.reader(), subject->id, caller.deadline);
  if (!groups) co_return std::move(groups).error();
  auto records = co_await context_.store.records_of(subject->id, caller.deadline);
  if (!records) co_return std::move(records).error();

  std::vector<HeldGroup> held;
  if (auto until = duty_until(*work->schema, *records); until && *until > work->now)
    held.push_back({std::string(kLegal), *until});
  std::vector<std::string> chosen;
  for (auto& group : *groups) {
    bool named =
        request.groups.empty() || std::ranges::find(request.groups, group) != request.groups.end();
    bool kept = !held.empty() && group == kLegal;
    if (named && kept && !request.groups.empty())
      co_return Error(Code::conflict,
                      "a legal duty still holds this keep group: erase it after its date")
          .at("groups");
    if (named && !kept) chosen.push_back(group);
  }
  for (const auto& group : request.groups)
    if (std::ranges::find(*groups, group) == groups->end())
      co_return Error(Code::not_found, "this customer has nothing in this keep group").at("groups");
  if (chosen.empty() && (subject->erased || !held.empty()))
    co_return Error(Code::gone,
                    "nothing is left to erase: it was erased before, or a duty holds the rest")
        .at("subject");
  // A customer who is erased as a whole loses the account, whatever lies in it.
  if (request.groups.empty() && !subject->erased &&
      std::ranges::find(chosen, kAccount) == chosen.end())
    chosen.emplace_back(kAccount);
  co_return co_await destroy(std::move(caller), std::move(*subject), std::move(chosen),
                             std::move(held), "subjects.erase", request.reason.value_or(""));
}

Task<Result<ErasedSubject>> Subjects::destroy(Caller caller, Subject subject,
                                              std::vector<std::string> groups,
                                              std::vector<HeldGroup> held,
                                              std::string_view activity, std::string note) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto records = co_await context_.store.records_of(subject.id, caller.deadline);
  if (!records) co_return std::move(records).error();
  auto keys = co_await context_.store.keys(subject.id, caller.deadline);
  if (!keys) co_return std::move(keys).error();
  auto goes = [&](const Field& field) {
    return std::ranges::find(groups, field.keep_group) != groups.end();
  };

  ErasedSubject out{.subject = subject.id, .erased = groups, .held = std::move(held), .event = {}};
  Draft draft(*work->keys, work->now);
  Error changed(Code::conflict, "the customer changed meanwhile: repeat");
  db::Changes changes, guards;
  db::List left;
  changes.guard(kLockSubject, {blob(subject.id)}, changed);
  for (auto& record : *records) {
    const auto* collection = work->schema->find(record.collection);
    if (!collection) co_return Error(Code::corrupt, "the record's collection is missing");
    auto fields = unpack(record.sealed);
    if (!fields) co_return std::move(fields).error();
    std::vector<CheckedValue> gone;
    for (const auto& one : *fields)
      if (const auto* field = collection->find(one.field); field && goes(*field))
        gone.push_back({field, Secret(), true});
    out.values += static_cast<std::int64_t>(gone.size());
    auto tokens = co_await context_.store.tokens_of(record.id, caller.deadline);
    if (!tokens) co_return std::move(tokens).error();
    if (gone.size() == fields->size()) {
      out.records += 1;
      out.tokens += static_cast<std::int64_t>(tokens->size());
      if (auto done = draft.drop_record(*keys, *collection, record, *tokens); !done)
        co_return std::move(done).error();
    } else if (!gone.empty()) {
      std::set<std::uint16_t> ids;
      for (const auto& value : gone) ids.insert(value.field->id);
      std::erase_if(*tokens, [&](const TokenOf& token) { return !ids.contains(token.field); });
      out.tokens += static_cast<std::int64_t>(tokens->size());
      draft.drop_tokens(record.subject, *tokens);
      if (auto done = draft.change_record(*keys, *collection, record, gone); !done)
        co_return std::move(done).error();
      left.cells.emplace_back(blob(record.id));
    } else {
      left.cells.emplace_back(blob(record.id));
      guards.guard(kGuardRecord, {blob(record.id), record.version}, changed);
    }
  }
  guards.guard(kGuardNoOthers, {blob(subject.id), std::move(left)}, changed);
  // The deed is noted outside first: a crash between the two is made good at the next start.
  if (auto noted = co_await context_.journal.afterlog(kErased, afterlog_id(subject.id, groups));
      !noted)
    co_return std::move(noted).error();

  journal::Event event{
      .activity = activity, .touches = std::move(draft.touches()), .note = std::move(note)};
  changes.append(std::move(draft).changes());
  for (const auto& group : groups) changes.write(kDropKeys, {blob(subject.id), group});
  bool leaves = std::ranges::find(groups, kAccount) != groups.end();
  if (leaves && !subject.erased) {
    changes.write(kEraseSubject, {blob(subject.id), subject.version, to_ms(work->now)},
                  db::Expect::exactly(1), changed);
    subject.external_term.clear();
    subject.external_sealed.clear();
    subject.external_other.clear();
    subject.erased = work->now;
    subject.version += 1;
    event.touches.push_back(
        {subject.id, "subjects", blob(subject.id), subject_digest(*work->keys, subject)});
  }
  changes.append(std::move(guards));
  std::string names;
  for (const auto& group : groups) (names += names.empty() ? "" : ",") += group;
  event.facts = {
      {"groups", names}, {"records", out.records}, {"tokens", out.tokens}, {"values", out.values}};
  if (event.touches.empty())
    event.touches.push_back({subject.id, "subjects", blob(subject.id), {}});
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

Task<Result<std::int64_t>> Subjects::replay(std::vector<journal::AfterlogEntry> entries) {
  std::map<SubjectId, std::set<std::string>> erased;
  for (const auto& entry : entries) {
    if (entry.kind != kErased) continue;
    auto read = read_afterlog_id(entry.id);
    if (!read) co_return Error(Code::corrupt, "a line of the afterlog cannot be read");
    erased[read->first].insert(read->second.begin(), read->second.end());
  }
  std::int64_t count = 0;
  for (const auto& [id, groups] : erased) {
    auto subject = co_await context_.store.subject(id, MonoTime::max());
    if (!subject) co_return std::move(subject).error();
    if (!*subject) continue;
    auto present = co_await groups_of(context_.journal.reader(), id, MonoTime::max());
    if (!present) co_return std::move(present).error();
    std::vector<std::string> again;
    for (const auto& group : *present)
      if (groups.contains(group)) again.push_back(group);
    bool whole = groups.contains(std::string(kAccount)) && !(*subject)->erased;
    if (again.empty() && !whole) continue;
    if (whole && std::ranges::find(again, kAccount) == again.end()) again.emplace_back(kAccount);
    auto done = co_await destroy(Caller{}, std::move(**subject), std::move(again), {},
                                 "subjects.erase_again", "");
    if (!done) co_return std::move(done).error();
    ++count;
  }
  co_return count;
}

Task<Result<AccessList>> Subjects::accesses(Caller caller, AccessesRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto page = co_await index_.accesses(subject->id, request.before.value_or(INT64_MAX),
                                       static_cast<std::size_t>(request.limit.value_or(100)));
  if (!page) co_return std::move(page).error();
  AccessList out{.subject = subject->id, .accesses = {}, .before = page->before_seq};
  for (auto& one : page->accesses)
    out.accesses.push_back({one.stored.seq, one.entry.id, one.entry.at, one.entry.actor,
                            one.entry.principal, one.entry.operation, one.entry.purpose,
                            one.entry.fields});
  journal::Event event{.activity = "subjects.accesses",
                       .touches = {{subject->id, "subjects", blob(subject->id), {}}},
                       .facts = {{"shown", static_cast<std::int64_t>(out.accesses.size())}}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

std::vector<http::Route> subject_routes(Subjects* subjects) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Subjects::get>(subjects, "subjects.get", "GET",
                                            "/v1/subjects/{subject}",
                                            "Show what is held of a customer, without values"));
  out.push_back(http::route<&Subjects::erase>(
      subjects, "subjects.erase", "POST", "/v1/subjects/{subject}/erase",
      "Erase a customer for good, but for what a legal duty holds",
      {.examples = {{"On request", R"({"reason":"asked by the customer, ticket 88"})"}}}));
  out.push_back(http::route<&Subjects::accesses>(
      subjects, "subjects.accesses", "GET", "/v1/subjects/{subject}/accesses",
      "Who opened what of a customer, when and for what"));
  return out;
}

}  // namespace holdfast::vault
