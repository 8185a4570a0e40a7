#include "journal/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "base/bytes.h"

namespace holdfast::journal {
namespace {

constexpr std::uint8_t kEd25519 = 0x01;
constexpr std::string_view kDash = "\u2014 ";

Bytes typed(const crypto::PublicKey& key) {
  Bytes out{kEd25519};
  out.insert(out.end(), key.begin(), key.end());
  return out;
}

/// First four bytes of SHA-256(name, newline, signature type, key).
Bytes key_id(std::string_view origin, const crypto::PublicKey& key) {
  Bytes input = to_bytes(origin);
  input.push_back('\n');
  auto tail = typed(key);
  input.insert(input.end(), tail.begin(), tail.end());
  auto hash = crypto::sha256(input);
  return {hash.begin(), hash.begin() + 4};
}

std::string body(const Checkpoint& checkpoint) {
  return checkpoint.origin + '\n' + std::to_string(checkpoint.size) + '\n' +
         base64(checkpoint.root) + '\n';
}

std::optional<std::string_view> line(std::string_view& text) {
  auto end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  auto out = text.substr(0, end);
  text.remove_prefix(end + 1);
  return out;
}

Error damaged() {
  return {Code::corrupt, "the checkpoint is malformed"};
}

}  // namespace

std::string sign_checkpoint(const Checkpoint& checkpoint, const crypto::Signer& signer) {
  auto text = body(checkpoint);
  auto blob = key_id(checkpoint.origin, signer.public_key());
  auto signature = signer.sign(as_bytes(text));
  blob.insert(blob.end(), signature.begin(), signature.end());
  return text + '\n' + std::string(kDash) + checkpoint.origin + ' ' + base64(blob) + '\n';
}

Result<Checkpoint> open_checkpoint(std::string_view note, const crypto::PublicKey& key) {
  auto rest = note;
  auto origin = line(rest);
  auto size = line(rest);
  auto root = line(rest);
  auto gap = line(rest);
  auto signed_by = line(rest);
  if (!signed_by || !gap->empty() || origin->empty() || !rest.empty()) return damaged();

  Checkpoint out;
  out.origin = *origin;
  auto [end, bad] = std::from_chars(size->data(), size->data() + size->size(), out.size);
  auto hash = unbase64(*root);
  if (bad != std::errc() || end != size->data() + size->size() || !hash || hash->size() != 32)
    return damaged();
  std::copy(hash->begin(), hash->end(), out.root.begin());

  auto prefix = std::string(kDash) + out.origin + ' ';
  if (!signed_by->starts_with(prefix)) return damaged();
  auto blob = unbase64(signed_by->substr(prefix.size()));
  if (!blob || blob->size() != 4 + 64) return damaged();
  if (!std::ranges::equal(key_id(out.origin, key), std::span(*blob).first(4)))
    return Error(Code::corrupt, "the checkpoint was signed by another key");
  auto text = body(out);
  if (!note.starts_with(text)) return damaged();
  if (!crypto::verify(key, as_bytes(text), std::span(*blob).subspan(4)))
    return Error(Code::corrupt, "the checkpoint's signature does not verify");
  return out;
}

std::string verifier_key(std::string_view origin, const crypto::PublicKey& key) {
  return std::string(origin) + '+' + hex(key_id(origin, key)) + '+' + base64(typed(key));
}

Result<Verifier> parse_verifier_key(std::string_view text) {
  Error bad(Code::invalid, "not a verifier key: expected origin+hex+base64");
  auto first = text.find('+');
  auto second = text.find('+', first == std::string_view::npos ? first : first + 1);
  if (second == std::string_view::npos) return bad;
  auto blob = unbase64(text.substr(second + 1));
  if (!blob || blob->size() != 33 || blob->front() != kEd25519) return bad;
  Verifier out{std::string(text.substr(0, first)), {}};
  std::copy(blob->begin() + 1, blob->end(), out.key.begin());
  if (hex(key_id(out.origin, out.key)) != text.substr(first + 1, second - first - 1)) return bad;
  return out;
}

Error another_key(std::string_view expected, const Verifier& brought) {
  auto kept = parse_verifier_key(expected);
  if (kept && kept->origin == brought.origin)
    return {Code::corrupt,
            "this names the expected log, but under another key than the expected one: the log's "
            "key may have been rotated (the event journal.key_rolled names both keys, see "
            "docs/rotation.md). If it was not, this is forged"};
  return {Code::corrupt,
          "this is of another log: its key is not the expected one. A restore gives the log a new "
          "origin and key too (docs/journal.md)"};
}

}  // namespace holdfast::journal
