#include "vault/tokens/rows.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kCountPage = 5'000;

inline constexpr db::Sql kTokensFrom{
    "vault.tokens_from",
    "select id, subject, record, field, mac from vault_tokens where id > $1 order by id limit $2"};
inline constexpr db::Sql kMacToken{"vault.mac_token",
                                   "update vault_tokens set mac = $3 where id = $1 and mac = $2"};

Bytes mac_under(const crypto::Hmac& key, const TokenPlace& token) {
  Bytes input;
  put_part(input, std::string_view("token"));
  put_part(input, token.id.bytes());
  put_part(input, token.subject.bytes());
  put_part(input, token.record.bytes());
  put_u16(input, token.field);
  auto mac = key.mac(input);
  return {mac.begin(), mac.begin() + 16};
}

std::optional<TokenPlace> place_of(const db::Rows::Row& row) {
  auto id = TokenId::from(row.bytes(0));
  auto subject = SubjectId::from(row.bytes(1));
  auto record = RecordId::from(row.bytes(2));
  if (!id || !subject || !record) return std::nullopt;
  return TokenPlace{*id, *subject, *record, static_cast<std::uint16_t>(row.integer(3))};
}

}  // namespace

Bytes token_mac(const crypto::KeySet& keys, const TokenPlace& token) {
  return mac_under(keys.digest, token);
}

bool token_mac_fits(const crypto::KeySet& keys, const TokenPlace& token, BytesView mac) {
  if (equal_constant_time(token_mac(keys, token), mac)) return true;
  for (auto id : keys.ring.ids(crypto::KeyUse::digest)) {
    const crypto::Hmac key(keys.ring.find(crypto::KeyUse::digest, id)->expose());
    if (equal_constant_time(mac_under(key, token), mac)) return true;
  }
  return false;
}

bool TokenRows::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::digest && pass == Pass::move;
}

Task<Result<MovedRows>> TokenRows::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  auto rows = co_await context_.journal.reader().read(kTokensFrom, {after, limit});
  if (!rows) co_return std::move(rows).error();
  MovedRows out{.after = std::move(after),
                .looked = static_cast<std::int64_t>(rows->size()),
                .last = rows->size() < static_cast<std::size_t>(limit)};
  const auto before = job.keys->with_digest(job.from);
  if (!before) co_return Error(Code::corrupt, "the old digest key is not in the keyring");
  std::vector<db::Args> puts;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    auto token = place_of(row);
    if (!token || !token_mac_fits(*job.keys, *token, row.bytes(4))) {
      out.refused.push_back("tokens " + (token ? token->id.text() : hex(row.bytes(0))));
      continue;
    }
    auto mac = token_mac(*job.keys, *token);
    if (equal_constant_time(mac, row.bytes(4))) continue;
    out.touches.push_back({token->subject, "tokens", to_bytes(row.bytes(0)),
                           token_digest(*job.keys, token->id, mac),
                           token_digest(*before, token->id, row.bytes(4))});
    puts.push_back({to_bytes(row.bytes(0)), to_bytes(row.bytes(4)), std::move(mac)});
  }
  if (!rows->empty()) out.after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  out.moved = static_cast<std::int64_t>(puts.size());
  out.changes.bulk(kMacToken, std::move(puts), db::Expect::exactly(out.moved));
  co_return out;
}

Task<Result<std::int64_t>> TokenRows::left(MoveJob job, Pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto rows = co_await context_.journal.reader().read(kTokensFrom, {after, kCountPage});
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto token = place_of((*rows)[i]);
      out += !token || !equal_constant_time(token_mac(*job.keys, *token), (*rows)[i].bytes(4));
    }
    if (rows->size() < static_cast<std::size_t>(kCountPage)) co_return out;
    after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  }
}

std::span<const db::Sql* const> token_row_statements() {
  static constexpr const db::Sql* kAll[] = {&kTokensFrom, &kMacToken};
  return kAll;
}

}  // namespace holdfast::vault
