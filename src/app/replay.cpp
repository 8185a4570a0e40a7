#include "app/replay.h"

#include <spdlog/spdlog.h>

#include "app/log_line.h"

namespace holdfast::app {
namespace {

/// Up to when lines are missing that may be about what this database holds: to its end where they
/// are missing now, and in a restored one to when they were last found missing.
std::optional<Time> unknown_until(const Replay& at) {
  if (at.log.afterlog_loss()) return Time::max();
  return at.restored ? at.log.afterlog_lost_at() : std::nullopt;
}

}  // namespace

Task<Result<Replayed>> replay_afterlog(Replay at) {
  const auto loss = at.log.afterlog_loss();
  const auto unknown = unknown_until(at);
  auto entries = at.log.afterlog_entries();
  // Narrowed and rotated since: in a database that was in use that was done, or nobody was told so.
  std::vector<std::string> revoked;
  std::vector<Bytes> narrowed, rotated;
  for (const auto& entry : entries) {
    if (entry.kind == access::kKeyRevoked) revoked.emplace_back(as_text(entry.id));
    if (at.older && entry.kind == access::kRoleNarrowed) narrowed.push_back(entry.id);
    if (at.older && entry.kind == access::kKeyEnds) rotated.push_back(entry.id);
  }
  auto& admin = at.rooms.admin;
  auto ended = co_await admin.revoke_after_restore(std::move(revoked), {});
  if (!ended) co_return std::move(ended).error();
  auto by_loss = co_await admin.revoke_after_restore({}, unknown);
  if (!by_loss) co_return std::move(by_loss).error();
  auto cut = co_await admin.end_rotated(std::move(rotated));
  if (!cut) co_return std::move(cut).error();
  if (*cut > 0)
    at.logger.warn(
        said("api_keys_ended",
             {{"keys", std::to_string(*cut)},
              {"why", "they were rotated after this backup: their successors are not here"},
              {"next", "holdfast api-keys create, for whoever used them"}}));
  auto named = co_await admin.suspend_roles(std::move(narrowed), {});
  if (!named) co_return std::move(named).error();
  auto others = co_await admin.suspend_roles({}, unknown);
  if (!others) co_return std::move(others).error();
  if (*named + *others > 0)
    at.logger.warn(
        said("roles_suspended",
             {{"roles", std::to_string(*named + *others)},
              {"why", "they were narrowed since this database was made, or may have been"},
              {"next", "holdfast roles list, and put again what is right"}}));
  auto held = co_await at.rooms.holds.replay(entries);
  if (!held) co_return std::move(held).error();
  for (const auto& hold : held->damaged)
    at.logger.error(said("legal_hold_damaged",
                         {{"hold", hold.text()},
                          {"next", "nothing is destroyed: place it anew, then lift this one"}}));
  auto again = co_await at.rooms.subjects.replay(std::move(entries), at.older);
  if (!again) co_return std::move(again).error();
  if (again->held > 0)
    at.logger.warn(
        said("afterlog_left_to_a_hold",
             {{"customers", std::to_string(again->held)},
              {"why", "an erasure or merge was cut off, and a legal hold or duty came since"},
              {"next", "repeat it when that has ended"}}));
  if (*ended + *by_loss > 0 || held->again > 0 ||
      again->erased + again->merged + again->decided > 0)
    at.logger.warn(said("afterlog_replayed", {{"keys_revoked", std::to_string(*ended + *by_loss)},
                                              {"holds", std::to_string(held->again)},
                                              {"customers_erased", std::to_string(again->erased)},
                                              {"customers_merged", std::to_string(again->merged)},
                                              {"decisions", std::to_string(again->decided)}}));
  Replayed done{.lost = loss.has_value(),
                .again = *ended + *cut + *named + held->again + again->erased + again->merged +
                         again->decided,
                .by_loss = *by_loss + *others};
  if (!loss) co_return done;
  const auto expected = static_cast<std::int64_t>(loss->expected);
  const auto there = static_cast<std::int64_t>(loss->there);
  at.logger.warn(said("afterlog_missing", {{"all_api_keys", "revoked"},
                                           {"own_roles", "suspended"},
                                           {"lines_expected", std::to_string(expected)},
                                           {"lines_there", std::to_string(there)},
                                           {"next", "holdfast access recover --dir DIR"}}));
  journal::Event event{.activity = "journal.afterlog_missing",
                       .facts = {{"lines_expected", expected}, {"lines_there", there}}};
  auto recorded = co_await at.log.commit(Caller{}, {}, std::move(event));
  if (!recorded) co_return std::move(recorded).error();
  if (auto settled = co_await at.log.settle_afterlog(); !settled)
    co_return std::move(settled).error();
  co_return done;
}

}  // namespace holdfast::app
