#include "vault/admission.h"

#include <algorithm>

namespace holdfast::vault {
namespace {

Error engagement_error(Literal text) {
  return Error(Code::forbidden, text).at("engagement");
}

Error ended() {
  return engagement_error("this engagement has ended: nothing opens under it any more");
}

void each_once(std::vector<SubjectId>& subjects) {
  std::ranges::sort(subjects);
  auto twice = std::ranges::unique(subjects);
  subjects.erase(twice.begin(), twice.end());
}

}  // namespace

void Showing::add(std::uint32_t term) {
  if (term != 0 && std::ranges::find(terms, term) == terms.end()) terms.push_back(term);
}

Task<Result<Engaged>> Admission::engage(Working work, Caller caller, std::string text) {
  auto id = EngagementId::parse(text);
  if (!id) co_return Error(Code::invalid, "an engagement is written eng_...").at("engagement");
  auto& reader = deps_.context.journal.reader();
  auto found = co_await find_engagement(reader, work.keys, *id, caller.deadline);
  if (!found) co_return std::move(found).error();
  if (!*found) co_return engagement_error("there is no such engagement");
  const auto& one = **found;
  if (!one.live(work.now)) co_return ended();
  const auto me = actor_name(*work.keys, caller.principal, caller.on_behalf_of);
  auto own =
      co_await deps_.context.permits.same_account(one.opener, caller.principal, caller.deadline);
  if (!own) co_return std::move(own).error();
  if (*own || (!caller.on_behalf_of.empty() && one.opener_person == me))
    co_return engagement_error("whoever opened an engagement may not reveal under it");
  auto kind = co_await find_kind(reader, work.keys, one.kind, caller.deadline);
  if (!kind) co_return std::move(kind).error();
  if (!*kind) co_return engagement_error("the kind of this engagement is not declared any more");
  co_return Engaged{
      one.id, one.subject, one.kind, std::move((*kind)->fields), one.assignee == me, one.version};
}

Task<Error> Admission::refused(Caller caller, journal::Event event, Error error,
                               std::string_view reason) {
  event.outcome = journal::Outcome::refused;
  event.opened = false;
  event.alarm = false;
  event.reason = reason.empty() ? code_name(error.code) : reason;
  auto done = co_await deps_.context.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return error;
}

Task<Result<std::optional<std::int64_t>>> Admission::room(Caller caller,
                                                          std::vector<std::uint32_t> terms,
                                                          journal::Event event) {
  if (!deps_.budgets.counts(terms)) co_return std::nullopt;
  auto left = co_await deps_.budgets.room(caller, terms);
  if (left || left.error().code != Code::exhausted) co_return left;
  auto said = co_await deps_.budgets.spent(caller, 1, std::move(terms), std::move(left).error(),
                                           std::move(event));
  co_return co_await refused(std::move(caller), std::move(said.event), std::move(said.error),
                             "budget");
}

Task<Result<journal::Written>> Admission::record(Working work, Caller caller, Showing showing,
                                                 db::Changes changes, journal::Event event) {
  auto& journal = deps_.context.journal;
  bool canary = false;
  if (showing.alarm && !showing.subjects.empty()) {
    auto known = co_await deps_.canaries.get(work.schema->generation, caller.deadline);
    if (!known) co_return std::move(known).error();
    auto invented = [&](const SubjectId& subject) { return (*known)->contains(subject); };
    canary = !(*known)->empty() && std::ranges::any_of(showing.subjects, invented);
  }
  if (canary) {
    event.alarm = true;
    event.facts.emplace_back("canary", std::int64_t{1});
  }
  if (showing.engaged) event.facts.emplace_back("engagement", showing.engaged->id.text());
  const auto operation = event.activity;
  const bool charged =
      (showing.asks || !showing.subjects.empty()) && deps_.budgets.counts(showing.terms);
  const auto told = [&](const journal::Written& written) {
    if (canary) deps_.alarms.canary_opened(caller.principal, operation, written.receipt.event);
  };
  if (!charged && !showing.engaged) {
    auto done = co_await journal.commit(caller, std::move(changes), std::move(event));
    if (done) told(*done);
    co_return done;
  }

  auto beyond = std::move(showing.compared);
  if (showing.asks) {
    const auto from = showing.subjects.begin() + static_cast<std::ptrdiff_t>(showing.found);
    beyond.insert(beyond.end(), from, showing.subjects.end());
    showing.subjects.erase(from, showing.subjects.end());
  }
  each_once(showing.subjects);
  each_once(beyond);
  Budgets::Charge charge;
  if (charged) {
    auto made =
        co_await deps_.budgets.charge(caller, showing.subjects, std::move(beyond), showing.terms);
    if (!made) co_return std::move(made).error();
    charge = std::move(*made);
  }
  auto all = std::move(charge.changes);
  all.append(std::move(changes));
  if (showing.engaged)
    all.guard(kGuardEngagement, {to_bytes(showing.engaged->id.bytes()), showing.engaged->version},
              ended());
  auto kept = event;
  auto done = co_await journal.commit(caller, std::move(all), std::move(event));
  if (!done) {
    const auto at = done.error().field.text();
    const bool spent = done.error().code == Code::exhausted && at.starts_with("budget.");
    const bool engagement = done.error().code == Code::forbidden && at == "engagement";
    if (engagement)
      co_return co_await refused(std::move(caller), std::move(kept), std::move(done).error(),
                                 "engagement");
    if (!spent || showing.asks) co_return done;
    auto said = co_await deps_.budgets.spent(caller, showing.subjects.size(), showing.terms,
                                             std::move(done).error(), std::move(kept));
    co_return co_await refused(std::move(caller), std::move(said.event), std::move(said.error),
                               "budget");
  }
  told(*done);
  std::vector<std::int64_t> used;
  for (const auto& watched : charge.watched) {
    const auto& rows = done->committed.returned;
    used.push_back(watched.statement < rows.size() && !rows[watched.statement].empty()
                       ? rows[watched.statement][0].integer(0)
                       : 0);
  }
  if (charged)
    co_await deps_.budgets.settle(caller, showing.terms, std::move(charge.watched),
                                  std::move(used));
  co_return done;
}

}  // namespace holdfast::vault
