#include "vault/token_row.h"

#include "base/secret.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMacBytes = 16;

Bytes term(const crypto::TokenKey& key, Bytes input) {
  auto out = to_bytes(BytesView(key.hmac.mac(input)));
  wipe(input);
  return out;
}

}  // namespace

TokenRow unchecked_token_row(const db::Rows::Row& row) {
  return {.id = TokenId::from(row.bytes(0)).value_or(TokenId{}),
          .subject = SubjectId::from(row.bytes(1)).value_or(SubjectId{}),
          .record = RecordId::from(row.bytes(2)).value_or(RecordId{}),
          .field = static_cast<std::uint16_t>(row.integer(3)),
          .created = from_ms(row.integer(4)),
          .key_id = static_cast<std::uint32_t>(row.integer(6)),
          .text_term = to_bytes(row.bytes(7)),
          .text_sealed = to_bytes(row.bytes(8)),
          .value_term = to_bytes(row.bytes(9)),
          .sharer = to_bytes(row.bytes(10)),
          .mac = to_bytes(row.bytes(5))};
}

namespace {

Bytes mac_under(const crypto::Hmac& key, const TokenRow& row) {
  Bytes input;
  put_part(input, std::string_view("token"));
  put_part(input, row.id.bytes());
  put_part(input, row.subject.bytes());
  put_part(input, row.record.bytes());
  put_u16(input, row.field);
  if (row.key_id != 0 || !row.text_term.empty() || !row.text_sealed.empty() ||
      !row.value_term.empty() || !row.sharer.empty()) {
    put_u32(input, row.key_id);
    put_part(input, row.text_term);
    put_part(input, row.text_sealed);
    put_part(input, row.value_term);
    put_part(input, row.sharer);
  }
  auto mac = key.mac(input);
  return {mac.begin(), mac.begin() + kMacBytes};
}

}  // namespace

Bytes token_mac(const crypto::KeySet& keys, const TokenRow& row) {
  return mac_under(keys.digest, row);
}

std::optional<std::uint32_t> token_mac_key(const crypto::KeySet& keys, const TokenRow& row) {
  auto made_it = [&](const crypto::Hmac& key) {
    return equal_constant_time(mac_under(key, row), row.mac);
  };
  return keys.digest_key_that(made_it);
}

bool token_mac_fits(const crypto::KeySet& keys, const TokenRow& row) {
  return token_mac_key(keys, row).has_value();
}

Result<TokenRow> token_row_from(const crypto::KeySet& keys, const db::Rows::Row& row) {
  auto out = unchecked_token_row(row);
  if (!token_mac_fits(keys, out))
    return Error(
        Code::corrupt,
        "a token's row was not written by Holdfast: run `holdfast journal verify --state`");
  return out;
}

db::Args token_args(const TokenRow& row) {
  auto nullable = [](const Bytes& bytes) { return bytes.empty() ? db::Value() : db::Value(bytes); };
  return {to_bytes(row.id.bytes()),     to_bytes(row.subject.bytes()),
          to_bytes(row.record.bytes()), std::int64_t{row.field},
          to_ms(row.created),           row.mac,
          std::int64_t{row.key_id},     nullable(row.text_term),
          nullable(row.text_sealed),    nullable(row.value_term),
          nullable(row.sharer)};
}

crypto::Digest token_digest(const crypto::KeySet& keys, const TokenRow& row) {
  Bytes input;
  put_part(input, std::string_view("tokens"));
  put_part(input, row.id.bytes());
  put_part(input, row.mac);
  if (!equal_constant_time(token_mac(keys, row), row.mac)) put_part(input, row.mac);
  return keys.digest.mac(input);
}

Bytes token_text_term(const crypto::TokenKey& key, std::string_view text) {
  Bytes input;
  put_part(input, std::string_view("token text"));
  put_part(input, text);
  return term(key, std::move(input));
}

Bytes token_value_term(const crypto::TokenKey& key, std::uint32_t collection, const Field& field,
                       SubjectId subject, BytesView value) {
  auto scope = field.token->deterministic.value_or(TokenScope::none);
  Bytes input;
  input.reserve(160 + value.size());  // so that it does not move and leave a copy behind
  put_part(input, std::string_view("token value"));
  put_u32(input, collection);
  put_u16(input, field.id);
  put_u8(input, static_cast<std::uint8_t>(scope));
  put_u8(input, static_cast<std::uint8_t>(field.token->shape.value_or(TokenShape::tok)));
  put_part(input, std::string_view(field.token->pattern ? *field.token->pattern : ""));
  put_part(input, scope == TokenScope::subject ? subject.bytes() : BytesView());
  put_part(input, value);
  return term(key, std::move(input));
}

Binding token_text_place(const TokenRow& row) {
  return {row.subject, RecordId{row.id.uuid}, 0, row.field, 0};
}

}  // namespace holdfast::vault
