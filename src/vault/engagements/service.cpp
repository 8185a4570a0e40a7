#include "vault/engagements/service.h"

#include <algorithm>

#include "base/text.h"
#include "vault/engagements/statements.h"
#include "vault/idempotency.h"
#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kAccount = "account";
constexpr std::string_view kKindRows = "engagement_kinds";
constexpr std::int64_t kAtOnce = 500;

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

journal::Touch touch(const crypto::KeySet& keys, const Engagement& one) {
  return {one.subject, "engagements", blob(one.id), engagement_digest(keys, one)};
}

/// `staff:17` or a principal such as `key_...`.
bool is_actor(std::string_view text) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '@' || c == '-' || c == ':';
  };
  return (text.contains(':') || text.starts_with("key_") || text.starts_with("staff_")) &&
         std::ranges::count(text, ':') <= 1 && std::ranges::all_of(text, fits);
}

/// The statement that closes it, as of then; `one` is what is left.
void close_one(const crypto::KeySet& keys, Engagement& one, Time at, db::Changes& changes,
               journal::Event& event) {
  const auto before = one.version++;
  auto mac_before = std::move(one.mac);
  one.closed = at;
  authenticate(keys, one);
  // Rotations seal rows anew without another version: the MAC must not be of what was sealed then.
  changes.write(kCloseEngagement,
                {blob(one.id), before, to_ms(at), one.version, one.mac, std::move(mac_before)},
                db::Expect::exactly(1),
                Error(Code::conflict, "the engagement changed meanwhile: repeat"));
  event.touches.push_back(touch(keys, one));
}

Error is_open() {
  return Error(Code::conflict,
               "this reference has an open engagement: see `holdfast engagements find`, or close "
               "it first")
      .at("reference");
}

}  // namespace

