// Erasing: keys, values, index terms and tokens of the keep groups that no duty holds.
#include <algorithm>
#include <set>

#include "journal/noted.h"
#include "vault/policy.h"
#include "vault/statements.h"
#include "vault/subjects/afterlog.h"
#include "vault/subjects/service.h"
#include "vault/subjects/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kAccount = "account";
constexpr std::string_view kLegal = "legal";
constexpr std::int64_t kMostDecisions = 20'000;

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

db::List list_of(const std::vector<SubjectId>& ids) {
  db::List out;
  for (auto id : ids) out.cells.emplace_back(blob(id));
  return out;
}

/// Until when a value of the `legal` group must be kept. `closed` is when the customer's last
/// engagement closed: while one is open the duty has not begun to end, so that it is now at least.
std::optional<Time> duty_until(const Schema& schema, const std::vector<Record>& records,
                               Time closed) {
  std::optional<Time> out;
  for (const auto& record : records) {
    const auto* collection = schema.find(record.collection);
    auto fields = unpack(record.sealed);
    if (!collection || !fields) continue;
    for (const auto& one : *fields) {
      const auto* field = collection->find(one.field);
      if (!field || field->keep_group != kLegal || !field->keep_for) continue;
      const auto from = field->keep->from.value_or(KeepFrom::created);
      const auto since = from == KeepFrom::closed    ? std::max(record.created, closed)
                         : from == KeepFrom::updated ? record.updated
                                                     : record.created;
      out = std::max(out.value_or(Time{}), since + *field->keep_for);
    }
  }
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view one) {
  return std::ranges::find(list, one) != list.end();
}

/// What the request names of what there is. Errors: conflict, not_found, gone.
Result<std::vector<std::string>> chosen_of(const std::vector<std::string>& groups,
                                           const EraseSubject& request, bool erased, bool duty) {
  std::vector<std::string> out;
  for (const auto& group : groups) {
    bool named = request.groups.empty() || contains(request.groups, group);
    bool kept = duty && group == kLegal;
    if (named && kept && !request.groups.empty())
      return Error(Code::conflict,
                   "a legal duty still holds this keep group: erase it after its date")
          .at("groups");
    if (named && !kept) out.push_back(group);
  }
  for (const auto& group : request.groups)
    if (!contains(groups, group))
      return Error(Code::not_found, "this customer has nothing in this keep group").at("groups");
  if (out.empty() && (erased || duty))
    return Error(Code::gone,
                 "nothing is left to erase: it was erased before, or a duty holds the rest")
        .at("subject");
  // A customer who is erased as a whole loses the account, whatever lies in it.
  if (request.groups.empty() && !erased && !contains(out, kAccount)) out.emplace_back(kAccount);
  return out;
}

/// One erasure on its way into changes.
struct Erasing {
  const Working& work;
  const std::vector<std::string>& groups;
  Draft draft;
  db::Changes guards{};
  db::List left{};  // records that stay
  std::int64_t records = 0, values = 0, tokens = 0;

  Result<void> take(SubjectKeys& keys, Record& record, std::vector<TokenOf> of_record);
};

Result<void> Erasing::take(SubjectKeys& keys, Record& record, std::vector<TokenOf> of_record) {
  const auto* collection = work.schema->find(record.collection);
  if (!collection) return Error(Code::corrupt, "the record's collection is missing");
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  std::vector<CheckedValue> gone;
  for (const auto& one : *fields)
    if (const auto* field = collection->find(one.field);
        field && contains(groups, field->keep_group))
      gone.push_back({field, Secret(), true});
  values += static_cast<std::int64_t>(gone.size());
  if (gone.size() == fields->size()) {
    records += 1;
    tokens += static_cast<std::int64_t>(of_record.size());
    return draft.drop_record(keys, *collection, record, of_record);
  }
  left.cells.emplace_back(blob(record.id));
  // Also those of values that the record has no more.
  std::erase_if(of_record, [&](const TokenOf& token) {
    const auto* field = collection->find(token.field);
    return field && !contains(groups, field->keep_group);
  });
  tokens += static_cast<std::int64_t>(of_record.size());
  draft.drop_tokens(record.subject, of_record);
  if (gone.empty()) {
    guards.guard(kGuardRecord, {blob(record.id), record.version},
                 Error(Code::conflict, "the customer changed meanwhile: repeat"));
    return {};
  }
  auto changed = draft.change_record(keys, *collection, record, gone);
  if (!changed) return std::move(changed).error();
  return {};
}

}  // namespace

