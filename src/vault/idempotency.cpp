#include "vault/idempotency.h"

#include <tuple>

#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr Millis kKeep{86'400'000};

}  // namespace

Repeat::Repeat(const crypto::KeySet& keys, const Caller& caller, std::string_view operation,
               std::string_view key, std::string_view request, Time now)
    : used_(!key.empty()), principal_(caller.principal), now_(now) {
  if (!used_) return;
  Bytes name;
  put_part(name, operation);
  put_part(name, key);
  Bytes content;
  put_part(content, caller.on_behalf_of);
  put_part(content, request);
  for (auto id : keys.ring.ids(crypto::KeyUse::idempotency)) {
    crypto::Hmac mac(keys.ring.find(crypto::KeyUse::idempotency, id)->expose());
    older_.emplace_back(to_bytes(BytesView(mac.mac(name))), to_bytes(BytesView(mac.mac(content))));
  }
  std::tie(term_, fingerprint_) = older_.front();
  older_.erase(older_.begin());
  wipe(content);
}

Task<Result<std::optional<std::string>>> Repeat::earlier(db::Reader& reader,
                                                         MonoTime deadline) const {
  if (!used_) co_return std::nullopt;
  auto wanted = older_;
  wanted.emplace(wanted.begin(), term_, fingerprint_);
  for (const auto& [term, fingerprint] : wanted) {
    auto rows = co_await reader.read(kFindAnswer, {principal_, term}, deadline);
    if (!rows) co_return std::move(rows).error();
    if (rows->empty() || (*rows)[0].integer(2) <= to_ms(now_)) continue;
    if (!equal_constant_time((*rows)[0].bytes(0), fingerprint))
      co_return Error(Code::conflict,
                      "this Idempotency-Key was used for another request: use a new one");
    co_return std::string((*rows)[0].text(1));
  }
  co_return std::nullopt;
}

void Repeat::remember(db::Changes& changes, std::string answer) const {
  if (!used_) return;
  changes.write(kDropAnswers, {to_ms(now_)});
  changes.write(
      kAddAnswer,
      {principal_, term_, fingerprint_, std::move(answer), to_ms(now_ + kKeep), to_ms(now_)},
      db::Expect::exactly(1),
      Error(Code::conflict, "the same request is being worked on: repeat it in a moment"));
}

}  // namespace holdfast::vault