Task<Result<EngagementView>> Engagements::open(Caller caller, OpenEngagement request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto text = to_json(request);
  Repeat repeat(*work->keys, caller, "engagements.open", request.idempotency_key, text, work->now);
  wipe(text);
  auto& reader = context_.journal.reader();
  auto earlier = co_await repeat.earlier(reader, caller.deadline);
  if (!earlier) co_return std::move(earlier).error();
  if (*earlier) co_return parse_json_as<EngagementView>(**earlier);
  if (request.on_behalf_of) {
    auto acting = context_.permits.acting_for(caller, *request.on_behalf_of);
    if (!acting && acting.error().code == Code::forbidden)
      co_return co_await admission_.refused(caller, {.activity = "engagements.open"},
                                            std::move(acting).error().at("on_behalf_of"));
    if (!acting) co_return std::move(acting).error().at("on_behalf_of");
    caller = std::move(*acting);
  }
  auto kind = co_await find_kind(reader, work->keys, request.kind, caller.deadline);
  if (!kind) co_return std::move(kind).error();
  if (!*kind)
    co_return Error(Code::not_found,
                    "this kind is not declared: see `holdfast engagement-kinds list`")
        .at("kind");
  if (request.reference.empty() || has_control(request.reference, false))
    co_return Error(Code::invalid, "a reference is 1 to 256 bytes without control characters")
        .at("reference");
  if (request.assignee && !is_actor(*request.assignee))
    co_return Error(Code::invalid, "an assignee is written staff:17, or is a key's id")
        .at("assignee");
  const auto longest = parse_duration((*kind)->max_life).value_or(Millis(0));
  const auto life = request.life ? parse_duration(*request.life) : std::optional(longest);
  if (!life) co_return Error(Code::invalid, "not a duration such as `2 days`").at("life");
  if (*life > longest)
    co_return Error(Code::invalid, "longer than an engagement of this kind may be open").at("life");
  auto subject = co_await find_subject(context_, *work->keys, request.subject, caller.deadline);
  if (!subject) co_return std::move(subject).error();
  if (subject->erased) co_return Error(Code::gone, "this customer was erased").at("subject");
  if (auto own = co_await acting_for_own(context_, *work->keys, caller, "engagements.open",
                                         subject->id, {});
      !own)
    co_return std::move(own).error();
  auto keys = co_await context_.store.keys(subject->id, caller.deadline);
  if (!keys) co_return std::move(keys).error();

  journal::Event event{.activity = "engagements.open"};
  db::Changes changes;
  Engagement one{.id = EngagementId::make(work->now),
                 .subject = subject->id,
                 .kind = request.kind,
                 .term = reference_term(*work->keys, request.kind, request.reference),
                 .sealed = {},
                 .opened = work->now,
                 .closes = work->now + *life,
                 .closed = {},
                 .opener = caller.principal,
                 .opener_person = {},
                 .assignee = {},
                 .mac = {}};
  // One that is past its deadline and not swept yet makes room.
  auto others = co_await reader.read(kEngagementsOfTerm, {one.term}, caller.deadline);
  if (!others) co_return std::move(others).error();
  for (std::size_t i = 0; i < others->size(); ++i) {
    auto other = engagement_from((*others)[i]);
    if (other.closed) continue;
    if (!authentic(*work->keys, other))
      co_return Error(Code::corrupt,
                      "an engagement of this reference was not written by Holdfast: run `holdfast "
                      "journal verify --state`");
    if (other.live(work->now)) co_return is_open();
    close_one(*work->keys, other, other.closes, changes, event);
  }
  if (!caller.on_behalf_of.empty())
    one.opener_person = actor_name(*work->keys, {}, caller.on_behalf_of);
  if (request.assignee)
    one.assignee = request.assignee->contains(':') ? actor_name(*work->keys, {}, *request.assignee)
                                                   : *request.assignee;
  std::vector<db::Args> fresh_keys;
  auto ready = keys->ensure(*work->keys, kAccount, fresh_keys);
  if (!ready) co_return std::move(ready).error();
  auto priv = to_json(
      EngagementPrivate{request.reference, request.assignee.value_or(""), caller.on_behalf_of});
  auto sealed = keys->seal(*work->keys, kAccount, engagement_binding(one), as_bytes(priv));
  wipe(priv);
  if (!sealed) co_return std::move(sealed).error();
  one.sealed = std::move(*sealed);
  authenticate(*work->keys, one);

  changes.bulk(kAddKey, std::move(fresh_keys), db::Expect::any(),
               Error(Code::conflict, "this customer's keys changed meanwhile: repeat"));
  changes.write(
      kAddEngagement,
      {blob(one.id), blob(one.subject), one.kind, one.term, one.sealed, to_ms(one.opened),
       to_ms(one.closes), one.opener, one.opener_person, one.assignee, one.version, one.mac},
      db::Expect::exactly(1), is_open());
  changes.guard(kGuardSubject, {blob(one.subject)},
                Error(Code::gone, "this customer was erased").at("subject"));
  auto out = view(*work, one, *keys);
  if (!out) co_return std::move(out).error();
  auto remembered = *out;
  remembered.reference.reset();
  remembered.assignee.reset();
  repeat.remember(changes, to_json(remembered));
  event.touches.push_back(touch(*work->keys, one));
  event.facts = {
      {"closes_ms", to_ms(one.closes)}, {"engagement", one.id.text()}, {"kind", one.kind}};
  Showing showing{.subjects = {one.subject},
                  .terms = admission_.budgets().opener_terms(caller),
                  .engaged = {},
                  .alarm = false};
  auto done = co_await admission_.record(*work, std::move(caller), std::move(showing),
                                         std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Result<EngagementView> Engagements::view(const Working& work, const Engagement& one,
                                         SubjectKeys& keys) const {
  EngagementView out{.engagement = one.id,
                     .subject = one.subject,
                     .kind = one.kind,
                     .live = one.live(work.now),
                     .opened = one.opened,
                     .closes = one.closes,
                     .closed = one.closed,
                     .opener = one.opener,
                     .opener_person = {},
                     .reference = {},
                     .assignee = {},
                     .version = one.version};
  if (!one.opener_person.empty()) out.opener_person = one.opener_person;
  auto plain = keys.open(*work.keys, kAccount, engagement_binding(one), one.sealed);
  if (!plain && plain.error().code != Code::gone) return std::move(plain).error();
  if (!plain) return out;
  auto priv = parse_json_as<EngagementPrivate>(plain->expose_text());
  if (!priv) return Error(Code::corrupt, "an engagement's sealed part is damaged");
  out.reference = std::move(priv->reference);
  if (!priv->assignee.empty()) out.assignee = std::move(priv->assignee);
  return out;
}

Task<Result<EngagementView>> Engagements::close(Caller caller, CloseEngagement request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto found = co_await find_engagement(context_.journal.reader(), work->keys, request.engagement,
                                        caller.deadline);
  if (!found) co_return std::move(found).error();
  if (!*found) co_return Error(Code::not_found, "there is no such engagement").at("engagement");
  auto& one = **found;
  auto keys = co_await context_.store.keys(one.subject, caller.deadline);
  if (!keys) co_return std::move(keys).error();
  journal::Event event{.activity = "engagements.close"};
  db::Changes changes;
  if (one.closed) {
    event.touches.push_back({one.subject, "engagements", blob(one.id), {}});
  } else {
    close_one(*work->keys, one, std::min(work->now, one.closes), changes, event);
    event.note = request.reason.value_or("");
  }
  event.facts = {{"engagement", one.id.text()}, {"kind", one.kind}};
  auto out = view(*work, one, *keys);
  if (!out) co_return std::move(out).error();
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<EngagementPage>> Engagements::shown(Working work, Caller caller,
                                                std::vector<Engagement> rows) {
  EngagementPage out;
  std::vector<SubjectId> subjects;
  for (const auto& one : rows) subjects.push_back(one.subject);
  std::ranges::sort(subjects);
  auto twice = std::ranges::unique(subjects);
  subjects.erase(twice.begin(), twice.end());
  auto keys = co_await context_.store.keys(std::move(subjects), caller.deadline);
  if (!keys) co_return std::move(keys).error();
  for (const auto& one : rows) {
    if (!authentic(*work.keys, one)) {
      ++out.damaged;
      continue;
    }
    auto shown = view(work, one, keys->at(one.subject));
    if (!shown) co_return std::move(shown).error();
    out.engagements.push_back(std::move(*shown));
  }
  co_return out;
}

Task<Result<EngagementPage>> Engagements::list(Caller caller, ListEngagements request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  std::optional<SubjectId> subject;
  if (request.subject) {
    subject = SubjectId::parse(*request.subject);
    if (!subject) co_return Error(Code::invalid, "a customer is written sub_...").at("subject");
  }
  const auto limit = request.limit.value_or(50);
  auto& reader = context_.journal.reader();
  auto after = blob(request.after.value_or(EngagementId{}));
  std::vector<Engagement> rows;
  bool more = true;
  for (int pages = 0; more && pages < 20 && std::ssize(rows) <= limit; ++pages) {
    auto page = subject ? co_await reader.read(kPageEngagementsOf, {after, kAtOnce, blob(*subject)},
                                               caller.deadline)
                        : co_await reader.read(kPageEngagements, {after, kAtOnce}, caller.deadline);
    if (!page) co_return std::move(page).error();
    more = page->size() == static_cast<std::size_t>(kAtOnce);
    for (std::size_t i = 0; i < page->size() && std::ssize(rows) <= limit; ++i) {
      auto one = engagement_from((*page)[i]);
      after = blob(one.id);
      if (!request.live || one.live(work->now) == *request.live) rows.push_back(std::move(one));
    }
  }
  std::optional<std::string> next;
  if (std::ssize(rows) > limit) {
    rows.pop_back();
    next = rows.back().id.text();
  } else if (more) {
    next = EngagementId::from(after)->text();
  }
  journal::Event event{.activity = "engagements.list",
                       .facts = {{"shown", static_cast<std::int64_t>(rows.size())}}};
  for (const auto& one : rows)
    event.touches.push_back({one.subject, "engagements", blob(one.id), {}});
  auto out = co_await shown(*work, caller, std::move(rows));
  if (!out) co_return std::move(out).error();
  out->next = std::move(next);
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<EngagementPage>> Engagements::find(Caller caller, FindEngagements request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto found = co_await context_.journal.reader().read(
      kEngagementsOfTerm, {reference_term(*work->keys, request.kind, request.reference)},
      caller.deadline);
  if (!found) co_return std::move(found).error();
  journal::Event event{.activity = "engagements.find",
                       .facts = {{"shown", static_cast<std::int64_t>(found->size())}}};
  std::vector<Engagement> rows;
  for (std::size_t i = 0; i < found->size(); ++i) {
    rows.push_back(engagement_from((*found)[i]));
    event.touches.push_back({rows.back().subject, "engagements", blob(rows.back().id), {}});
  }
  auto out = co_await shown(*work, caller, std::move(rows));
  if (!out) co_return std::move(out).error();
  auto done = co_await context_.journal.commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return out;
}

Task<Result<std::int64_t>> Engagements::sweep(MonoTime deadline) {
  const Caller self{.deadline = deadline};
  auto work = co_await begin(context_, self);
  if (!work) co_return std::move(work).error();
  auto& reader = context_.journal.reader();
  auto due = co_await reader.read(kDueEngagements, {to_ms(work->now), kAtOnce}, deadline);
  if (!due) co_return std::move(due).error();
  db::Changes changes;
  journal::Event event{.activity = "engagements.expire"};
  for (std::size_t i = 0; i < due->size(); ++i) {
    auto one = engagement_from((*due)[i]);
    if (authentic(*work->keys, one)) close_one(*work->keys, one, one.closes, changes, event);
  }
  const auto closed = static_cast<std::int64_t>(event.touches.size());
  if (closed > 0) {
    event.facts = {{"engagements", closed}};
    auto done = co_await context_.journal.commit(self, std::move(changes), std::move(event));
    if (!done) co_return std::move(done).error();
  }
  co_return closed;
}

// ── kinds

Task<Result<EngagementKind>> Engagements::put_kind(Caller caller, EngagementKind kind) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  if (!is_name(kind.kind))
    co_return Error(Code::invalid, "a kind is a name of lower-case letters, digits and _")
        .at("kind");
  const auto life = parse_duration(kind.max_life);
  if (!life || *life > std::chrono::days(366))
    co_return Error(Code::invalid, "a duration such as `14 days`, at most 366 days").at("max_life");
  for (std::size_t i = 0; i < kind.fields.size(); ++i)
    if (!is_name(kind.fields[i]))
      co_return Error(Code::invalid, "not the name of a field").at(FieldPath("fields")[i]);
  auto old = co_await find_kind(context_.journal.reader(), work->keys, kind.kind, caller.deadline);
  if (!old) co_return std::move(old).error();
  const auto version = *old ? (*old)->version.value_or(0) : 0;
  if (kind.version.value_or(version) != version)
    co_return Error(Code::conflict, "the kind has another version now: look at it again")
        .at("version");
  kind.version = version + 1;
  auto declared = declared_kind(kind);
  auto mac = authority_mac(*work->keys, kKindRows, kind.kind, *kind.version, declared);
  db::Changes changes;
  changes.write(kPutKind, {kind.kind, *kind.version, declared, mac}, db::Expect::exactly(1),
                Error(Code::conflict, "the kind changed meanwhile: repeat").at("kind"));
  journal::Journal::bump_generation(changes);
  journal::Event event{
      .activity = "engagement_kinds.put",
      .touches = {{{},
                   kKindRows,
                   to_bytes(kind.kind),
                   declared_digest(*work->keys, kKindRows, kind.kind, declared, mac)}},
      .facts = {{"kind", kind.kind}, {"version", *kind.version}}};
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return kind;
}

Task<Result<KindList>> Engagements::list_kinds(Caller caller, ListKinds) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto rows = co_await context_.journal.reader().read(kListKinds, {}, caller.deadline);
  if (!rows) co_return std::move(rows).error();
  KindList out;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto kind = kind_from(*work->keys, (*rows)[i]);
    if (!kind)
      co_return Error(Code::corrupt,
                      "a kind of engagements in the database was not written by Holdfast: run "
                      "`holdfast journal verify --state`");
    out.kinds.push_back(std::move(*kind));
  }
  for (const auto& kind : builtin_kinds())
    if (std::ranges::find(out.kinds, kind.kind, &EngagementKind::kind) == out.kinds.end())
      out.kinds.push_back(kind);
  std::ranges::sort(out.kinds, {}, &EngagementKind::kind);
  co_return out;
}

Task<Result<DeletedKind>> Engagements::delete_kind(Caller caller, KindRef request) {
  auto work = co_await begin(context_, caller);
  if (!work) co_return std::move(work).error();
  auto old =
      co_await find_kind(context_.journal.reader(), work->keys, request.kind, caller.deadline);
  if (!old) co_return std::move(old).error();
  if (!*old) co_return Error(Code::not_found, "there is no such kind").at("kind");
  const auto version = (*old)->version.value_or(0);
  if (version == 0)
    co_return Error(Code::conflict, "this kind is built in and was not changed").at("kind");
  db::Changes changes;
  changes.write(kDropKind, {request.kind, version}, db::Expect::exactly(1),
                Error(Code::conflict, "the kind changed meanwhile: repeat").at("kind"));
  journal::Journal::bump_generation(changes);
  journal::Event event{.activity = "engagement_kinds.delete",
                       .touches = {{{}, kKindRows, to_bytes(request.kind), crypto::Digest{}}},
                       .facts = {{"kind", request.kind}}};
  auto done = co_await context_.journal.commit(caller, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return DeletedKind{true, done->receipt.event};
}

std::vector<http::Route> engagement_routes(Engagements* engagements) {
  using E = Engagements;
  std::vector<http::Route> out;
  out.push_back(http::route<&E::open>(
      engagements, "engagements.open", "POST", "/v1/engagements",
      "Open an engagement: a live reason to look at one customer",
      {.status = 201,
       .examples = {
           {"A ticket",
            R"({"subject":"ext:4711","kind":"ticket","reference":"T-88","assignee":"staff:17"})"}}}));
  out.push_back(http::route<&E::list>(engagements, "engagements.list", "GET", "/v1/engagements",
                                      "List engagements"));
  out.push_back(http::route<&E::find>(
      engagements, "engagements.find", "POST", "/v1/engagements/find",
      "Find the engagements of a reference of the shop's",
      {.examples = {{"A ticket", R"({"kind":"ticket","reference":"T-88"})"}}}));
  out.push_back(http::route<&E::close>(engagements, "engagements.close", "POST",
                                       "/v1/engagements/{engagement}/close",
                                       "Close an engagement before its deadline"));
  out.push_back(http::route<&E::put_kind>(
      engagements, "engagement_kinds.put", "PUT", "/v1/engagement-kinds/{kind}",
      "Declare a kind of engagements, or change it",
      {.examples = {{"Repairs", R"({"doc":"A device in repair.","max_life":"30 days",)"
                                R"("fields":["first_name","last_name","phone"]})"}}}));
  out.push_back(http::route<&E::list_kinds>(engagements, "engagement_kinds.list", "GET",
                                            "/v1/engagement-kinds",
                                            "List the kinds of engagements"));
  out.push_back(http::route<&E::delete_kind>(engagements, "engagement_kinds.delete", "DELETE",
                                             "/v1/engagement-kinds/{kind}",
                                             "Delete a kind of engagements of your own"));
  return out;
}

std::span<const db::Sql* const> engagement_statements() {
  static constexpr const db::Sql* kAll[] = {
      &kAddEngagement,     &kCloseEngagement,   &kFollowEngagement, &kPageEngagements,
      &kPageEngagementsOf, &kEngagementsOfTerm, &kDueEngagements,   &kListKinds,
      &kPutKind,           &kDropKind};
  return kAll;
}

}  // namespace holdfast::vault