/// Keep groups with a key, but for what stays whatever is erased.
Task<Result<std::vector<std::string>>> Subjects::groups_of(SubjectId subject, MonoTime deadline) {
  auto names = co_await names_of(subject, deadline);
  if (!names) co_return std::move(names).error();
  auto rows = co_await context_.journal.reader().read(kGroupsOf, {list_of(*names)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<std::string> out;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (auto group = (*rows)[i].text(0); group != kRequestsGroup) out.emplace_back(group);
  co_return out;
}

/// What a duty holds now, with its date.
Task<Result<Subjects::Duty>> Subjects::held_by_duty(const Working& work, SubjectId subject,
                                                    const std::vector<Record>& records,
                                                    MonoTime deadline) {
  auto closed = co_await deps_.closings.last_closed({subject}, deadline);
  if (!closed) co_return std::move(closed).error();
  const auto ended = closed->find(subject);
  const auto closed_at = ended == closed->end() ? work.now : ended->second;
  const auto until = duty_until(*work.schema, records, closed_at);
  Duty out;
  if (until && *until > work.now) out.held.push_back({std::string(kLegal), *until});
  if (until != duty_until(*work.schema, records, work.now)) out.closed = closed_at;
  co_return out;
}

Task<Result<ErasedSubject>> Subjects::erase(Caller caller, EraseSubject request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto hold = co_await deps_.holds.held(subject->id, caller.deadline);
  if (!hold) co_return std::move(hold).error();
  if (*hold)
    co_return co_await refused_for(
        context_, std::move(caller), kErase, subject->id,
        Error(Code::conflict,
              "a legal hold forbids to erase this customer: see `holdfast retention holds`")
            .at("subject"));
  if (auto may = changeable(*work->keys, *subject); !may)
    co_return co_await refused_for(context_, std::move(caller), kErase, subject->id,
                                   std::move(may).error().at("subject"));
  auto groups = co_await groups_of(subject->id, caller.deadline);
  if (!groups) co_return std::move(groups).error();
  auto records = co_await context_.store.records_of(subject->id, caller.deadline);
  if (!records) co_return std::move(records).error();

  auto duty = co_await held_by_duty(*work, subject->id, *records, caller.deadline);
  if (!duty) co_return std::move(duty).error();
  auto chosen = chosen_of(*groups, request, subject->erased.has_value(), !duty->held.empty());
  if (!chosen) co_return std::move(chosen).error();
  co_return co_await destroy(std::move(caller), std::move(*subject), std::move(*chosen),
                             std::move(*duty), kErase, request.reason.value_or(""),
                             least_noted_version_);
}

/// Takes the names, decisions and standing of a customer who leaves, aliases too; the customer
/// comes first.
Task<Result<void>> Subjects::forget(const crypto::KeySet& keys, std::vector<Subject> whose,
                                    std::int64_t at_least, Time now, db::Changes& changes,
                                    journal::Event& event, MonoTime deadline) {
  Error changed(Code::conflict, "the customer changed meanwhile: repeat");
  std::vector<SubjectId> ids;
  for (auto& one : whose) {
    ids.push_back(one.id);
    if (one.erased) continue;
    one.external_term.clear();
    one.external_sealed.clear();
    one.external_other.clear();
    one.erased = now;
    one.standing = encode_standing({});
    auto row = put_subject(keys, one, one.id == whose.front().id ? at_least : 0);
    changes.write(kPutSubject, std::move(row), db::Expect::exactly(1), changed);
    event.touches.push_back({one.id, "subjects", blob(one.id), subject_digest(keys, one)});
  }
  auto rows = co_await context_.journal.reader().read(kDecisionsOf, {list_of(ids), kMostDecisions},
                                                      deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return Result<void>();
  db::List drops;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto decision = decision_from((*rows)[i]);
    drops.cells.emplace_back(blob(decision.id));
    event.touches.push_back({decision.subject, "decisions", blob(decision.id), crypto::Digest{}});
  }
  auto count = db::Expect::exactly(static_cast<std::int64_t>(rows->size()));
  changes.write(kDropDecisions, {std::move(drops)}, count, changed);
  co_return Result<void>();
}

Task<Result<ErasedSubject>> Subjects::destroy(Caller caller, Subject subject,
                                              std::vector<std::string> groups, Duty duty,
                                              std::string_view activity, std::string note,
                                              std::int64_t at_least) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto records = co_await context_.store.records_of(subject.id, caller.deadline);
  if (!records) co_return std::move(records).error();
  auto keys = co_await context_.store.keys(subject.id, caller.deadline);
  if (!keys) co_return std::move(keys).error();
  auto whose = co_await context_.store.aliases(subject.id, caller.deadline);
  if (!whose) co_return std::move(whose).error();
  whose->insert(whose->begin(), subject);

  Erasing erasing{.work = *work, .groups = groups, .draft = Draft(*work->keys, work->now)};
  for (auto& record : *records) {
    auto tokens = co_await context_.store.tokens_of(record.id, caller.deadline);
    if (!tokens) co_return std::move(tokens).error();
    if (auto done = erasing.take(*keys, record, std::move(*tokens)); !done)
      co_return std::move(done).error();
  }
  Error changed(Code::conflict, "the customer changed meanwhile: repeat");
  db::Changes changes;
  changes.guard(kLockSubject, {blob(subject.id)}, changed);
  erasing.guards.guard(kGuardNoOthers, {blob(subject.id), std::move(erasing.left)}, changed);
  journal::Event event{
      .activity = activity, .touches = std::move(erasing.draft.touches()), .note = std::move(note)};
  changes.append(std::move(erasing.draft).changes());
  for (const auto& group : groups)
    for (const auto& one : *whose) changes.write(kDropKeys, {blob(one.id), group});
  db::List ids, names_gone;
  for (const auto& one : *whose) ids.cells.emplace_back(blob(one.id));
  for (const auto& group : groups) names_gone.cells.emplace_back(group);
  changes.guard(kGuardNoKeys, {std::move(ids), std::move(names_gone)},
                Error(Code::corrupt,
                      "the database keeps this customer's keys: somebody changed its tables (a "
                      "trigger or rule on vault_subject_keys)"));
  const ErasedLine erased{subject.id, std::max(subject.version + 1, at_least), groups};
  if (contains(groups, kAccount) && !subject.erased) {
    auto done =
        co_await forget(*work->keys, *whose, at_least, work->now, changes, event, caller.deadline);
    if (!done) co_return std::move(done).error();
  } else {
    changes.write(kPutSubject, put_subject(*work->keys, subject, at_least), db::Expect::exactly(1),
                  changed);
    event.touches.push_back(
        {subject.id, "subjects", blob(subject.id), subject_digest(*work->keys, subject)});
  }
  changes.append(std::move(erasing.guards));

  std::string names;
  for (const auto& group : groups) (names += names.empty() ? "" : ",") += group;
  event.facts = {{"groups", names},
                 {"records", erasing.records},
                 {"tokens", erasing.tokens},
                 {"values", erasing.values}};
  std::optional<journal::Line> line;
  if (activity == kErase) {
    deps_.holds.guard(changes, subject.id);
    if (duty.closed && contains(groups, kLegal))
      deps_.closings.guard(changes, {{*duty.closed, {subject.id}}});
    line = {kErased, erased_line(erased)};
  }
  auto done = co_await journal::commit_noted(context_.journal, std::move(line), caller,
                                             std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return ErasedSubject{.subject = subject.id,
                          .erased = std::move(groups),
                          .held = std::move(duty.held),
                          .records = erasing.records,
                          .values = erasing.values,
                          .tokens = erasing.tokens,
                          .event = done->receipt.event};
}

}  // namespace holdfast::vault
