// A row of vault_tokens: which field of which record a token stands for, bound by a MAC so that a
// row written or changed straight in the database opens nothing.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "crypto/key_set.h"
#include "db/changes.h"
#include "db/rows.h"
#include "vault/sealing.h"
#include "vault/types.h"

namespace holdfast::vault {

struct TokenRow {
  TokenId id;
  SubjectId subject;
  RecordId record;
  std::uint16_t field = 0;
  Time created{};
  std::uint32_t key_id = 0;  // token key of the terms; 0 without terms
  Bytes text_term;           // empty: the token is written as its id
  Bytes text_sealed;
  Bytes value_term;  // empty: equal values do not find it
  Bytes sharer;      // with a term: kAlone, or the customer who shares a text
  Bytes mac;
};

/// `sharer` of a token that shares its text with nobody, or is the first to have it.
inline constexpr std::uint8_t kAlone[] = {0};

/// Columns: id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed,
/// value_term, sharer. Ids are zero where they are damaged; whether the MAC holds is not checked.
TokenRow unchecked_token_row(const db::Rows::Row& row);
/// The same, checked. Errors: corrupt (damaged, or another hand's).
Result<TokenRow> token_row_from(const crypto::KeySet& keys, const db::Rows::Row& row);
/// In the order of these columns.
db::Args token_args(const TokenRow& row);
/// 16 bytes over all but the time of creation.
Bytes token_mac(const crypto::KeySet& keys, const TokenRow& row);
/// The digest key under which the row's MAC is that: the active one or, while that is rotated, an
/// older one. Nothing: another hand's.
std::optional<std::uint32_t> token_mac_key(const crypto::KeySet& keys, const TokenRow& row);
bool token_mac_fits(const crypto::KeySet& keys, const TokenRow& row);
/// What events leave behind of a row whose content and MAC agree, and of one where they do not.
crypto::Digest token_digest(const crypto::KeySet& keys, const TokenRow& row);

/// What a token's text is found by: HMAC, 32 bytes.
Bytes token_text_term(const crypto::TokenKey& key, std::string_view text);
/// What the token of an equal value (in its stored form) is found by, within the scope and the
/// shape that the field declares: HMAC, 32 bytes. Only for fields with a scope.
Bytes token_value_term(const crypto::TokenKey& key, std::uint32_t collection, const Field& field,
                       SubjectId subject, BytesView value);
/// Where the text of a token is sealed: bound to its row, unlike any value of a record.
Binding token_text_place(const TokenRow& row);

}  // namespace holdfast::vault
