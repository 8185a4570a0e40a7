// Rows of a customer's rights that several inner rooms and the state check read: decisions behind a
// standing, and requests. Their free text is sealed; the rest are plain facts.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/id.h"
#include "crypto/hash.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "db/rows.h"
#include "vault/sealing.h"

namespace holdfast::vault {

using DecisionId = Id<"dec">;
/// A data subject request.
using DemandId = Id<"dsr">;

/// Keys of requests: no declared keep group can have this name, and erasing a customer leaves it,
/// for that a request was answered must be shown afterwards.
inline constexpr std::string_view kRequestsGroup = "@requests";

/// A row of vault_decisions.
struct Decision {
  DecisionId id;
  SubjectId subject;
  Time at{};
  std::string decision;  // "restricted", "consent_given", ...
  std::string purpose;   // empty where it is about all
  Bytes evidence;        // sealed under the customer's account key; empty without
};
inline constexpr db::Sql kAddDecision{
    "vault.add_decision",
    "insert into vault_decisions (id, subject, at_ms, decision, purpose, evidence) "
    "values ($1, $2, $3, $4, $5, $6)"};
inline constexpr db::Sql kDecisionsOf{
    "vault.decisions_of",
    "select id, subject, at_ms, decision, purpose, evidence from vault_decisions "
    "where subject {{in $1}} order by id desc limit $2"};
inline constexpr db::Sql kDropDecisions{"vault.drop_decisions",
                                        "delete from vault_decisions where id {{in $1}}"};
inline constexpr db::Sql kAllDecisions{
    "vault.all_decisions",
    "select id, subject, at_ms, decision, purpose, evidence from vault_decisions "
    "where id > $1 order by id limit $2"};
Decision decision_from(const db::Rows::Row& row);
db::Args decision_row(const Decision& decision);
crypto::Digest decision_digest(const crypto::KeySet& keys, const Decision& decision);
/// What the evidence is bound to.
Binding evidence_binding(const Decision& decision);

/// A row of vault_requests.
struct Demand {
  DemandId id;
  SubjectId subject;
  std::string kind;
  std::string state;
  Time received{};
  Time due{};
  std::string identity;
  bool extended = false;
  std::optional<Time> alarmed;
  std::optional<Time> answered;
  std::string outcome;  // empty until answered
  std::optional<EventId> event;
  Bytes asked;   // sealed, empty without
  Bytes answer;  // sealed, empty without
  std::int64_t version = 1;
};
/// Which of a request's texts.
inline constexpr std::uint16_t kAskedText = 1, kAnswerText = 2;
inline constexpr db::Sql kFindDemand{
    "vault.find_request",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests where id = $1"};
inline constexpr db::Sql kDemandsOf{
    "vault.requests_of",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests "
    "where subject {{in $1}} and id > $2 order by id limit $3"};
inline constexpr db::Sql kAllDemands{
    "vault.all_requests",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests "
    "where id > $1 order by id limit $2"};
Demand demand_from(const db::Rows::Row& row);
crypto::Digest demand_digest(const crypto::KeySet& keys, const Demand& demand);
/// What a text is bound to.
Binding demand_binding(const Demand& demand, std::uint16_t text);

std::span<const db::Sql* const> rights_statements();

}  // namespace holdfast::vault
