// Restriction, objection and consent: one decision is one version of the customer's row, one row of
// the history, and one event.
#include <algorithm>

#include "journal/noted.h"
#include "vault/statements.h"
#include "vault/subjects/afterlog.h"
#include "vault/subjects/service.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kShown = 500;
constexpr std::string_view kAccount = "account";

StandingView shown(SubjectId subject, const Standing& standing, EventId event) {
  StandingView out{
      .subject = subject, .restricted = {}, .purposes = views_of(standing), .event = event};
  if (standing.restricted) out.restricted = view_of(*standing.restricted);
  return out;
}

Error too_many() {
  return Error(Code::too_large, "this customer decided about 200 purposes, the most there may be")
      .at("purpose");
}

/// Art. 21(1) and (2): against legitimate interests and public tasks, and against direct marketing,
/// which rests on consent here. Never against what legal claims need.
bool knows_objection(const Purpose& purpose) {
  return purpose.name != kLegalClaims && (purpose.legal_basis == LegalBasis::legitimate_interests ||
                                          purpose.legal_basis == LegalBasis::public_task ||
                                          purpose.legal_basis == LegalBasis::consent);
}

/// What the customer said about the purpose before, if anything closed it then.
bool closed_before(const Standing& standing, std::string_view purpose) {
  const auto* decided = standing.find(purpose);
  return standing.restricted ||
         (decided && (decided->objected || decided->consent == Consent::withdrawn));
}

}  // namespace

Task<Result<EventId>> Subjects::put_standing(Caller caller, Subject& subject, const Standing& next,
                                             Ruling ruling) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  Decision decision{.id = DecisionId::make(work->now),
                    .subject = subject.id,
                    .at = work->now,
                    .decision = std::string(ruling.decision),
                    .purpose = ruling.purpose,
                    .evidence = {}};
  db::Changes changes;
  if (!ruling.note.empty()) {
    auto keys = co_await context_.store.keys(subject.id, caller.deadline);
    if (!keys) co_return std::move(keys).error();
    std::vector<db::Args> fresh;
    if (auto ready = keys->ensure(*work->keys, kAccount, fresh); !ready)
      co_return std::move(ready).error();
    auto sealed =
        keys->seal(*work->keys, kAccount, evidence_binding(decision), as_bytes(ruling.note));
    if (!sealed) co_return std::move(sealed).error();
    decision.evidence = std::move(*sealed);
    auto count = db::Expect::exactly(static_cast<std::int64_t>(fresh.size()));
    changes.bulk(kAddKey, std::move(fresh), count,
                 Error(Code::conflict, "this customer's keys changed meanwhile: repeat"));
  }
  subject.standing = encode_standing(next);
  const auto at_least =
      ruling.lasting ? std::max(ruling.at_least, least_noted_version_) : ruling.at_least;
  auto row = put_subject(*work->keys, subject, at_least);
  changes.write(kPutSubject, std::move(row), db::Expect::exactly(1),
                Error(Code::conflict, "the customer changed meanwhile: repeat").at("subject"));
  changes.write(kAddDecision, decision_row(decision), db::Expect::exactly(1));
  journal::Event event{.activity = ruling.activity,
                       .purpose = std::move(ruling.purpose),
                       .touches = {{subject.id, "subjects", to_bytes(subject.id.bytes()),
                                    subject_digest(*work->keys, subject)},
                                   {subject.id, "decisions", to_bytes(decision.id.bytes()),
                                    decision_digest(*work->keys, decision)}},
                       .facts = {{"decided", decision.decision}}};
  // The text lies with the decision alone, where erasing the customer reaches it.
  wipe(ruling.note);
  std::optional<journal::Line> line;
  if (ruling.lasting) line = {kStandingDecided, standing_line(subject)};
  auto done = co_await journal::commit_noted(context_.journal, std::move(line), caller,
                                             std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return done->receipt.event;
}

Task<Result<StandingView>> Subjects::rule(Caller caller, Subject subject, Standing next,
                                          Ruling ruling) {
  auto done = co_await put_standing(std::move(caller), subject, next, std::move(ruling));
  if (!done) co_return std::move(done).error();
  co_return shown(subject.id, next, *done);
}

