#include "access/policy.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace holdfast {

using access::FieldClass;
using access::Question;
using access::Unmet;
using access::View;

namespace {

constexpr std::uint32_t kAnyPurpose = 0;
constexpr std::uint32_t kUnknown = 0xffff'ffff;
constexpr std::string_view kSelfService = "self_service";

/// Fields and classes share the item space: names have low ids, classes the top bit.
constexpr std::uint32_t item_of(FieldClass field_class) {
  return 0x8000'0000u | static_cast<std::uint32_t>(field_class);
}
constexpr bool is_class(std::uint32_t item) {
  return item >= 0x8000'0000u;
}
constexpr std::uint64_t place(std::uint32_t collection, std::uint32_t item) {
  return static_cast<std::uint64_t>(collection) << 32 | item;
}

}  // namespace

/// What several cells give together.
struct Rights::Sum {
  bool covered = false;
  View floor = View::none, highest = View::none, alone = View::none, with_person = View::none;

  void add(const Shown* shown) {
    if (shown == nullptr) return;
    alone = std::max(alone, shown->alone);
    with_person = std::max(with_person, shown->with_person);
  }
};

// ── compiling

void Rights::Cell::add(const Shown& more) {
  auto at = std::ranges::lower_bound(shown, more.purpose, {}, &Shown::purpose);
  if (at == shown.end() || at->purpose != more.purpose) at = shown.insert(at, {more.purpose});
  at->alone = std::max(at->alone, more.alone);
  at->with_person = std::max(at->with_person, more.with_person);
}

const Rights::Shown* Rights::Cell::find(std::uint32_t purpose) const {
  auto at = std::ranges::lower_bound(shown, purpose, {}, &Shown::purpose);
  return at != shown.end() && at->purpose == purpose ? &*at : nullptr;
}

std::uint32_t Rights::intern(std::string_view name) {
  auto [at, fresh] = ids_.try_emplace(std::string(name), names_.size() + 1);
  if (fresh) names_.emplace_back(name);
  return at->second;
}

std::uint32_t Rights::id_of(std::string_view name) const {
  auto at = ids_.find(name);
  return at == ids_.end() ? kUnknown : at->second;
}

std::uint16_t Rights::add_terms(const access::Role& role, std::size_t at) {
  const auto& grant = role.grants[at];
  access::Terms out{.role = role.role,
                    .grant = at,
                    .engagements = grant.engagements,
                    .assignee = grant.assignee,
                    .budget = grant.budget,
                    .hours = {},
                    .networks = {},
                    .observe_until = grant.observe_until};
  // What cannot be read was not declared by this release: it holds nowhere and never.
  bool readable = true;
  for (const auto& text : grant.hours) {
    auto spans = access::parse_hours(text);
    readable &= spans.has_value();
    if (spans) out.hours.insert(out.hours.end(), spans->begin(), spans->end());
  }
  for (const auto& text : grant.networks) {
    auto network = access::parse_network(text);
    readable &= network.has_value();
    if (network) out.networks.push_back(*network);
  }
  if (!readable || terms_.size() >= access::kMostRules) return 0;
  terms_.push_back(std::move(out));
  const auto rule = static_cast<std::uint16_t>(terms_.size());
  if (grant.budget) budgeted_.push_back(rule);
  timed_ |= !grant.hours.empty() || grant.observe_until.has_value();
  placed_ |= !grant.networks.empty();
  return rule;
}

const access::Terms* Rights::terms(std::uint16_t rule) const {
  return rule == 0 || rule > terms_.size() ? nullptr : &terms_[rule - 1];
}

