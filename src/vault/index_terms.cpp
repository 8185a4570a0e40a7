#include "vault/index_terms.h"

#include <algorithm>
#include <cstring>

#include "crypto/aead.h"

namespace holdfast::vault {
namespace {

constexpr std::uint8_t kBlockVersion = 1;
constexpr std::size_t kEntryBytes = 21;
constexpr std::size_t kGramBytes = 16;
constexpr std::size_t kTagBytes = 4;
constexpr std::size_t kPrefixes[] = {3, 4, 5, 6, 8, 12};

/// Where each character begins, and the end.
std::vector<std::size_t> starts(std::string_view text) {
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at < text.size(); ++at)
    if ((text[at] & 0xC0) != 0x80) out.push_back(at);
  out.push_back(text.size());
  return out;
}

Bytes place_of(const IndexInfo& index, BytesView term, BytesView block) {
  Bytes out;
  put_part(out, std::string_view("postings"));
  put_u64(out, static_cast<std::uint64_t>(index.number));
  put_part(out, term);
  put_part(out, block);
  return out;
}

}  // namespace

std::int64_t block_kind(std::span<const Posting> entries) {
  if (!std::ranges::all_of(entries, &Posting::adds)) return 2;
  return entries.size() < kFullBlock ? 1 : 0;
}

Bytes pack_postings(std::span<const Posting> entries) {
  Bytes out;
  out.reserve(5 + entries.size() * kEntryBytes);
  put_u8(out, kBlockVersion);
  put_u32(out, static_cast<std::uint32_t>(entries.size()));
  for (const auto& entry : entries) {
    auto id = entry.record.bytes();
    out.insert(out.end(), id.begin(), id.end());
    put_u32(out, entry.version);
    put_u8(out, entry.adds ? 1 : 0);
  }
  return out;
}

Result<std::vector<Posting>> unpack_postings(BytesView plain) {
  Error damaged(Code::corrupt, "a block of an index is damaged: `holdfast indexes rebuild`");
  ByteReader reader(plain);
  auto version = reader.u8();
  auto count = reader.u32();
  if (!count || *version != kBlockVersion || reader.rest().size() != *count * kEntryBytes)
    return damaged;
  // A long list has some 100,000 entries, so each is read without a question whether it is there.
  std::vector<Posting> out(*count);
  const auto* at = reader.rest().data();
  for (auto& entry : out) {
    std::copy_n(at, sizeof(Uuid), entry.record.uuid.begin());
    at += sizeof(Uuid);
    for (int i = 0; i < 4; ++i) entry.version = entry.version << 8 | *at++;
    if (*at > 1) return damaged;
    entry.adds = *at++ == 1;
  }
  return out;
}

std::vector<Posting> resolved(std::vector<Posting> entries) {
  auto before = [](const Posting& a, const Posting& b) {
    auto records = std::memcmp(a.record.uuid.data(), b.record.uuid.data(), sizeof(Uuid));
    if (records != 0) return records < 0;
    if (a.version != b.version) return a.version > b.version;
    return a.adds > b.adds;
  };
  // Blocks one after another are often in order.
  if (!std::ranges::is_sorted(entries, before)) std::ranges::sort(entries, before);
  std::vector<Posting> out;
  out.reserve(entries.size());
  const RecordId* last = nullptr;
  for (const auto& entry : entries) {
    if (last && *last == entry.record) continue;
    last = &entry.record;
    if (entry.adds) out.push_back(entry);
  }
  return out;
}

BlindTerms::BlindTerms(const crypto::KeySet& keys, const IndexInfo& index) : index_(index) {
  const auto* key = keys.ring.find(crypto::KeyUse::index, static_cast<std::uint32_t>(index.key));
  if (!key) return;
  key_.emplace(key->expose());
  if (index.kind != IndexKind::prefix && index.kind != IndexKind::substring) return;
  Bytes info;
  put_part(info, std::string_view("index block key"));
  put_u64(info, static_cast<std::uint64_t>(index.number));
  block_key_ = key_->expand(info);
}

crypto::Digest BlindTerms::mac(std::string_view label, std::string_view text,
                               BytesView more) const {
  Bytes input;
  input.reserve(40 + text.size() + more.size());
  put_part(input, label);
  put_u64(input, static_cast<std::uint64_t>(index_.number));
  put_part(input, text);
  put_part(input, more);
  auto out = key_->mac(input);
  wipe(input);
  return out;
}

Bytes BlindTerms::term(std::string_view normal) const {
  auto digest = mac("blind index", normal);
  auto bits = static_cast<std::size_t>(std::clamp<std::int64_t>(index_.bits, 0, 256));
  Bytes out(digest.begin(), digest.begin() + static_cast<std::ptrdiff_t>((bits + 7) / 8));
  if (bits % 8 != 0) out.back() &= static_cast<std::uint8_t>(0xFF << (8 - bits % 8));
  return out;
}

Bytes BlindTerms::tag(std::string_view normal, RecordId record) const {
  if (index_.kind == IndexKind::unique) return {};
  auto digest = mac("blind index tag", normal, record.bytes());
  return {digest.begin(), digest.begin() + kTagBytes};
}

Bytes BlindTerms::gram(std::string_view text) const {
  auto digest = mac("posting", text);
  return {digest.begin(), digest.begin() + kGramBytes};
}

std::vector<Bytes> BlindTerms::grams(std::string_view normal) const {
  auto at = starts(normal);
  auto count = at.size() - 1;
  std::vector<std::string_view> parts;
  if (index_.kind == IndexKind::prefix) {
    for (auto size : kPrefixes)
      if (size <= count) parts.push_back(normal.substr(0, at[size]));
  } else {
    for (std::size_t i = 0; i + kFragmentCharacters <= count; ++i)
      parts.push_back(normal.substr(at[i], at[i + kFragmentCharacters] - at[i]));
    std::ranges::sort(parts);
    parts.erase(std::ranges::unique(parts).begin(), parts.end());
  }
  std::vector<Bytes> out;
  out.reserve(parts.size());
  for (auto part : parts) out.push_back(gram(part));
  return out;
}

std::vector<Bytes> BlindTerms::grams_of_fragment(std::string_view fragment) const {
  auto out = grams(fragment);
  if (index_.kind == IndexKind::prefix && out.size() > 1)
    out.erase(out.begin(), out.end() - 1);  // the longest says it all
  return out;
}

Bytes BlindTerms::seal_block(BytesView term, BytesView block,
                             std::span<const Posting> entries) const {
  return crypto::seal(block_key_.expose(), static_cast<std::uint32_t>(index_.key),
                      pack_postings(entries), place_of(index_, term, block));
}

Result<std::vector<Posting>> BlindTerms::open_block(BytesView term, BytesView block,
                                                    BytesView sealed) const {
  auto plain = crypto::open(block_key_.expose(), sealed, place_of(index_, term, block));
  if (!plain)
    return Error(Code::corrupt, "a block of an index is damaged: `holdfast indexes rebuild`");
  return unpack_postings(plain->expose());
}

}  // namespace holdfast::vault
