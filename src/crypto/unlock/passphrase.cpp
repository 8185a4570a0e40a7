#include "crypto/unlock/passphrase.h"

#include <sodium.h>

#include <set>
#include <string>

#include "base/text.h"
#include "crypto/aead.h"

namespace holdfast::crypto {
namespace {

constexpr std::size_t kFewestCharacters = 15, kMostBytes = 1024, kFewestDifferent = 6;
static_assert(kSaltBytes == crypto_pwhash_argon2id_SALTBYTES);

/// How many different bytes there are: a sign of `aaaaaaaaaaaaaaa`, and of nothing finer.
std::size_t different(std::string_view text) {
  return std::set<char>(text.begin(), text.end()).size();
}

}  // namespace

bool allowed(const PassphraseCost& cost) {
  return cost.memory_kib >= 65'536 && cost.memory_kib <= 4'194'304 && cost.passes >= 3 &&
         cost.passes <= 64;
}

Result<Secret> passphrase_from(std::string_view typed) {
  while (typed.ends_with('\n') || typed.ends_with('\r')) typed.remove_suffix(1);
  if (typed.size() > kMostBytes)
    return Error(Code::too_large, "a passphrase has at most 1024 bytes");
  auto text = nfkc(typed);
  if (!text) return Error(Code::invalid, "a passphrase is UTF-8 text");
  bool control = has_control(*text, false);
  bool short_of = code_points(*text) < kFewestCharacters;
  bool plain = different(*text) < kFewestDifferent;
  auto out = Secret::copy(*text);
  wipe(*text);
  if (control) return Error(Code::invalid, "a passphrase is one line without control characters");
  if (short_of)
    return Error(Code::invalid,
                 "a passphrase has at least 15 characters: five random words are easy to keep");
  if (plain) return Error(Code::invalid, "a passphrase has at least 6 different characters");
  return out;
}

Result<Secret> stretch(const Secret& passphrase, BytesView salt, PassphraseCost cost) {
  Secret out(kKeyBytes);
  auto text = passphrase.expose_text();
  if (salt.size() != kSaltBytes || !allowed(cost) ||
      crypto_pwhash_argon2id(out.expose_mut().data(), out.size(), text.data(), text.size(),
                             salt.data(), cost.passes, std::size_t{cost.memory_kib} * 1024,
                             crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
    return Error(Code::unavailable,
                 "the passphrase cannot be tried: the memory that its cost asks for is not free");
  return out;
}

}  // namespace holdfast::crypto
