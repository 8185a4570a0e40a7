#include "vault/engagement.h"

#include <algorithm>
#include <array>

#include "journal/log.h"
#include "vault/schema.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kFindEngagement{
    "vault.find_engagement",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements where id = $1"};
inline constexpr db::Sql kFindKind{
    "vault.find_engagement_kind",
    "select name, version, declared, mac from vault_engagement_kinds where name = $1"};

constexpr Limits kName{.bytes = 63};
constexpr std::string_view kKinds = "engagement_kinds";

/// Everything but the MAC.
Bytes content(const Engagement& one) {
  Bytes out;
  put_part(out, std::string_view("engagement"));
  put_part(out, one.id.bytes());
  put_part(out, one.subject.bytes());
  put_part(out, one.kind);
  put_part(out, one.term);
  put_part(out, one.sealed);
  put_u64(out, static_cast<std::uint64_t>(to_ms(one.opened)));
  put_u64(out, static_cast<std::uint64_t>(to_ms(one.closes)));
  put_u8(out, one.closed.has_value());
  put_u64(out, static_cast<std::uint64_t>(one.closed ? to_ms(*one.closed) : 0));
  put_part(out, one.opener);
  put_part(out, one.opener_person);
  put_part(out, one.assignee);
  put_u64(out, static_cast<std::uint64_t>(one.version));
  return out;
}

Bytes mac_under(const Secret& key, const Engagement& one) {
  return to_bytes(BytesView(crypto::Hmac(key.expose()).mac(content(one))));
}

struct DeclaredKind {
  std::string doc, max_life;
  std::vector<std::string> fields;
  static std::span<const Member> described() {
    using D = DeclaredKind;
    static constexpr Member kMembers[] = {
        member<&D::doc>("doc", "", {.bytes = 500}),
        member<&D::max_life>("max_life", "", {.bytes = 32}),
        member<&D::fields>("fields", "", {.bytes = 63, .count = 200})};
    return kMembers;
  }
};

}  // namespace

std::span<const Member> EngagementKind::described() {
  using K = EngagementKind;
  static constexpr Member kMembers[] = {
      member<&K::kind>("kind", "Lower-case letters, digits and `_`.", kName, Place::path),
      member<&K::doc>("doc", "What it stands for.", {.bytes = 500}),
      member<&K::max_life>("max_life", "The longest that one stays open, such as `14 days`.",
                           {.bytes = 32}),
      member<&K::fields>("fields", "The only fields that open under it; empty: all granted.",
                         {.bytes = 63, .count = 200}),
      member<&K::version>(
          "version", "Counts changes; 0 for a built-in kind. If sent, it must be what it is now.")};
  return kMembers;
}

std::span<const Member> EngagementPrivate::described() {
  using P = EngagementPrivate;
  static constexpr Member kMembers[] = {
      member<&P::reference>("reference", "", {.bytes = 256}),
      member<&P::assignee>("assignee", "", {.bytes = 100}),
      member<&P::opener_person>("opener_person", "", {.bytes = 100})};
  return kMembers;
}

std::span<const EngagementKind> builtin_kinds() {
  static const EngagementKind kBuiltIn[] = {
      {"call", "A customer on the telephone.", "4 hours", {}, 0},
      {"order", "An order, from its placing until it is settled.", "60 days", {}, 0},
      {"return", "Goods on their way back.", "60 days", {}, 0},
      {"ticket", "A question or complaint that is being answered.", "30 days", {}, 0}};
  return kBuiltIn;
}

bool Engaged::covers(std::string_view field) const {
  return fields.empty() || std::ranges::find(fields, field) != fields.end();
}

Bytes reference_term(const crypto::KeySet& keys, std::string_view kind,
                     std::string_view reference) {
  Bytes input;
  put_part(input, std::string_view("engagement reference"));
  put_part(input, kind);
  put_part(input, reference);
  auto out = to_bytes(BytesView(keys.pseudonym.mac(input)));
  wipe(input);
  return out;
}

