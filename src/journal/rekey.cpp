#include "journal/rekey.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "crypto/aead.h"
#include "journal/log.h"
#include "journal/statements.h"

namespace holdfast::journal {
namespace {

constexpr std::int64_t kPage = 1000;
constexpr std::string_view kRolled = "journal.key_rolled";

}  // namespace

Task<Result<MovedSides>> move_sides(db::Reader& reader, const crypto::Keyring& ring, Bytes after,
                                    std::int64_t limit) {
  auto rows = co_await reader.read(kSidesFrom, {after, limit});
  if (!rows) co_return std::move(rows).error();
  MovedSides out{.changes = {},
                 .after = std::move(after),
                 .looked = static_cast<std::int64_t>(rows->size()),
                 .last = rows->size() < static_cast<std::size_t>(limit)};
  const auto to = ring.active_id(crypto::KeyUse::side);
  std::vector<db::Args> puts;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto commitment = (*rows)[i].bytes(0), sealed = (*rows)[i].bytes(1);
    const auto from = crypto::sealed_key_id(sealed);
    if (from && *from == to) continue;
    const auto* key = from ? ring.find(crypto::KeyUse::side, *from) : nullptr;
    auto plain = key ? crypto::open(key->expose(), sealed, commitment)
                     : Result<Secret>(Error(Code::corrupt, "a side row is damaged"));
    if (!plain) {
      out.refused.push_back(to_bytes(commitment));
      continue;
    }
    puts.push_back({to_bytes(commitment), crypto::seal(ring.active(crypto::KeyUse::side).expose(),
                                                       to, plain->expose(), commitment)});
  }
  if (!rows->empty()) out.after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  out.moved = static_cast<std::int64_t>(puts.size());
  // A row that was swept meanwhile stays away.
  out.changes.bulk(kPutSide, std::move(puts), db::Expect::at_most(out.moved));
  co_return out;
}

Task<Result<std::map<std::uint32_t, std::int64_t>>> count_sides(db::Reader& reader) {
  std::map<std::uint32_t, std::int64_t> out;
  Bytes after;
  for (;;) {
    auto rows = co_await reader.read(kSidesFrom, {after, kPage});
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i)
      ++out[crypto::sealed_key_id((*rows)[i].bytes(1)).value_or(0)];
    if (rows->size() < static_cast<std::size_t>(kPage)) co_return out;
    after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  }
}

Task<Result<bool>> Log::roll_signer(Caller caller) {
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto next =
      std::make_shared<const crypto::Signer>(keys->ring.active(crypto::KeyUse::journal).expose());
  auto now = signer_.load();
  if (!now) co_return Error(Code::locked, "the server is locked");
  if (next->public_key() == now->public_key()) co_return false;
  auto left = verifier_key(origin_, now->public_key());
  auto gone_on = verifier_key(origin_, next->public_key());
  auto said = std::string(kRolled) + '\n' + left + '\n' + gone_on + '\n';
  Event event{
      .activity = kRolled,
      .facts = {
          {"left", left}, {"next", gone_on}, {"signature", base64(now->sign(as_bytes(said)))}}};
  auto done = co_await commit(caller, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  if (auto kept = co_await settle(); !kept) co_return std::move(kept).error();
  {
    std::scoped_lock lock(tree_mutex_);
    // A lock that dropped the signer meanwhile is never undone.
    if (!signer_.compare_exchange_strong(now, next))
      co_return Error(Code::locked, "the server is locked");
    public_key_ = next->public_key();
    witness_due_ = true;
  }
  if (auto kept = co_await settle(); !kept) co_return std::move(kept).error();
  co_return true;
}

Task<Result<bool>> Log::rekey_afterlog() {
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto deed = [](Afterlog* log, std::shared_ptr<const crypto::KeySet> held) -> Task<Result<bool>> {
    co_return log->rekey(held->ring.active(crypto::KeyUse::afterlog).expose());
  };
  co_return co_await boost::asio::co_spawn(files_, deed(afterlog_.get(), keys),
                                           boost::asio::use_awaitable);
}

}  // namespace holdfast::journal
