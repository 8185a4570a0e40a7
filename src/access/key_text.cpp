#include "access/key_text.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <boost/crc.hpp>

namespace holdfast::access {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kPrincipal = "key_";

std::string_view prefix(Environment environment) {
  return environment == Environment::live ? "hf_live_" : "hf_test_";
}

bool drawn_from(std::string_view text, std::string_view alphabet) {
  return std::ranges::all_of(text, [&](char c) { return alphabet.contains(c); });
}

/// CRC-32 (ISO-HDLC, as in zip): an error check, not a secret.
std::array<char, kChecksumChars> checksum(std::string_view text) {
  boost::crc_32_type crc;
  crc.process_bytes(text.data(), text.size());
  auto value = crc.checksum();
  std::array<char, kChecksumChars> out{};
  for (auto at = out.rbegin(); at != out.rend(); ++at, value /= 62) *at = kBase62[value % 62];
  return out;
}

}  // namespace

std::string make_key_id() {
  std::string out(kIdChars, '0');
  for (auto& c : out) c = kCrockford[randombytes_uniform(32)];
  return out;
}

Secret make_key_text(Environment environment, std::string_view id) {
  Secret out(kKeyTextChars);
  auto* at = reinterpret_cast<char*>(out.expose_mut().data());
  at = std::ranges::copy(prefix(environment), at).out;
  at = std::ranges::copy(id, at).out;
  *at++ = '_';
  for (std::size_t i = 0; i < kSecretChars; ++i) *at++ = kBase62[randombytes_uniform(62)];
  std::ranges::copy(checksum(out.expose_text().substr(0, kKeyTextChars - kChecksumChars)), at);
  return out;
}

std::optional<KeyText> parse_key_text(std::string_view text) {
  if (text.size() != kKeyTextChars) return std::nullopt;
  const auto hashed = text.substr(0, kKeyTextChars - kChecksumChars);
  auto rest = hashed;
  KeyText out{.environment = Environment::live, .id = {}, .hashed = hashed};
  if (rest.starts_with(prefix(Environment::test)))
    out.environment = Environment::test;
  else if (!rest.starts_with(prefix(Environment::live)))
    return std::nullopt;
  rest.remove_prefix(prefix(out.environment).size());
  out.id = rest.substr(0, kIdChars);
  if (!drawn_from(out.id, kCrockford) || rest[kIdChars] != '_') return std::nullopt;
  if (!drawn_from(rest.substr(kIdChars + 1), kBase62)) return std::nullopt;
  if (!std::ranges::equal(text.substr(hashed.size()), checksum(hashed))) return std::nullopt;
  return out;
}

crypto::Digest digest_of(std::string_view hashed) {
  return crypto::sha256(as_bytes(hashed));
}

std::optional<std::string_view> bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  if (!std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, {}, folded))
    return std::nullopt;
  return authorization.substr(kScheme.size());
}

std::string principal_of(std::string_view id) {
  return std::string(kPrincipal).append(id);
}

bool is_principal(std::string_view text) {
  return text.size() == kPrincipal.size() + kIdChars && text.starts_with(kPrincipal) &&
         drawn_from(text.substr(kPrincipal.size()), kCrockford);
}

}  // namespace holdfast::access