std::string actor_name(const crypto::KeySet& keys, std::string_view principal,
                       std::string_view person) {
  return person.empty() ? std::string(principal) : journal::Log::pseudonym(keys, person);
}

Engagement engagement_from(const db::Rows::Row& row) {
  return {EngagementId::from(row.bytes(0)).value_or(EngagementId{}),
          SubjectId::from(row.bytes(1)).value_or(SubjectId{}),
          std::string(row.text(2)),
          to_bytes(row.bytes(3)),
          to_bytes(row.bytes(4)),
          from_ms(row.integer(5)),
          from_ms(row.integer(6)),
          row.null(7) ? std::nullopt : std::optional(from_ms(row.integer(7))),
          std::string(row.text(8)),
          std::string(row.text(9)),
          std::string(row.text(10)),
          row.integer(11),
          to_bytes(row.bytes(12))};
}

void authenticate(const crypto::KeySet& keys, Engagement& engagement) {
  engagement.mac = mac_under(keys.ring.active(crypto::KeyUse::authority), engagement);
}

bool authentic(const crypto::KeySet& keys, const Engagement& engagement) {
  for (const auto& info : keys.ring.list()) {
    if (info.use != crypto::KeyUse::authority) continue;
    const auto* key = keys.ring.find(info.use, info.id);
    if (key && equal_constant_time(mac_under(*key, engagement), engagement.mac)) return true;
  }
  return false;
}

crypto::Digest engagement_digest(const crypto::KeySet& keys, const Engagement& engagement) {
  auto input = content(engagement);
  put_part(input, engagement.mac);
  return keys.digest.mac(input);
}

Binding engagement_binding(const Engagement& engagement) {
  return {engagement.subject, RecordId{engagement.id.uuid}, 0, 0, 0};
}

Task<Result<std::optional<Engagement>>> find_engagement(db::Reader& reader,
                                                        std::shared_ptr<const crypto::KeySet> keys,
                                                        EngagementId id, MonoTime deadline) {
  auto rows = co_await reader.read(kFindEngagement, {to_bytes(id.bytes())}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) co_return std::nullopt;
  auto out = engagement_from((*rows)[0]);
  if (!authentic(*keys, out))
    co_return Error(Code::corrupt,
                    "this engagement's row was not written by Holdfast: run `holdfast journal "
                    "verify --state`")
        .at("engagement");
  co_return std::optional(std::move(out));
}

std::optional<EngagementKind> kind_from(const crypto::KeySet& keys, const db::Rows::Row& row) {
  if (!authority_mac_fits(keys, kKinds, row.text(0), row.integer(1), row.text(2), row.bytes(3)))
    return std::nullopt;
  auto declared = parse_json_as<DeclaredKind>(row.text(2));
  if (!declared) return std::nullopt;
  return EngagementKind{std::string(row.text(0)), std::move(declared->doc),
                        std::move(declared->max_life), std::move(declared->fields), row.integer(1)};
}

std::string declared_kind(const EngagementKind& kind) {
  return to_json(DeclaredKind{kind.doc, kind.max_life, kind.fields});
}

Task<Result<std::optional<EngagementKind>>> find_kind(db::Reader& reader,
                                                      std::shared_ptr<const crypto::KeySet> keys,
                                                      std::string name, MonoTime deadline) {
  auto rows = co_await reader.read(kFindKind, {name}, deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->empty()) {
    for (const auto& kind : builtin_kinds())
      if (kind.kind == name) co_return std::optional(kind);
    co_return std::nullopt;
  }
  auto kind = kind_from(*keys, (*rows)[0]);
  if (!kind)
    co_return Error(Code::corrupt,
                    "a kind of engagements in the database was not written by Holdfast: run "
                    "`holdfast journal verify --state`");
  co_return std::move(kind);
}

std::span<const db::Sql* const> engagement_row_statements() {
  static constexpr const db::Sql* kAll[] = {&kFindEngagement, &kFindKind, &kGuardEngagement};
  return kAll;
}

}  // namespace holdfast::vault