void Rights::add(const access::Role& role, std::size_t at) {
  const auto& grant = role.grants[at];
  const auto rule = grant.conditional() ? add_terms(role, at) : std::uint16_t{0};
  if (grant.conditional() && rule == 0) return;
  std::vector<std::uint32_t> items;
  for (const auto& field : grant.fields) items.push_back(intern(field));
  for (auto field_class : grant.classes) items.push_back(item_of(field_class));
  std::vector<std::uint32_t> purposes;
  for (const auto& purpose : grant.purposes)
    purposes.push_back(purpose == "*" ? kAnyPurpose : intern(purpose));

  const auto mask = std::min(grant.view, View::masked);
  const auto collection = intern(grant.collection);
  for (auto item : items) {
    auto& cell = cells_[place(collection, item)];
    cell.floor = std::max(cell.floor, mask);
    cell.highest = std::max(cell.highest, purposes.empty() ? mask : grant.view);
    for (auto purpose : purposes)
      if (rule == 0)
        cell.add({purpose, grant.needs_person ? View::none : grant.view, grant.view});
      else if (grant.view > View::masked)
        cell.bound.insert(std::ranges::upper_bound(cell.bound, purpose, {}, &Bound::purpose),
                          {purpose, grant.view, grant.needs_person, rule});
  }
}

void Rights::permit(const access::Role& role, std::span<const std::string> scopes) {
  for (const auto& permission : role.permissions) {
    if (scopes.empty()) permissions_.push_back(permission);
    for (const auto& scope : scopes) {
      if (access::includes(permission, scope))
        permissions_.push_back(scope);
      else if (access::includes(scope, permission))
        permissions_.push_back(permission);
    }
  }
}

std::shared_ptr<const Rights> Rights::compile(std::span<const access::Role* const> roles,
                                              std::span<const std::string> scopes,
                                              std::span<const std::string> acts_for) {
  auto out = std::make_shared<Rights>();
  out->intern("*");
  for (const auto* role : roles) {
    out->permit(*role, scopes);
    for (std::size_t at = 0; at < role->grants.size(); ++at) out->add(*role, at);
    out->owner_ |= role->built_in && role->role == "owner" && scopes.empty();
  }
  out->permissions_.emplace_back("access.whoami");
  std::ranges::sort(out->permissions_);
  auto [doubles, end] = std::ranges::unique(out->permissions_);
  out->permissions_.erase(doubles, end);
  for (std::string_view permission : out->permissions_) {
    if (permission == "*")
      out->everything_ = true;
    else if (permission.ends_with(".*"))
      out->prefixes_.emplace(permission.substr(0, permission.size() - 2));
    else
      out->operations_.emplace(permission);
  }
  out->kinds_.assign(acts_for.begin(), acts_for.end());
  std::ranges::sort(out->kinds_);
  return out;
}

// ── asking

bool Rights::may(std::string_view operation) const {
  if (everything_ || operations_.contains(operation)) return true;
  for (auto dot = operation.find('.'); dot != operation.npos; dot = operation.find('.', dot + 1))
    if (prefixes_.contains(operation.substr(0, dot))) return true;
  return false;
}

bool Rights::acts_for(std::string_view kind) const {
  return std::ranges::binary_search(kinds_, kind);
}

void Rights::collect(Sum& sum, std::uint32_t collection, std::uint32_t item,
                     std::uint32_t purpose) const {
  auto at = cells_.find(place(collection, item));
  if (at == cells_.end()) return;
  const auto& cell = at->second;
  sum.covered = true;
  sum.floor = std::max(sum.floor, cell.floor);
  sum.highest = std::max(sum.highest, cell.highest);
  sum.add(cell.find(kAnyPurpose));
  if (purpose != kAnyPurpose) sum.add(cell.find(purpose));
}

/// The best of the grants with conditions, and why none is better.
struct Rights::Best {
  bool person = false, fits = false;
  View highest = View::none;  // under this purpose with everything met
  View view = View::none;     // with what is met
  access::Owed owed;
  const access::Terms* terms = nullptr;
  View missed = View::none;  // the highest that a condition keeps away
  Unmet missing = Unmet::none;
};

