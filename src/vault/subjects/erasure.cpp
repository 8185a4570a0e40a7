#include "vault/subjects/erasure.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "vault/subjects/afterlog.h"
#include "vault/subjects/service.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kPage = 100;
constexpr std::string_view kStatement = "subjects.erasure";
constexpr std::string_view kDigest = "digest";

Error not_proved() {
  return {Code::corrupt,
          "the statement does not hold: it was changed, or its parts are not of one erasure"};
}

Result<journal::Proved> proved(const journal::EventProof& proof,
                               std::optional<std::string_view> expected_key) {
  return journal::verify_proof(to_json(proof), expected_key);
}

StepView step_of(ErasureStep step, const KeyEnd& end) {
  auto state = end.event ? StepState::done : end.at ? StepState::planned : StepState::not_scheduled;
  return {step, state, end.at, end.event};
}

std::vector<std::string> split(std::string_view names) {
  std::vector<std::string> out;
  while (!names.empty()) {
    auto end = std::min(names.find(','), names.size());
    out.emplace_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return out;
}

/// The newest entry that erased something of the customer.
Task<Result<journal::Access>> last_erasure(Proofs& proofs, SubjectId subject) {
  std::int64_t before = INT64_MAX;
  for (;;) {
    auto page = co_await proofs.events(subject, before, kPage);
    if (!page) co_return std::move(page).error();
    for (auto& one : page->accesses)
      if ((one.entry.operation == kErase || one.entry.operation == kEraseAgain) &&
          one.entry.outcome == "success")
        co_return std::move(one);
    if (!page->before_seq)
      co_return Error(Code::not_found, "nothing of this customer was ever erased").at("subject");
    before = *page->before_seq;
  }
}

}  // namespace

