#include "vault/idempotency.h"

#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr Millis kKeep{86'400'000};

}  // namespace

Repeat::Repeat(const crypto::KeySet& keys, const Caller& caller, std::string_view operation,
               std::string_view key, std::string_view request, Time now)
    : principal_(caller.principal), now_(now) {
  if (key.empty()) return;
  Bytes name;
  put_part(name, operation);
  put_part(name, key);
  Bytes content;
  put_part(content, caller.on_behalf_of);
  put_part(content, request);
  for (auto id : keys.ring.ids(crypto::KeyUse::idempotency)) {
    crypto::Hmac mac(keys.ring.find(crypto::KeyUse::idempotency, id)->expose());
    auto term = to_bytes(BytesView(mac.mac(name))), of = to_bytes(BytesView(mac.mac(content)));
    under_.push_back({std::move(mac), std::move(term), std::move(of)});
  }
  wipe(content);
}

/// Else who writes the database could have a request answered with what another one made.
Bytes Repeat::sealed(const Under& under, std::string_view answer, std::int64_t expires_ms) const {
  Bytes input;
  put_part(input, principal_);
  put_part(input, under.term);
  put_part(input, under.request);
  put_part(input, answer);
  put_u64(input, static_cast<std::uint64_t>(expires_ms));
  return to_bytes(BytesView(under.mac.mac(input)));
}

Task<Result<std::optional<std::string>>> Repeat::earlier(db::Reader& reader,
                                                         MonoTime deadline) const {
  for (const auto& under : under_) {
    auto rows = co_await reader.read(kFindAnswer, {principal_, under.term}, deadline);
    if (!rows) co_return std::move(rows).error();
    if (rows->empty() || (*rows)[0].integer(2) <= to_ms(now_)) continue;
    auto row = (*rows)[0];
    if (!equal_constant_time(row.bytes(0), sealed(under, row.text(1), row.integer(2))))
      co_return Error(Code::conflict,
                      "this Idempotency-Key was used for another request: use a new one");
    co_return std::string(row.text(1));
  }
  co_return std::nullopt;
}

void Repeat::remember(db::Changes& changes, std::string answer) const {
  if (under_.empty()) return;
  const auto& newest = under_.front();
  const auto expires_ms = to_ms(now_ + kKeep);
  auto mac = sealed(newest, answer, expires_ms);
  changes.write(kDropAnswers, {to_ms(now_)});
  changes.write(
      kAddAnswer,
      {principal_, newest.term, std::move(mac), std::move(answer), expires_ms, to_ms(now_)},
      db::Expect::exactly(1),
      Error(Code::conflict, "the same request is being worked on: repeat it in a moment"));
}

}  // namespace holdfast::vault