namespace {

Unmet unmet(const access::Terms& terms, const access::Question& question) {
  if (!terms.engagements.empty() &&
      (question.engagement.empty() ||
       std::ranges::find(terms.engagements, question.engagement) == terms.engagements.end()))
    return Unmet::engagement;
  if (terms.assignee && !question.assignee) return Unmet::assignee;
  if (!terms.hours.empty() && !access::within(terms.hours, question.minute_of_week))
    return Unmet::hours;
  auto holds = [&](const access::Network& network) { return network.contains(*question.address); };
  if (!terms.networks.empty() &&
      (question.address == nullptr || std::ranges::none_of(terms.networks, holds)))
    return Unmet::network;
  return Unmet::none;
}

std::int64_t room(const std::optional<std::int64_t>& limit) {
  return limit.value_or(std::numeric_limits<std::int64_t>::max());
}

/// Whether `a` is the easier one to be shown something under; both show the same.
bool easier(const access::Owed& a, const access::Terms& a_terms, const access::Owed& b,
            const access::Terms& b_terms) {
  auto rank = [](const access::Owed& owed) {
    return std::pair(owed.unmet != Unmet::none, owed.charge ? owed.watched ? 1 : 2 : 0);
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (!a.charge) return false;
  return std::pair(room(a_terms.budget->per_hour), room(a_terms.budget->per_day)) >
         std::pair(room(b_terms.budget->per_hour), room(b_terms.budget->per_day));
}

}  // namespace

void Rights::weigh(Best& best, std::uint32_t collection, std::uint32_t item, std::uint32_t purpose,
                   const Question& question) const {
  auto at = cells_.find(place(collection, item));
  if (at == cells_.end()) return;
  for (const auto& bound : at->second.bound) {
    if (bound.purpose != kAnyPurpose && bound.purpose != purpose) continue;
    best.highest = std::max(best.highest, bound.view);
    if (!best.fits || (bound.needs_person && !best.person)) continue;
    const auto& terms = terms_[bound.rule - 1u];
    const bool observed = terms.observe_until && question.now < *terms.observe_until &&
                          question.field_class != FieldClass::payment;
    const auto missing = unmet(terms, question);
    if (missing != Unmet::none && !observed) {
      if (bound.view > best.missed) {
        best.missed = bound.view;
        best.missing = missing;
      }
      continue;
    }
    const access::Owed owed{.rule = bound.rule,
                            .charge = terms.budget.has_value(),
                            .watched = terms.budget && observed,
                            .unmet = missing};
    if (bound.view < best.view || (bound.view == best.view && best.terms != nullptr &&
                                   !easier(owed, terms, best.owed, *best.terms)))
      continue;
    best.view = bound.view;
    best.owed = owed;
    best.terms = &terms;
  }
}

access::Decision access::decide(const Rights& rights, const Question& question) {
  if (!question.operation.empty() && !rights.may(question.operation))
    return {View::none, "permission"};

  const auto every = rights.id_of("*"), collection = rights.id_of(question.collection);
  const auto field = rights.id_of(question.field), field_class = item_of(question.field_class);
  const auto purpose = rights.id_of(question.purpose);
  Rights::Sum sum;
  rights.collect(sum, collection, field, purpose);
  rights.collect(sum, collection, field_class, purpose);
  rights.collect(sum, every, field, purpose);
  rights.collect(sum, every, field_class, purpose);
  if (!sum.covered) return {View::none, "no_grant"};

  const bool person = !question.on_behalf_of.empty();
  const bool customer = question.on_behalf_of.starts_with("customer:");
  const bool fits = customer == (question.purpose == kSelfService) && !question.purpose.empty();
  const auto more = !fits ? View::none : person ? sum.with_person : sum.alone;
  auto view = std::max(sum.floor, more);
  Rights::Best best{.person = person, .fits = fits};
  Owed owed;
  if (!rights.terms_.empty()) {
    rights.weigh(best, collection, field, purpose, question);
    rights.weigh(best, collection, field_class, purpose, question);
    rights.weigh(best, every, field, purpose, question);
    rights.weigh(best, every, field_class, purpose, question);
    if (best.view > view) {
      view = best.view;
      if (!best.owed.nothing()) owed = best.owed;
    }
  }
  if (view >= sum.highest) return {view, "granted", owed};
  if (best.missed > view) return {view, name_of(best.missing), owed};
  if (question.purpose.empty() || std::max(sum.with_person, best.highest) <= view)
    return {view, "purpose", owed};
  return {view, person ? "self_service" : "person", owed};
}

// ── comparing

Rights::Sum Rights::symbolic(const Rights& other, std::uint32_t collection, std::uint32_t item,
                             std::uint32_t purpose) const {
  // The other's names in terms of these rights. A purpose that is unknown here is still covered
  // by grants for every purpose.
  auto here = [&](std::uint32_t id) { return id_of(other.names_[id - 1]); };
  const auto every = id_of("*"), where = here(collection);
  const auto why = purpose == kAnyPurpose ? kAnyPurpose : here(purpose);
  if (is_class(item)) {
    Sum sum;
    collect(sum, where, item, why);
    if (where != every) collect(sum, every, item, why);
    return sum;
  }
  // Which class the field has is not known here: all four must give it, or its name.
  Sum least{.floor = View::clear, .alone = View::clear, .with_person = View::clear};
  for (std::size_t i = 0; i < access::kFieldClasses; ++i) {
    Sum sum;
    for (auto part : {here(item), item_of(static_cast<FieldClass>(i))}) {
      collect(sum, where, part, why);
      if (where != every) collect(sum, every, part, why);
    }
    least.floor = std::min(least.floor, sum.floor);
    least.alone = std::min(least.alone, sum.alone);
    least.with_person = std::min(least.with_person, sum.with_person);
  }
  return least;
}

bool Rights::holds(const Rights& other) const {
  for (const auto& [where, cell] : other.cells_) {
    const auto collection = static_cast<std::uint32_t>(where >> 32);
    const auto item = static_cast<std::uint32_t>(where);
    if (symbolic(other, collection, item, kAnyPurpose).floor < cell.floor) return false;
    for (const auto& shown : cell.shown) {
      const auto mine = symbolic(other, collection, item, shown.purpose);
      if (mine.alone < shown.alone || mine.with_person < shown.with_person) return false;
    }
    for (const auto& bound : cell.bound) {
      const auto mine = symbolic(other, collection, item, bound.purpose);
      const auto free = bound.needs_person ? mine.with_person : mine.alone;
      if (free < bound.view && !holds_bound(other, collection, item, bound)) return false;
    }
  }
  return true;
}

namespace {

bool at_most(std::int64_t theirs, std::int64_t mine) {
  return mine == 0 || (theirs != 0 && theirs <= mine);
}

/// Whether whatever meets `theirs` meets `mine`.
bool includes_terms(const access::Terms& mine, const access::Terms& theirs) {
  if (theirs.observe_until && (!mine.observe_until || *mine.observe_until < *theirs.observe_until))
    return false;
  auto known = [&](const std::string& kind) {
    return std::ranges::find(mine.engagements, kind) != mine.engagements.end();
  };
  if (!mine.engagements.empty() &&
      (theirs.engagements.empty() || !std::ranges::all_of(theirs.engagements, known)))
    return false;
  if (mine.assignee && !theirs.assignee) return false;
  if (mine.budget) {
    if (!theirs.budget) return false;
    const auto a = access::allowance(*mine.budget), b = access::allowance(*theirs.budget);
    if (!at_most(b.per_hour, a.per_hour) || !at_most(b.per_day, a.per_day) ||
        !at_most(b.key_per_hour, a.key_per_hour) || !at_most(b.key_per_day, a.key_per_day))
      return false;
  }
  auto hours = [&](const access::WeekSpan& span) {
    return std::ranges::any_of(mine.hours, [&](const access::WeekSpan& wide) {
      return wide.from <= span.from && span.to <= wide.to;
    });
  };
  if (!mine.hours.empty() && (theirs.hours.empty() || !std::ranges::all_of(theirs.hours, hours)))
    return false;
  auto inside = [&](const access::Network& network) {
    return std::ranges::any_of(mine.networks,
                               [&](const access::Network& wide) { return wide.contains(network); });
  };
  return mine.networks.empty() ||
         (!theirs.networks.empty() && std::ranges::all_of(theirs.networks, inside));
}

}  // namespace

/// By a grant of the same field or class; what a class has in common with a name is not known here.
bool Rights::holds_bound(const Rights& other, std::uint32_t collection, std::uint32_t item,
                         const Bound& theirs) const {
  auto here = [&](std::uint32_t id) { return id_of(other.names_[id - 1]); };
  const auto what = is_class(item) ? item : here(item);
  const auto why = theirs.purpose == kAnyPurpose ? kAnyPurpose : here(theirs.purpose);
  for (auto where : {here(collection), id_of("*")}) {
    auto at = cells_.find(place(where, what));
    if (at == cells_.end()) continue;
    for (const auto& mine : at->second.bound)
      if ((mine.purpose == kAnyPurpose || mine.purpose == why) && mine.view >= theirs.view &&
          (!mine.needs_person || theirs.needs_person) &&
          includes_terms(terms_[mine.rule - 1u], other.terms_[theirs.rule - 1u]))
        return true;
  }
  return false;
}

std::string_view access::excess(const Rights& mine, const Rights& theirs) {
  if (mine.owner_) return {};
  auto permitted = [&](const std::string& narrow) {
    return std::ranges::any_of(mine.permissions_,
                               [&](const auto& wide) { return includes(wide, narrow); });
  };
  if (!std::ranges::all_of(theirs.permissions_, permitted)) return "permissions";
  if (!mine.holds(theirs)) return "grants";
  if (!std::ranges::includes(mine.kinds_, theirs.kinds_)) return "acts_for";
  return {};
}

}  // namespace holdfast

