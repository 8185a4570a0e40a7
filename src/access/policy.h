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
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "access/types.h"
#include "base/caller.h"
#include "base/result.h"

namespace holdfast::access {

struct Question {
  std::string_view operation;  // empty: only the field is asked about
  std::string_view collection;
  std::string_view field;
  FieldClass field_class = FieldClass::personal;
  std::string_view purpose;       // empty for masked reads
  std::string_view on_behalf_of;  // `staff:17`; empty without
};

/// Why a view is not higher: `permission` (the operation is not permitted), `no_grant` (nothing
/// covers the field), `purpose`, `person`, `self_service` (a grant would show more under another
/// purpose, or with a person behind the call, or rule 5 forbids it), or `granted` (no grant shows
/// more than this).
struct Decision {
  View view = View::none;
  std::string_view reason;
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

 private:
  friend access::Decision access::decide(const Rights& rights, const access::Question& question);
  friend std::string_view access::excess(const Rights& mine, const Rights& theirs);

  /// Views for one purpose (0: for every purpose).
  struct Shown {
    std::uint32_t purpose = 0;
    access::View alone = access::View::none;
    access::View with_person = access::View::none;
  };
  /// All that is granted on one collection and one field or class.
  struct Cell {
    access::View floor = access::View::none;    // without purpose: the mask
    access::View highest = access::View::none;  // under the best purpose, with a person
    std::vector<Shown> shown;                   // sorted by purpose
    void add(const Shown& more);
    const Shown* find(std::uint32_t purpose) const;
  };
  struct Sum;

  std::uint32_t intern(std::string_view name);
  std::uint32_t id_of(std::string_view name) const;
  void permit(const access::Role& role, std::span<const std::string> scopes);
  void add(const access::Grant& grant);
  void collect(Sum& sum, std::uint32_t collection, std::uint32_t item, std::uint32_t purpose) const;
  /// What these rights give wherever `collection` (of any rights) and `item` say.
  Sum symbolic(const Rights& other, std::uint32_t collection, std::uint32_t item,
               std::uint32_t purpose) const;
  bool holds(const Rights& other) const;

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
};

}  // namespace holdfast
