#include "vault/standing.h"

#include <algorithm>

namespace holdfast::vault {
namespace {

constexpr std::uint8_t kForm = 1;
constexpr std::size_t kMacBytes = 16;

Error damaged() {
  return {Code::corrupt,
          "a customer's decisions cannot be read: run `holdfast journal verify"
          " --state` to see which rows were changed"};
}

std::uint64_t stamp(Time time) {
  return static_cast<std::uint64_t>(to_ms(time));
}

std::optional<Time> read_time(ByteReader& reader) {
  auto ms = reader.u64();
  if (!ms || *ms > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return from_ms(static_cast<std::int64_t>(*ms));
}

std::optional<PurposeStanding> read_purpose(ByteReader& reader) {
  auto name = reader.part();
  auto consent = reader.u8();
  auto consent_at = read_time(reader);
  auto objected = reader.u8();
  auto objected_at = read_time(reader);
  if (!name || !consent || !consent_at || !objected || !objected_at) return std::nullopt;
  if (name->empty() || *consent > static_cast<std::uint8_t>(Consent::withdrawn) || *objected > 1)
    return std::nullopt;
  return PurposeStanding{std::string(as_text(*name)), static_cast<Consent>(*consent), *consent_at,
                         *objected == 1, *objected_at};
}

/// Objections first, then withdrawals, then silence: what opens less.
int openness(const PurposeStanding& standing) {
  if (standing.objected) return 0;
  if (standing.consent == Consent::withdrawn) return 1;
  return standing.consent == Consent::none ? 2 : 3;
}

std::optional<Restriction> older(const std::optional<Restriction>& a,
                                 const std::optional<Restriction>& b) {
  if (!a || !b) return a ? a : b;
  return a->since <= b->since ? a : b;
}

/// What the MAC covers.
Bytes covered(const Subject& subject) {
  Bytes out;
  out.reserve(200 + subject.standing.size());
  put_part(out, std::string_view("subjects"));
  put_part(out, subject.id.bytes());
  put_part(out, subject.external_term);
  put_part(out, subject.external_other);
  put_u8(out, subject.erased ? 1 : 0);
  put_u64(out, subject.erased ? stamp(*subject.erased) : 0);
  put_part(out, subject.merged_into ? subject.merged_into->bytes() : BytesView());
  put_part(out, subject.standing);
  put_u64(out, static_cast<std::uint64_t>(subject.version));
  return out;
}

db::Value nullable(const Bytes& bytes) {
  return bytes.empty() ? db::Value() : db::Value(bytes);
}

}  // namespace

std::span<const std::string_view> enum_names(Ground) {
  static constexpr std::string_view kNames[] = {"accuracy_contested", "unlawful",
                                                "needed_for_claims", "objection_pending"};
  return kNames;
}

std::span<const std::string_view> enum_names(Consent) {
  static constexpr std::string_view kNames[] = {"none", "given", "withdrawn"};
  return kNames;
}

const PurposeStanding* Standing::find(std::string_view purpose) const {
  auto found = std::ranges::lower_bound(purposes, purpose, {}, &PurposeStanding::purpose);
  return found != purposes.end() && found->purpose == purpose ? &*found : nullptr;
}

PurposeStanding& Standing::of(std::string_view purpose) {
  auto found = std::ranges::lower_bound(purposes, purpose, {}, &PurposeStanding::purpose);
  if (found == purposes.end() || found->purpose != purpose)
    found = purposes.insert(found, PurposeStanding{.purpose = std::string(purpose)});
  return *found;
}

Bytes encode_standing(const Standing& standing) {
  Bytes out;
  put_u8(out, kForm);
  put_u8(out, standing.restricted
                  ? static_cast<std::uint8_t>(1 + static_cast<int>(standing.restricted->ground))
                  : 0);
  put_u64(out, standing.restricted ? stamp(standing.restricted->since) : 0);
  put_u16(out, static_cast<std::uint16_t>(standing.purposes.size()));
  for (const auto& one : standing.purposes) {
    put_part(out, one.purpose);
    put_u8(out, static_cast<std::uint8_t>(one.consent));
    put_u64(out, stamp(one.consent_at));
    put_u8(out, one.objected ? 1 : 0);
    put_u64(out, stamp(one.objected_at));
  }
  return out;
}

Result<Standing> decode_standing(BytesView bytes) {
  ByteReader reader(bytes);
  Standing out;
  auto form = reader.u8();
  auto restricted = reader.u8();
  auto since = read_time(reader);
  auto count = reader.u16();
  if (!form || *form != kForm || !restricted || !since || !count || *count > kMostDecided)
    return damaged();
  if (*restricted > 1 + static_cast<int>(Ground::objection_pending)) return damaged();
  if (*restricted > 0)
    out.restricted = Restriction{static_cast<Ground>(*restricted - 1), *since};
  else if (*since != Time{})
    return damaged();
  for (unsigned i = 0; i < *count; ++i) {
    auto one = read_purpose(reader);
    if (!one) return damaged();
    if (!out.purposes.empty() && out.purposes.back().purpose >= one->purpose) return damaged();
    out.purposes.push_back(std::move(*one));
  }
  if (!reader.done()) return damaged();
  return out;
}

Standing strictest(const Standing& a, const Standing& b) {
  Standing out{.restricted = older(a.restricted, b.restricted), .purposes = {}};
  auto take = [&](const Standing& from, const Standing& other) {
    for (const auto& one : from.purposes) {
      const auto* theirs = other.find(one.purpose);
      PurposeStanding silent{.purpose = one.purpose};
      if (!theirs) theirs = &silent;
      out.of(one.purpose) = openness(one) <= openness(*theirs) ? one : *theirs;
    }
  };
  take(a, b);
  take(b, a);
  return out;
}

Standing merged(const Standing& into, const Standing& from) {
  Standing out = into;
  out.restricted = older(into.restricted, from.restricted);
  for (const auto& one : from.purposes) {
    auto& mine = out.of(one.purpose);
    if (one.consent != Consent::none &&
        (mine.consent == Consent::none || one.consent_at > mine.consent_at)) {
      mine.consent = one.consent;
      mine.consent_at = one.consent_at;
    }
    if (one.objected_at > mine.objected_at) {
      mine.objected = one.objected;
      mine.objected_at = one.objected_at;
    }
    // A consent that came after an objection took it back, whoever of the two said which.
    if (mine.objected && mine.consent == Consent::given && mine.consent_at > mine.objected_at)
      mine.objected = false;
    if (mine.objected && mine.consent == Consent::given) mine.consent = Consent::withdrawn;
  }
  return out;
}

std::string_view reason_of(Closed closed) {
  switch (closed) {
    case Closed::restricted:
      return "restricted";
    case Closed::objected:
      return "objected";
    case Closed::no_consent:
      return "no_consent";
    case Closed::open:
      break;
  }
  return {};
}

bool is_closed(std::string_view reason) {
  for (auto closed : {Closed::restricted, Closed::objected, Closed::no_consent})
    if (reason == reason_of(closed)) return true;
  return false;
}

Closed closed_for(const Standing& standing, bool erased, const Purpose& purpose) {
  if (purpose.legal_basis == LegalBasis::legal_obligation || purpose.name == kLegalClaims)
    return Closed::open;
  if (erased) return Closed::restricted;
  const auto* decided = standing.find(purpose.name);
  if (decided && decided->objected) return Closed::objected;
  bool agreed = decided && decided->consent == Consent::given;
  if (purpose.legal_basis == LegalBasis::consent && !agreed) return Closed::no_consent;
  if (!standing.restricted || purpose.name == kSelfService) return Closed::open;
  return agreed && decided->consent_at >= standing.restricted->since ? Closed::open
                                                                     : Closed::restricted;
}

Bytes subject_mac(const crypto::KeySet& keys, const Subject& subject) {
  auto id = keys.ring.active_id(crypto::KeyUse::authority);
  auto mac =
      crypto::Hmac(keys.ring.active(crypto::KeyUse::authority).expose()).mac(covered(subject));
  Bytes out;
  put_u32(out, id);
  out.insert(out.end(), mac.begin(), mac.begin() + kMacBytes);
  return out;
}

Result<Standing> standing_of(const crypto::KeySet& keys, const Subject& subject) {
  Error forged(Code::corrupt,
               "a customer's row was not written by Holdfast: run `holdfast journal verify --state`"
               " and restore it");
  ByteReader reader(subject.mac);
  auto id = reader.u32();
  auto mac = reader.take(kMacBytes);
  if (!id || !mac || !reader.done()) return forged;
  const auto* key = keys.ring.find(crypto::KeyUse::authority, *id);
  if (!key) return forged;
  auto right = crypto::Hmac(key->expose()).mac(covered(subject));
  if (!equal_constant_time(BytesView(right).first(kMacBytes), *mac)) return forged;
  return decode_standing(subject.standing);
}

std::optional<std::uint32_t> mac_key_of(const Subject& subject) {
  return ByteReader(subject.mac).u32();
}

db::Args put_subject(const crypto::KeySet& keys, Subject& subject, std::int64_t at_least) {
  auto before = subject.version;
  subject.version = std::max(before + 1, at_least);
  subject.mac = subject_mac(keys, subject);
  return {to_bytes(subject.id.bytes()),
          before,
          nullable(subject.external_term),
          nullable(subject.external_sealed),
          subject.erased ? db::Value(to_ms(*subject.erased)) : db::Value(),
          subject.merged_into ? db::Value(to_bytes(subject.merged_into->bytes())) : db::Value(),
          subject.standing,
          subject.mac,
          subject.version,
          nullable(subject.external_other)};
}

Subject subject_from(const db::Rows::Row& row, std::size_t at) {
  return {SubjectId::from(row.bytes(at)).value_or(SubjectId{}),
          to_bytes(row.bytes(at + 1)),
          to_bytes(row.bytes(at + 2)),
          from_ms(row.integer(at + 3)),
          row.null(at + 4) ? std::nullopt : std::optional(from_ms(row.integer(at + 4))),
          row.integer(at + 5),
          row.null(at + 6) ? std::nullopt : SubjectId::from(row.bytes(at + 6)),
          to_bytes(row.bytes(at + 7)),
          to_bytes(row.bytes(at + 8)),
          to_bytes(row.bytes(at + 9))};
}

crypto::Digest subject_digest(const crypto::KeySet& keys, const Subject& subject) {
  Bytes input = covered(subject);
  put_part(input, subject.external_sealed);
  put_u64(input, stamp(subject.created));
  put_part(input, subject.mac);
  return keys.digest.mac(input);
}

}  // namespace holdfast::vault
