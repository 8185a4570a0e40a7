#include "vault/search/cursor.h"

#include "crypto/aead.h"

namespace holdfast::vault {

crypto::Digest search_fingerprint(const crypto::KeySet& keys, const Caller& caller,
                                  const SearchRecords& request) {
  Bytes input;
  put_part(input, std::string_view("search"));
  put_part(input, caller.principal);
  put_part(input, caller.on_behalf_of);
  put_part(input, request.collection);
  put_part(input, request.purpose);
  for (const auto& entry : request.q.entries) {
    put_part(input, entry.name);
    put_part(input, entry.value.expose());
  }
  put_part(input, std::string_view("text"));
  put_part(input, request.text.value_or(""));
  for (const auto& name : request.fields) put_part(input, name);
  put_part(input, std::string_view("match"));
  for (const auto& [name, match] : request.match) {
    put_part(input, name);
    put_u8(input, static_cast<std::uint8_t>(match));
  }
  put_part(input, std::string_view("filter"));
  for (const auto& one : request.filter) {
    put_part(input, one.field);
    put_u8(input, static_cast<std::uint8_t>(one.op));
    put_part(input, one.value);
  }
  put_part(input, std::string_view("sort"));
  if (request.sort) {
    put_part(input, request.sort->field);
    put_u8(input, static_cast<std::uint8_t>(request.sort->order.value_or(SortOrder::ascending)));
  }
  auto out = keys.digest.mac(input);
  wipe(input);
  return out;
}

std::string write_cursor(const crypto::KeySet& keys, const crypto::Digest& search,
                         const Cursor& cursor) {
  auto plain = to_bytes(cursor.record.bytes());
  auto key = cursor.key.expose();
  plain.insert(plain.end(), key.begin(), key.end());
  auto sealed = crypto::seal(keys.ring.active(crypto::KeyUse::cursor).expose(),
                             keys.ring.active_id(crypto::KeyUse::cursor), plain, search);
  wipe(plain);
  return base64url(sealed);
}

Result<Cursor> read_cursor(const crypto::KeySet& keys, const crypto::Digest& search,
                           std::string_view text) {
  Error bad(Code::invalid, "not the `next` of this search: begin it again without `after`");
  auto sealed = unbase64url(text);
  if (!sealed) return bad;
  auto id = crypto::sealed_key_id(*sealed);
  const auto* key = id ? keys.ring.find(crypto::KeyUse::cursor, *id) : nullptr;
  if (!key) return bad;
  auto plain = crypto::open(key->expose(), *sealed, search);
  if (!plain || plain->size() < sizeof(Uuid)) return bad;
  auto bytes = plain->expose();
  return Cursor{RecordId::from(bytes.first(sizeof(Uuid))).value_or(RecordId{}),
                Secret::copy(bytes.subspan(sizeof(Uuid)))};
}

}  // namespace holdfast::vault
