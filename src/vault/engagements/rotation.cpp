#include "vault/engagements/rotation.h"

#include <algorithm>

#include "crypto/aead.h"
#include "vault/engagement.h"
#include "vault/engagements/statements.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kMoveEngagement{
    "vault.move_engagement",
    "update vault_engagements set sealed = $4, mac = $5 where id = $1 and version = $2 "
    "and mac = $3"};
inline constexpr db::Sql kMacKind{
    "vault.mac_engagement_kind",
    "update vault_engagement_kinds set mac = $3 where name = $1 and version = $2"};

constexpr std::string_view kAccount = "account";
constexpr std::string_view kKindRows = "engagement_kinds";
constexpr std::int64_t kCountPage = 1'000;

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

/// Whether the MAC is of the active key.
bool under_active(const crypto::KeySet& keys, Engagement one) {
  const auto mac = std::move(one.mac);
  authenticate(keys, one);
  return equal_constant_time(mac, one.mac);
}

bool kind_under_active(const crypto::KeySet& keys, const db::Rows::Row& row) {
  return equal_constant_time(
      authority_mac(keys, kKindRows, row.text(0), row.integer(1), row.text(2)), row.bytes(3));
}

}  // namespace

struct EngagementRows::Page {
  std::vector<Engagement> rows;
  std::map<SubjectId, SubjectKeys> keys;
  Bytes after;
  bool last = false;

  /// Sealed under an older key of a customer who has a newer one.
  bool older(const Engagement& one) const {
    auto at = keys.find(one.subject);
    const auto newest =
        at == keys.end() ? std::optional<std::uint32_t>() : at->second.newest_id(kAccount);
    return newest && crypto::sealed_key_id(one.sealed) != newest;
  }
};

bool EngagementRows::takes_part(KeyKind kind, Pass pass) const {
  return pass == Pass::move &&
         (kind == KeyKind::authority || kind == KeyKind::subject || kind == KeyKind::epoch);
}

Task<Result<EngagementRows::Page>> EngagementRows::page(const MoveJob& job, Bytes after,
                                                        std::int64_t limit) {
  if (after.empty()) after.assign(16, 0);
  auto rows = co_await context_.journal.reader().read(kPageEngagements, {std::move(after), limit});
  if (!rows) co_return std::move(rows).error();
  Page out{
      .rows = {}, .keys = {}, .after = {}, .last = rows->size() < static_cast<std::size_t>(limit)};
  std::vector<SubjectId> subjects;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    out.rows.push_back(engagement_from((*rows)[i]));
    subjects.push_back(out.rows.back().subject);
  }
  if (!out.rows.empty()) out.after = blob(out.rows.back().id);
  if (job.kind == KeyKind::authority) co_return out;
  std::ranges::sort(subjects);
  auto twice = std::ranges::unique(subjects);
  subjects.erase(twice.begin(), twice.end());
  auto keys = co_await context_.store.keys(std::move(subjects), MonoTime::max());
  if (!keys) co_return std::move(keys).error();
  out.keys = std::move(*keys);
  co_return out;
}

Task<Result<MovedRows>> EngagementRows::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  auto page = co_await this->page(job, std::move(after), limit);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after),
                .looked = static_cast<std::int64_t>(page->rows.size()),
                .last = page->last};
  for (auto& one : page->rows) {
    const bool moves =
        job.kind == KeyKind::authority ? !under_active(*job.keys, one) : page->older(one);
    if (!moves) continue;
    if (!authentic(*job.keys, one)) {
      out.refused.push_back("engagements " + one.id.text());
      continue;
    }
    const auto was = engagement_digest(*job.keys, one);
    const auto mac = one.mac;
    if (job.kind != KeyKind::authority) {
      auto fresh = page->keys.at(one.subject)
                       .resealed(*job.keys, kAccount, engagement_binding(one), one.sealed);
      if (!fresh && fresh.error().code == Code::gone) continue;  // erased
      if (!fresh) {
        out.refused.push_back("engagements " + one.id.text());
        continue;
      }
      if (!*fresh) continue;
      one.sealed = std::move(**fresh);
    }
    authenticate(*job.keys, one);
    out.changes.write(kMoveEngagement, {blob(one.id), one.version, mac, one.sealed, one.mac},
                      db::Expect::exactly(1));
    out.touches.push_back({.subject = one.subject,
                           .kind = "engagements",
                           .row = blob(one.id),
                           .left = engagement_digest(*job.keys, one),
                           .was = was});
    ++out.moved;
  }
  co_return out;
}

Task<Result<std::int64_t>> EngagementRows::left(MoveJob job, Pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto page = co_await this->page(job, std::move(after), kCountPage);
    if (!page) co_return std::move(page).error();
    for (const auto& one : page->rows)
      out += job.kind == KeyKind::authority ? !under_active(*job.keys, one) : page->older(one);
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

bool EngagementKindRows::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::authority && pass == Pass::move;
}

Task<Result<MovedRows>> EngagementKindRows::move(MoveJob job, Pass, Bytes, std::int64_t) {
  auto rows = co_await context_.journal.reader().read(kListKinds, {});
  if (!rows) co_return std::move(rows).error();
  MovedRows out{.looked = static_cast<std::int64_t>(rows->size()), .last = true};
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto row = (*rows)[i];
    if (kind_under_active(*job.keys, row)) continue;
    if (!kind_from(*job.keys, row)) {
      out.refused.push_back("engagement_kinds " + std::string(row.text(0)));
      continue;
    }
    auto mac = authority_mac(*job.keys, kKindRows, row.text(0), row.integer(1), row.text(2));
    out.touches.push_back(
        {.kind = kKindRows,
         .row = to_bytes(row.text(0)),
         .left = declared_digest(*job.keys, kKindRows, row.text(0), row.text(2), mac),
         .was = declared_digest(*job.keys, kKindRows, row.text(0), row.text(2), row.bytes(3))});
    out.changes.write(kMacKind, {std::string(row.text(0)), row.integer(1), std::move(mac)},
                      db::Expect::exactly(1));
    ++out.moved;
  }
  co_return out;
}

Task<Result<std::int64_t>> EngagementKindRows::left(MoveJob job, Pass) {
  auto rows = co_await context_.journal.reader().read(kListKinds, {});
  if (!rows) co_return std::move(rows).error();
  std::int64_t out = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) out += !kind_under_active(*job.keys, (*rows)[i]);
  co_return out;
}

std::span<const db::Sql* const> engagement_rotation_statements() {
  static constexpr const db::Sql* kAll[] = {&kMoveEngagement, &kMacKind};
  return kAll;
}

}  // namespace holdfast::vault
