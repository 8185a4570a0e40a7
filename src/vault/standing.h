// What a customer decided about the use of their data, and the pure rule whether a purpose is open
// for it: restriction (GDPR art. 18), objection (art. 21), consent (art. 7).
//
// A customer's row carries all of it under a MAC of the authority key from birth: a row that was
// changed, emptied or taken out in the database does not open. It is read with each record, never
// cached, so that a decision holds on every core and node before its reply.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "crypto/hash.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "db/rows.h"
#include "vault/types.h"

namespace holdfast::vault {

/// Open whatever the customer decided: see closed_for.
inline constexpr std::string_view kLegalClaims = "legal_claims";
/// The customer's own look at their own data.
inline constexpr std::string_view kSelfService = "self_service";
/// Answering a request under art. 15 to 21.
inline constexpr std::string_view kSubjectRequest = "subject_request";

/// Why processing is restricted: the four cases of art. 18(1).
enum class Ground : std::uint8_t {
  accuracy_contested,
  unlawful,
  needed_for_claims,
  objection_pending
};
std::span<const std::string_view> enum_names(Ground);

enum class Consent : std::uint8_t { none, given, withdrawn };
std::span<const std::string_view> enum_names(Consent);

struct Restriction {
  Ground ground = Ground::accuracy_contested;
  Time since{};
  friend bool operator==(const Restriction&, const Restriction&) = default;
};

/// The customer's last word on one purpose.
struct PurposeStanding {
  std::string purpose;
  Consent consent = Consent::none;
  Time consent_at{};
  bool objected = false;
  Time objected_at{};
  friend bool operator==(const PurposeStanding&, const PurposeStanding&) = default;
};

struct Standing {
  std::optional<Restriction> restricted;
  std::vector<PurposeStanding> purposes;  // sorted by name, each once

  const PurposeStanding* find(std::string_view purpose) const;
  /// Made when it is not there yet.
  PurposeStanding& of(std::string_view purpose);
  friend bool operator==(const Standing&, const Standing&) = default;
};

/// At most so many purposes have a decision of one customer.
inline constexpr std::size_t kMostDecided = 200;

/// form (1) | restricted: 0, or 1 + ground (1) | since (8) | count (2) | count times: name, consent
/// (1), at (8), objected (1), at (8). The other way refuses what it would not have written.
/// Errors: corrupt.
Bytes encode_standing(const Standing& standing);
Result<Standing> decode_standing(BytesView bytes);

/// Of two accounts of one customer's decisions whose order is not known, the one that opens less.
Standing strictest(const Standing& a, const Standing& b);
/// When two customers become one: restricted if either is (the older restriction), and for each
/// purpose the later word counts.
Standing merged(const Standing& into, const Standing& from);

enum class Closed : std::uint8_t { open, restricted, objected, no_consent };
/// What a refusal says: "restricted", "objected", "no_consent"; empty for open.
std::string_view reason_of(Closed closed);
/// Whether a refusal's reason is one of these.
bool is_closed(std::string_view reason);

/// Whether a purpose is open for a customer.
///
/// What the law demands (basis `legal_obligation`) and legal claims always are (art. 17(3), 18(2),
/// 21(1)). Of an erased customer, whose rest a duty holds, nothing else is. An objection closes its
/// purpose; a purpose that rests on consent is closed without one. A restriction closes the rest,
/// but for what the customer agreed to since, and for their own look (`self_service`).
Closed closed_for(const Standing& standing, bool erased, const Purpose& purpose);

// ── the row

/// A row of vault_subjects.
struct Subject {
  SubjectId id;
  Bytes external_term;  // empty without
  Bytes external_sealed;
  Time created{};
  std::optional<Time> erased;
  std::int64_t version = 1;
  std::optional<SubjectId> merged_into;  // then only an alias of that one
  Bytes standing;                        // encode_standing
  Bytes mac;                             // key id (4) | HMAC cut to 16
  Bytes external_other{};                // empty but while the key of external ids is rotated
};

/// Under the active authority key: over id, both external terms, erased, merged_into, standing,
/// version.
Bytes subject_mac(const crypto::KeySet& keys, const Subject& subject);
/// The decisions of a row that Holdfast wrote. Cost: about 1 µs.
/// Errors: corrupt (written, changed or emptied past the server; names what to run).
Result<Standing> standing_of(const crypto::KeySet& keys, const Subject& subject);
/// Which authority key the MAC says it is under; nothing of a row without one. Checks nothing.
std::optional<std::uint32_t> mac_key_of(const Subject& subject);
/// Gives the row its next version (no lower than `at_least`) and a fresh MAC: the arguments of
/// vault.put_subject, which expects the stored row to have the version before.
db::Args put_subject(const crypto::KeySet& keys, Subject& subject, std::int64_t at_least = 0);

/// From the columns id, external_term, external_sealed, created_ms, erased_ms, version,
/// merged_into, standing, mac, external_other, the first of which is `at`. All
/// empty where a join found no row.
Subject subject_from(const db::Rows::Row& row, std::size_t at = 0);

/// The digest that events leave behind.
crypto::Digest subject_digest(const crypto::KeySet& keys, const Subject& subject);

}  // namespace holdfast::vault