Task<Result<StandingView>> Subjects::restrict(Caller caller, RestrictSubject request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await living(*work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  // A further ground does not begin the restriction anew.
  standing->restricted = {request.ground,
                          standing->restricted ? standing->restricted->since : work->now};
  co_return co_await rule(std::move(caller), std::move(*subject), std::move(*standing),
                          {.activity = "subjects.restrict",
                           .decision = "restricted",
                           .purpose = {},
                           .note = request.note.value_or(""),
                           .lasting = true});
}

Task<Result<StandingView>> Subjects::unrestrict(Caller caller, UnrestrictSubject request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await living(*work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  if (!standing->restricted)
    co_return Error(Code::conflict, "this customer's data is not restricted").at("subject");
  standing->restricted.reset();
  co_return co_await rule(std::move(caller), std::move(*subject), std::move(*standing),
                          {.activity = "subjects.unrestrict",
                           .decision = "unrestricted",
                           .purpose = {},
                           .note = request.note.value_or(""),
                           .lasting = true});
}

Task<Result<StandingView>> Subjects::object(Caller caller, ObjectSubject request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await living(*work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto as = co_await acting_for_own(context_, *work->keys, std::move(caller), "subjects.object",
                                    subject->id, std::move(request.on_behalf_of));
  if (!as) co_return std::move(as).error();
  auto purpose = work->schema->purposes.find(request.purpose);
  if (purpose == work->schema->purposes.end())
    co_return no_such_purpose(*work->schema, request.purpose);
  if (!request.lifted && !knows_objection(purpose->second))
    co_return Error(Code::conflict,
                    "the legal basis of this purpose knows no objection (GDPR art. 21): only "
                    "legitimate interests, public tasks and marketing do")
        .at("purpose");
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  auto& mine = standing->of(request.purpose);
  if (standing->purposes.size() > kMostDecided) co_return too_many();
  if (request.lifted && !mine.objected)
    co_return Error(Code::conflict, "no objection to this purpose stands").at("purpose");
  mine.objected = !request.lifted;
  mine.objected_at = work->now;
  if (mine.objected && mine.consent == Consent::given) {
    mine.consent = Consent::withdrawn;
    mine.consent_at = work->now;
  }
  co_return co_await rule(std::move(*as), std::move(*subject), std::move(*standing),
                          {.activity = "subjects.object",
                           .decision = request.lifted ? "objection_lifted" : "objected",
                           .purpose = std::move(request.purpose),
                           .note = request.note.value_or(""),
                           .lasting = true});
}

Task<Result<StandingView>> Subjects::consent(Caller caller, ConsentSubject request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await living(*work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto as = co_await acting_for_own(context_, *work->keys, std::move(caller), "subjects.consent",
                                    subject->id, std::move(request.on_behalf_of));
  if (!as) co_return std::move(as).error();
  const auto purpose = work->schema->purposes.find(request.purpose);
  if (purpose == work->schema->purposes.end())
    co_return no_such_purpose(*work->schema, request.purpose);
  if (!request.withdrawn && request.evidence.value_or("").empty())
    co_return Error(Code::invalid, "say what proves that the customer agreed").at("evidence");
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  // A first consent that a restore loses leaves the purpose closed, which is safe; all that follows
  // something that closed it must be known afterwards.
  bool lasting = request.withdrawn || closed_before(*standing, request.purpose);
  auto& mine = standing->of(request.purpose);
  if (standing->purposes.size() > kMostDecided) co_return too_many();
  // Whatever its basis, a purpose may be agreed to: that ends an objection, and opens it while
  // processing is restricted (art. 18(2)). To take back what was never given would close nothing.
  if (request.withdrawn && purpose->second.legal_basis != LegalBasis::consent &&
      mine.consent != Consent::given)
    co_return Error(Code::conflict,
                    "this purpose does not rest on consent, and none was given: an objection "
                    "(`holdfast subjects object`) or a restriction (`holdfast subjects restrict`) "
                    "closes it")
        .at("purpose");
  mine.consent = request.withdrawn ? Consent::withdrawn : Consent::given;
  mine.consent_at = work->now;
  if (!request.withdrawn && mine.objected) {
    mine.objected = false;
    mine.objected_at = work->now;
  }
  co_return co_await rule(std::move(*as), std::move(*subject), std::move(*standing),
                          {.activity = "subjects.consent",
                           .decision = request.withdrawn ? "consent_withdrawn" : "consent_given",
                           .purpose = std::move(request.purpose),
                           .note = std::move(request.evidence).value_or(""),
                           .lasting = lasting});
}

Task<Result<StandingHistory>> Subjects::standing(Caller caller, SubjectRequest request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  auto standing = standing_of(*work->keys, *subject);
  if (!standing) co_return std::move(standing).error();
  auto names = co_await names_of(subject->id, caller.deadline);
  if (!names) co_return std::move(names).error();
  db::List whose;
  for (auto name : *names) whose.cells.emplace_back(to_bytes(name.bytes()));
  auto rows = co_await context_.journal.reader().read(kDecisionsOf, {std::move(whose), kShown},
                                                      caller.deadline);
  if (!rows) co_return std::move(rows).error();
  auto keys = co_await context_.store.keys(*names, caller.deadline);
  if (!keys) co_return std::move(keys).error();

  StandingHistory out{.subject = subject->id,
                      .restricted = {},
                      .purposes = views_of(*standing),
                      .decisions = {},
                      .event = {}};
  if (standing->restricted) out.restricted = view_of(*standing->restricted);
  journal::Event event{.activity = "subjects.standing"};
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto decision = decision_from((*rows)[i]);
    DecisionView view{.decision = decision.id,
                      .at = decision.at,
                      .decided = std::move(decision.decision),
                      .purpose = {},
                      .evidence = {}};
    if (!decision.purpose.empty()) view.purpose = decision.purpose;
    if (auto held = keys->find(decision.subject);
        !decision.evidence.empty() && held != keys->end()) {
      auto opened =
          held->second.open(*work->keys, kAccount, evidence_binding(decision), decision.evidence);
      if (!opened && opened.error().code != Code::gone) co_return std::move(opened).error();
      if (opened) {
        view.evidence = std::move(*opened);
        event.opened = true;
      }
    }
    event.touches.push_back({subject->id, "decisions", to_bytes(decision.id.bytes()), {}});
    out.decisions.push_back(std::move(view));
  }
  if (event.touches.empty())
    event.touches.push_back({subject->id, "subjects", to_bytes(subject->id.bytes()), {}});
  Showing showing;
  if (event.opened)
    showing = {.subjects = {subject->id}, .terms = deps_.admission.budgets().opener_terms(caller)};
  auto done = co_await deps_.admission.record(*work, std::move(caller), std::move(showing), {},
                                              std::move(event));
  if (!done) co_return std::move(done).error();
  out.event = done->receipt.event;
  co_return out;
}

}  // namespace holdfast::vault