namespace holdfast::access {

bool includes(std::string_view wide, std::string_view narrow) {
  if (wide == "*" || wide == narrow) return true;
  if (!wide.ends_with(".*")) return false;
  return narrow.starts_with(wide.substr(0, wide.size() - 1));
}

std::string_view explain(std::string_view reason) {
  if (reason == "granted") return "No grant of this key shows more than this.";
  if (reason == "permission") return "No role of this key, as narrowed by its scopes, permits it.";
  if (reason == "no_grant") return "No grant of this key covers this field.";
  if (reason == "purpose") return "A grant shows more, but not for this purpose.";
  if (reason == "person")
    return "A grant shows more when on_behalf_of says who is behind the call.";
  if (reason == "self_service")
    return "self_service is for customers, and customers see more than masks for nothing else.";
  if (reason == "engagement")
    return "A grant shows more when the call names a live engagement of the kind that it demands.";
  if (reason == "assignee") return "A grant shows more to whom the engagement was given.";
  if (reason == "hours") return "A grant shows more, but not at this hour.";
  if (reason == "network") return "A grant shows more, but not to this network.";
  return "";
}

std::string_view name_of(Unmet unmet) {
  switch (unmet) {
    case Unmet::none:
      return "";
    case Unmet::engagement:
      return "engagement";
    case Unmet::assignee:
      return "assignee";
    case Unmet::hours:
      return "hours";
    case Unmet::network:
      return "network";
  }
  return "";
}

std::uint32_t Owed::packed() const {
  if (nothing()) return 0;
  return rule | static_cast<std::uint32_t>(charge) << 16 |
         static_cast<std::uint32_t>(watched) << 17 | static_cast<std::uint32_t>(unmet) << 18;
}

Owed Owed::from(std::uint32_t packed) {
  return {.rule = static_cast<std::uint16_t>(packed & 0xffff),
          .charge = (packed >> 16 & 1) != 0,
          .watched = (packed >> 17 & 1) != 0,
          .unmet = static_cast<Unmet>(packed >> 18 & 7)};
}

Allowance allowance(const Budget& budget) {
  const auto hour = budget.per_hour.value_or(0), day = budget.per_day.value_or(0);
  return {hour, day, budget.key_per_hour.value_or(hour), budget.key_per_day.value_or(day)};
}

}  // namespace holdfast::access
