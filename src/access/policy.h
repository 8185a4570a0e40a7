// The rules: pure, no I/O, no clock, no coroutine. tests/access has a slow and obvious evaluator of
// the same rules, and random policies are put to both.
//
// 1. An operation may be used when a role permits it and, if the key has scopes, a scope names it.
//    Everyone may ask who they are (`access.whoami`).
// 2. A grant covers a field when it names the collection (or `*`) and the field or its class.
// 3. What covers a field shows its mask, whatever the purpose.
// 4. More than the mask is shown when the purpose named in the call is one of the grant's and, if
//    the grant needs a person, somebody stands behind the call. The highest such view counts.
// 5. A customer behind the call sees more than masks for `self_service` only, and nobody else does
//    for that purpose. (That it is the customer's own record is for the vault to check.)
// 6. A grant may demand a live engagement, its assignee, hours and networks: where one of these is
//    not met it shows its mask. One with a budget shows more and is charged for it. While a grant
//    is observed its conditions hold for payment data only, and what they would refuse is told.
// 7. Of grants that show the same, one that charges nothing counts, then the largest budget.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "access/hours.h"
#include "access/network.h"
#include "access/types.h"
#include "base/caller.h"
#include "base/result.h"

namespace holdfast::access {

struct Question {
  std::string_view operation;  // empty: only the field is asked about
  std::string_view collection;
  std::string_view field;
  FieldClass field_class = FieldClass::personal;
  std::string_view purpose;          // empty for masked reads
  std::string_view on_behalf_of;     // `staff:17`; empty without
  std::string_view engagement{};     // kind of the live one that is named and covers the field
  bool assignee = false;             // it was given to whoever is behind the call
  int minute_of_week = -1;           // local time; unknown: outside of all hours
  const Address* address = nullptr;  // where the call comes from; unknown: in no network
  Time now{};                        // what grants that are observed until then look at
};

/// A condition that was not met, where its grant is observed.
enum class Unmet : std::uint8_t { none, engagement, assignee, hours, network };
std::string_view name_of(Unmet unmet);

/// What showing a field under a grant with conditions brings with it.
struct Owed {
  std::uint16_t rule = 0;  // number of the grant's Terms in the rights; 0: nothing
  bool charge = false;     // its budget counts this customer
  bool watched = false;    // and would refuse, but is observed
  Unmet unmet = Unmet::none;

  bool nothing() const { return !charge && unmet == Unmet::none; }
  /// One number, 0 for nothing, to pass through rooms that do not know what it means.
  std::uint32_t packed() const;
  static Owed from(std::uint32_t packed);
  friend bool operator==(const Owed&, const Owed&) = default;
};

/// A budget in numbers; 0: no limit.
struct Allowance {
  std::int64_t per_hour = 0, per_day = 0, key_per_hour = 0, key_per_day = 0;
};
Allowance allowance(const Budget& budget);

inline constexpr std::size_t kMostRules = 20'000;

/// The conditions of one grant.
struct Terms {
  std::string role;
  std::size_t grant = 0;  // its place in the role
  std::vector<std::string> engagements;
  bool assignee = false;
  std::optional<Budget> budget;
  std::vector<WeekSpan> hours;
  std::vector<Network> networks;
  std::optional<Time> observe_until;
};

/// Why a view is not higher: `permission` (the operation is not permitted), `no_grant` (nothing
/// covers the field), `purpose`, `person`, `self_service` (a grant would show more under another
/// purpose, or with a person behind the call, or rule 5 forbids it), `engagement`, `assignee`,
/// `hours`, `network` (a grant demands it), or `granted` (no grant shows more than this).
struct Decision {
  View view = View::none;
  std::string_view reason;
  Owed owed{};
};

/// The one decision. Cost: under 2 µs for 100 roles of 50 grants; no allocation.
Decision decide(const Rights& rights, const Question& question);

/// May a principal give away rights: `permissions`, `grants` or `acts_for` names what would be more
/// than its own, empty is fine. Never says fine wrongly; where the answer depends on fields that
/// are not declared yet it says no.
std::string_view excess(const Rights& mine, const Rights& theirs);

/// A plain sentence for a Decision's reason.
std::string_view explain(std::string_view reason);

/// Whether permission `wide` includes all of `narrow`, itself a permission.
bool includes(std::string_view wide, std::string_view narrow);

/// The roles that come with the program, sorted by name; not editable.
std::span<const Role> built_in_roles();
const Role* find_built_in(std::string_view name);

struct Name : std::hash<std::string_view> {
  using is_transparent = void;
};
template <class T>
using ByName = std::unordered_map<std::string, T, Name, std::equal_to<>>;

}  // namespace holdfast::access

