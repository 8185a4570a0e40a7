// Engagements as they are stored: a live reason (an order, a ticket, a return, a call) to look at
// one customer. Authority rows: a MAC covers the whole row, so that one written, bent to another
// customer or reopened behind the server's back admits nobody.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"
#include "base/task.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "db/database.h"
#include "vault/sealing.h"

namespace holdfast::vault {

/// A kind of engagement: what may be opened under one, and for how long.
struct EngagementKind {
  std::string kind;
  std::string doc;
  std::string max_life;                 // "14 days"
  std::vector<std::string> fields;      // empty: all that grants show
  std::optional<std::int64_t> version;  // 0: built in; counts changes
  static std::span<const Member> described();
};
/// order, ticket, return, call. A kind of the same name that the shop put stands before them.
std::span<const EngagementKind> builtin_kinds();

struct Engagement {
  EngagementId id;
  SubjectId subject;
  std::string kind;
  Bytes term;    // of kind and reference
  Bytes sealed;  // EngagementPrivate, under the customer's `account` key
  Time opened{}, closes{};
  std::optional<Time> closed;
  std::string opener;         // the principal
  std::string opener_person;  // pseudonym of the person behind it; empty without
  std::string assignee;       // pseudonym, or a principal; empty without
  std::int64_t version = 1;
  Bytes mac;

  bool live(Time now) const { return !closed && now < closes; }
};

/// What only its customer's key opens.
struct EngagementPrivate {
  std::string reference, assignee, opener_person;
  static std::span<const Member> described();
};

/// What a request may do under the engagement that it names.
struct Engaged {
  EngagementId id;
  SubjectId subject;
  std::string kind;
  std::vector<std::string> fields;
  bool assignee = false;  // the caller is the one that it was given to
  std::int64_t version = 1;

  bool covers(std::string_view field) const;
};

Bytes reference_term(const crypto::KeySet& keys, std::string_view kind, std::string_view reference);
/// How the rows and the journal name a person or, without one, a principal.
std::string actor_name(const crypto::KeySet& keys, std::string_view principal,
                       std::string_view person);

/// With the columns of vault.find_engagement.
Engagement engagement_from(const db::Rows::Row& row);
/// Sets `mac`.
void authenticate(const crypto::KeySet& keys, Engagement& engagement);
bool authentic(const crypto::KeySet& keys, const Engagement& engagement);
/// What events leave behind of the row.
crypto::Digest engagement_digest(const crypto::KeySet& keys, const Engagement& engagement);
/// Where `sealed` belongs.
Binding engagement_binding(const Engagement& engagement);

/// Errors: corrupt (a row that Holdfast did not write), unavailable.
Task<Result<std::optional<Engagement>>> find_engagement(db::Reader& reader,
                                                        std::shared_ptr<const crypto::KeySet> keys,
                                                        EngagementId id, MonoTime deadline);
/// The shop's own or a built-in one. Errors: corrupt, unavailable.
Task<Result<std::optional<EngagementKind>>> find_kind(db::Reader& reader,
                                                      std::shared_ptr<const crypto::KeySet> keys,
                                                      std::string name, MonoTime deadline);
/// From a row of name, version, declared and mac; nullopt when it does not authenticate.
std::optional<EngagementKind> kind_from(const crypto::KeySet& keys, const db::Rows::Row& row);
/// What is stored of a kind.
std::string declared_kind(const EngagementKind& kind);

/// Yields a row while the engagement is as it was read.
inline constexpr db::Sql kGuardEngagement{
    "vault.guard_engagement",
    "select 1 from vault_engagements where id = $1 and version = $2 and closed_ms is null "
    "{{for share}}"};

std::span<const db::Sql* const> engagement_row_statements();

}  // namespace holdfast::vault
