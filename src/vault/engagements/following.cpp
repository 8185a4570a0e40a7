// Engagements of a customer who becomes another name of a second.
#include "vault/engagements/service.h"
#include "vault/engagements/statements.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kAccount = "account";
constexpr std::int64_t kAtOnce = 500;

/// The row as one of `into`, what is private in it sealed for that one; nothing is private in one
/// whose customer's key was destroyed. Errors: corrupt.
Result<Engagement> followed(const Working& work, SubjectKeys& from, SubjectKeys& into,
                            Engagement one) {
  if (!authentic(*work.keys, one))
    return Error(Code::corrupt,
                 "an engagement of this customer was not written by Holdfast: run `holdfast "
                 "journal verify --state`");
  auto plain = from.open(*work.keys, kAccount, engagement_binding(one), one.sealed);
  if (!plain && plain.error().code != Code::gone) return std::move(plain).error();
  auto priv = plain ? std::move(*plain) : Secret::copy(to_json(EngagementPrivate{}));
  one.subject = into.subject();
  one.version += 1;
  auto sealed = into.seal(*work.keys, kAccount, engagement_binding(one), priv.expose());
  if (!sealed) return std::move(sealed).error();
  one.sealed = std::move(*sealed);
  authenticate(*work.keys, one);
  return one;
}

}  // namespace

Task<Result<void>> Engagements::follow(const Working& work, SubjectKeys& from, SubjectKeys& into,
                                       db::Changes& changes, journal::Event& event,
                                       MonoTime deadline) {
  std::vector<db::Args> new_keys, moved;
  auto after = to_bytes(EngagementId{}.bytes());
  for (bool more = true; more;) {
    auto rows = co_await context_.journal.reader().read(
        kPageEngagementsOf, {after, kAtOnce, to_bytes(from.subject().bytes())}, deadline);
    if (!rows) co_return std::move(rows).error();
    more = rows->size() == static_cast<std::size_t>(kAtOnce);
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto before = engagement_from((*rows)[i]);
      if (auto ready = into.ensure(*work.keys, kAccount, new_keys); !ready)
        co_return std::move(ready).error();
      auto now = followed(work, from, into, before);
      if (!now) co_return std::move(now).error();
      after = to_bytes(now->id.bytes());
      event.touches.push_back(
          {now->subject, "engagements", after, engagement_digest(*work.keys, *now)});
      moved.push_back({after, before.version, std::move(before.mac), to_bytes(now->subject.bytes()),
                       std::move(now->sealed), now->version, std::move(now->mac)});
    }
  }
  const Error changed(Code::conflict, "an engagement of this customer changed meanwhile: repeat");
  auto keys = db::Expect::exactly(static_cast<std::int64_t>(new_keys.size()));
  changes.bulk(kAddKey, std::move(new_keys), keys, changed);
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(moved.size()));
  changes.bulk(kFollowEngagement, std::move(moved), expect, changed);
  co_return Result<void>();
}

}  // namespace holdfast::vault