std::optional<std::string> fact_of(std::string_view entry, std::string_view name) {
  auto parsed = parse_json(entry);
  const auto* object = parsed ? parsed->if_object() : nullptr;
  for (auto key : {std::string_view("unmapped"), std::string_view("facts")}) {
    const auto* value = object ? object->if_contains(key) : nullptr;
    object = value ? value->if_object() : nullptr;
  }
  const auto* fact = object ? object->if_contains(name) : nullptr;
  const auto* text = fact ? fact->if_string() : nullptr;
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

std::string digest_of(const ErasureSteps& said) {
  return base64url(crypto::sha256(as_bytes(to_json(said))));
}

bool is_erasure(std::string_view json) {
  if (json.size() > journal::kLongestProof) return false;
  auto parsed = parse_json(json);
  const auto* object = parsed ? parsed->if_object() : nullptr;
  const auto* format = object ? object->if_contains("format") : nullptr;
  const auto* text = format ? format->if_string() : nullptr;
  return text && std::string_view(*text) == kErasureFormat;
}

Result<ProvedErasure> verify_erasure(std::string_view json,
                                     std::optional<std::string_view> expected_key) {
  if (json.size() > journal::kLongestProof)
    return Error(Code::too_large, "a statement is at most 16 MiB");
  auto statement = parse_json_as<ErasureStatement>(json);
  if (!statement) return std::move(statement).error();
  if (statement->format != kErasureFormat)
    return Error(Code::invalid, "not a statement of an erasure").at("format");
  const auto& said = statement->said;
  auto erasure = proved(statement->erasure, expected_key);
  if (!erasure) return std::move(erasure).error();
  auto stated = proved(statement->statement, erasure->verifier);
  if (!stated) return std::move(stated).error();

  const auto& deed = erasure->entry;
  bool of_subject = std::ranges::any_of(
      erasure->rows, [&](const auto& row) { return row.subject == said.subject; });
  bool is_deed = (deed.operation == kErase || deed.operation == kEraseAgain) &&
                 deed.outcome == "success" && deed.id == said.erasure.text() &&
                 deed.at == said.erased && of_subject;
  auto groups = fact_of(statement->erasure.entry, "groups");
  bool same_groups = groups && split(*groups) == said.groups;
  bool bound = stated->entry.operation == kStatement && stated->entry.outcome == "success" &&
               stated->seq > erasure->seq &&
               fact_of(statement->statement.entry, kDigest) == digest_of(said);
  if (!is_deed || !same_groups || !bound) return not_proved();
  return ProvedErasure{said, erasure->verifier, erasure->seq, stated->seq, stated->entry.at};
}

Task<Result<ErasureStatement>> Subjects::erasure(Caller caller, SubjectRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto deed = co_await last_erasure(deps_.proofs, subject->id);
  if (!deed) co_return std::move(deed).error();
  auto event = EventId::parse(deed->entry.id);
  auto groups = fact_of(deed->stored.entry, "groups");
  if (!event || !groups) co_return Error(Code::corrupt, "an entry of the journal cannot be read");
  auto index = co_await deps_.epochs.index_end(deed->entry.at, caller.deadline);
  if (!index) co_return std::move(index).error();
  auto epoch = co_await deps_.epochs.epoch_end(deed->entry.at, caller.deadline);
  if (!epoch) co_return std::move(epoch).error();
  auto left = co_await groups_of(subject->id, caller.deadline);
  if (!left) co_return std::move(left).error();
  auto records = co_await context_.store.records_of(subject->id, caller.deadline);
  if (!records) co_return std::move(records).error();
  auto duties = co_await held_by_duty(*work, subject->id, *records, caller.deadline);
  if (!duties) co_return std::move(duties).error();
  std::vector<StillHeld> held;
  for (auto& group : *left) {
    auto duty = std::ranges::find(duties->held, group, &HeldGroup::group);
    auto until = duty == duties->held.end() ? std::nullopt : std::optional(duty->until);
    held.push_back({std::move(group), until});
  }

  KeyEnd now{deed->entry.at, *event};
  ErasureStatement out;
  out.format = kErasureFormat;
  out.said = {
      .subject = subject->id,
      .erasure = *event,
      .erased = deed->entry.at,
      .groups = split(*groups),
      .held = held.empty() ? std::nullopt : std::optional(std::move(held)),
      .steps = {step_of(ErasureStep::keys_deleted, now), step_of(ErasureStep::values_deleted, now),
                step_of(ErasureStep::index_key_destroyed, *index),
                step_of(ErasureStep::epoch_key_destroyed, *epoch)}};
  journal::Event given{.activity = kStatement,
                       .touches = {{subject->id, "subjects", to_bytes(subject->id.bytes()), {}}},
                       .facts = {{"erasure", deed->entry.id}, {kDigest, digest_of(out.said)}}};
  auto done = co_await context_.journal.commit(caller, {}, std::move(given));
  if (!done) co_return std::move(done).error();
  auto first = co_await deps_.proofs.prove(*event, subject->id);
  if (!first) co_return std::move(first).error();
  auto second = co_await deps_.proofs.prove(done->receipt.event, subject->id);
  if (!second) co_return std::move(second).error();
  out.erasure = std::move(*first);
  out.statement = std::move(*second);
  co_return out;
}

// ── members

std::span<const std::string_view> enum_names(ErasureStep) {
  static constexpr std::string_view kNames[] = {"keys_deleted", "values_deleted",
                                                "index_key_destroyed", "epoch_key_destroyed"};
  return kNames;
}

std::span<const std::string_view> enum_names(StepState) {
  static constexpr std::string_view kNames[] = {"done", "planned", "not_scheduled"};
  return kNames;
}

std::span<const Member> StepView::described() {
  using S = StepView;
  static constexpr Member kMembers[] = {
      member<&S::step>("step", "What it is."),
      member<&S::state>("state", "Done, planned, or not scheduled yet."),
      member<&S::at>("at", "When it was done or will be."),
      member<&S::event>("event", "The journal entry of it, once done.")};
  return kMembers;
}

std::span<const Member> StillHeld::described() {
  using S = StillHeld;
  static constexpr Member kMembers[] = {
      member<&S::group>("group", "The keep group.", {.bytes = 63}),
      member<&S::until>("until", "While a legal duty holds it: until when.")};
  return kMembers;
}

std::span<const Member> ErasureSteps::described() {
  using E = ErasureSteps;
  static constexpr Member kMembers[] = {
      member<&E::subject>("subject", "The customer's id."),
      member<&E::erasure>("erasure", "The journal entry of the erasure."),
      member<&E::erased>("erased", "When it was done."),
      member<&E::groups>("groups", "Keep groups that were erased.", {.bytes = 63}),
      member<&E::held>("held", "Keep groups that were still there when this was stated."),
      member<&E::steps>("steps", "What makes it final, each with its date.", {.count = 8})};
  return kMembers;
}

std::span<const Member> ErasureStatement::described() {
  using E = ErasureStatement;
  static constexpr Member kMembers[] = {
      member<&E::format>("format", "holdfast-erasure-1"),
      member<&E::said>("said", "What is stated."),
      member<&E::erasure>("erasure", "Proof of the entry of the erasure."),
      member<&E::statement>("statement", "Proof of the entry of this statement, which binds it.")};
  return kMembers;
}

}  // namespace holdfast::vault
