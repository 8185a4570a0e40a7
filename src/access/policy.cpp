#include "access/policy.h"

#include <algorithm>

namespace holdfast {

using access::FieldClass;
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

void Rights::add(const access::Grant& grant) {
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
      cell.add({purpose, grant.needs_person ? View::none : grant.view, grant.view});
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
    for (const auto& grant : role->grants) out->add(grant);
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
  const auto view = std::max(sum.floor, more);
  if (view >= sum.highest) return {view, "granted"};
  if (question.purpose.empty() || sum.with_person <= view) return {view, "purpose"};
  return {view, person ? "self_service" : "person"};
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
  }
  return true;
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
  return "";
}

}  // namespace holdfast::access