namespace holdfast {

/// What a principal may do, compiled from its roles so that one decision is a few hash look-ups.
/// Immutable. Threads: safe. Size: about 100 bytes for each collection × field × purpose.
class Rights {
 public:
  static std::shared_ptr<const Rights> compile(std::span<const access::Role* const> roles,
                                               std::span<const std::string> scopes = {},
                                               std::span<const std::string> acts_for = {});

  /// Cost: one look-up and one for each dot; no allocation.
  bool may(std::string_view operation) const;
  /// Whether it may name a person of this kind (`staff`) in on_behalf_of.
  bool acts_for(std::string_view kind) const;
  /// Holds the built-in owner role without scopes.
  bool owner() const { return owner_; }
  /// Permissions after narrowing, sorted.
  const std::vector<std::string>& permissions() const { return permissions_; }
  const std::vector<std::string>& kinds() const { return kinds_; }
  /// Whether a decision may look at the time, or at the address.
  bool timed() const { return timed_; }
  bool placed() const { return placed_; }
  /// By the number in Owed; nullptr for one that is none.
  const access::Terms* terms(std::uint16_t rule) const;
  /// Numbers of the terms that have a budget.
  const std::vector<std::uint16_t>& budgeted() const { return budgeted_; }

 private:
  friend access::Decision access::decide(const Rights& rights, const access::Question& question);
  friend std::string_view access::excess(const Rights& mine, const Rights& theirs);

  /// Views for one purpose (0: for every purpose).
  struct Shown {
    std::uint32_t purpose = 0;
    access::View alone = access::View::none;
    access::View with_person = access::View::none;
  };
  /// What one grant with conditions gives for one purpose.
  struct Bound {
    std::uint32_t purpose = 0;
    access::View view = access::View::none;
    bool needs_person = false;
    std::uint16_t rule = 0;
  };
  /// All that is granted on one collection and one field or class.
  struct Cell {
    access::View floor = access::View::none;    // without purpose: the mask
    access::View highest = access::View::none;  // under the best purpose, with a person
    std::vector<Shown> shown;                   // sorted by purpose
    std::vector<Bound> bound;                   // the same
    void add(const Shown& more);
    const Shown* find(std::uint32_t purpose) const;
  };
  struct Sum;
  struct Best;

  std::uint32_t intern(std::string_view name);
  std::uint32_t id_of(std::string_view name) const;
  void permit(const access::Role& role, std::span<const std::string> scopes);
  void add(const access::Role& role, std::size_t at);
  std::uint16_t add_terms(const access::Role& role, std::size_t at);
  void collect(Sum& sum, std::uint32_t collection, std::uint32_t item, std::uint32_t purpose) const;
  /// What these rights give wherever `collection` (of any rights) and `item` say.
  Sum symbolic(const Rights& other, std::uint32_t collection, std::uint32_t item,
               std::uint32_t purpose) const;
  bool holds(const Rights& other) const;
  bool holds_bound(const Rights& other, std::uint32_t collection, std::uint32_t item,
                   const Bound& theirs) const;
  void weigh(Best& best, std::uint32_t collection, std::uint32_t item, std::uint32_t purpose,
             const access::Question& question) const;

  bool owner_ = false;
  bool everything_ = false;  // permission `*`
  std::vector<std::string> permissions_;
  std::unordered_set<std::string, access::Name, std::equal_to<>> operations_;
  std::unordered_set<std::string, access::Name, std::equal_to<>>
      prefixes_;  // `records` of `records.*`
  std::vector<std::string> kinds_;
  access::ByName<std::uint32_t> ids_;  // of collections, fields and purposes, from 1
  std::vector<std::string> names_;     // by id - 1
  std::unordered_map<std::uint64_t, Cell> cells_;
  std::vector<access::Terms> terms_;  // by rule - 1
  std::vector<std::uint16_t> budgeted_;
  bool timed_ = false, placed_ = false;
};

}  // namespace holdfast
