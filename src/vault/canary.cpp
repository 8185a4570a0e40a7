#include "vault/canary.h"

#include "crypto/aead.h"

namespace holdfast::vault {
namespace {

Bytes label(BytesView mark) {
  Bytes out;
  put_part(out, std::string_view("canary"));
  put_part(out, mark);
  return out;
}

/// Distinct from the MACs that the authority key makes.
Secret seal_key(const Secret& authority) {
  return crypto::Hmac(authority.expose()).expand(as_bytes(std::string_view("canary seal")));
}

}  // namespace

std::span<const Member> Canary::described() {
  using C = Canary;
  static constexpr Member kMembers[] = {member<&C::subject>("subject", ""),
                                        member<&C::external_id>("external_id", "", {.bytes = 256},
                                                                Place::body, Sensitivity::personal),
                                        member<&C::locale>("locale", "", {.bytes = 8}),
                                        member<&C::planted>("planted", "")};
  return kMembers;
}

Bytes seal_canary(const crypto::KeySet& keys, BytesView mark, const Canary& canary) {
  using crypto::KeyUse;
  auto text = to_json(canary);
  text.resize(512, ' ');  // one length for all
  auto out = crypto::seal(seal_key(keys.ring.active(KeyUse::authority)).expose(),
                          keys.ring.active_id(KeyUse::authority), as_bytes(text), label(mark));
  wipe(text);
  return out;
}

std::optional<Canary> open_canary(const crypto::KeySet& keys, BytesView mark, BytesView sealed) {
  const auto id = crypto::sealed_key_id(sealed);
  const auto* key = id ? keys.ring.find(crypto::KeyUse::authority, *id) : nullptr;
  if (!key) return std::nullopt;
  auto plain = crypto::open(seal_key(*key).expose(), sealed, label(mark));
  if (!plain) return std::nullopt;
  auto canary = parse_json_as<Canary>(plain->expose_text());
  return canary ? std::optional(std::move(*canary)) : std::nullopt;
}

crypto::Digest canary_digest(const crypto::KeySet& keys, BytesView mark, BytesView sealed) {
  Bytes input;
  put_part(input, std::string_view("canaries"));
  put_part(input, mark);
  put_part(input, sealed);
  return keys.digest.mac(input);
}

Task<Result<std::shared_ptr<const CanaryCache::Known>>> CanaryCache::get(std::uint64_t generation,
                                                                         MonoTime deadline) {
  {
    std::scoped_lock lock(mutex_);
    if (known_ && generation_ == generation) co_return known_;
  }
  auto keys = keys_.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  auto rows = co_await reader_.read(kListCanaries, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  auto known = std::make_shared<Known>();
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (auto canary = open_canary(*keys, (*rows)[i].bytes(0), (*rows)[i].bytes(1)))
      known->insert(canary->subject);
  std::scoped_lock lock(mutex_);
  if (!known_ || generation_ < generation) {
    generation_ = generation;
    known_ = known;
  }
  co_return known;
}

}  // namespace holdfast::vault
