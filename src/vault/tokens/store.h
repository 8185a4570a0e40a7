// Token rows read back and written. Rows whose MAC does not hold are corrupt, never skipped.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "vault/context.h"
#include "vault/token_row.h"

namespace holdfast::vault {

inline constexpr db::Sql kAddToken{
    "vault.add_token",
    "insert into vault_tokens (id, subject, record, field, created_ms, mac, key_id, text_term, "
    "text_sealed, value_term, sharer) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"};
/// A record's value changed: its token no longer stands for the value that it was found by.
inline constexpr db::Sql kReleaseToken{"vault.release_token",
                                       "update vault_tokens set value_term = null, mac = $3 "
                                       "where id = $1 and mac = $2"};
/// A token of a customer who was merged into another.
inline constexpr db::Sql kMoveToken{
    "vault.move_token",
    "update vault_tokens set subject = $3, key_id = $4, text_term = $5, text_sealed = $6, "
    "value_term = $7, sharer = $8, mac = $9 where id = $1 and mac = $2"};
/// As many rows have these texts as this commit wrote: nobody else drew one of them meanwhile.
inline constexpr db::Sql kGuardTexts{
    "vault.guard_texts",
    "select 1 where (select count(*) from vault_tokens where text_term {{in $1}}) = $2"};

/// By what the shop holds. Threads: any io_context thread. Errors: unavailable, corrupt.
class TokenStore {
 public:
  TokenStore(db::Reader& reader, const crypto::KeySet& keys) : reader_(reader), keys_(keys) {}

  /// Rows by id, also of tokens that are not written as their id.
  Task<Result<std::map<TokenId, TokenRow>>> by_id(std::vector<TokenId> ids, MonoTime deadline);
  /// The row of each text: the newest where several customers share it, but that of `own` where
  /// one is given and shares it.
  Task<Result<std::map<std::string, TokenRow>>> by_text(std::vector<std::string> texts,
                                                        std::optional<SubjectId> own,
                                                        MonoTime deadline);
  /// All rows of these texts. Errors: too_large (over 20,000 rows).
  Task<Result<std::vector<TokenRow>>> all_by_text(std::vector<std::string> texts,
                                                  MonoTime deadline);
  /// Rows by value term: the newest of each, and beside it those of `subjects`.
  Task<Result<std::vector<TokenRow>>> by_value(std::vector<Bytes> terms,
                                               std::vector<SubjectId> subjects, MonoTime deadline);
  /// Rows of all records of a customer.
  Task<Result<std::vector<TokenRow>>> of_subject(SubjectId subject, MonoTime deadline);
  /// Which of these text terms are in use.
  Task<Result<std::vector<Bytes>>> taken(std::vector<Bytes> terms, MonoTime deadline);

 private:
  Task<Result<std::vector<TokenRow>>> read(const db::Sql& sql, db::Args args, MonoTime deadline);
  /// Terms of each text under every token key, and which text each is of.
  std::map<Bytes, std::string> terms_of(std::vector<std::string> texts) const;

  db::Reader& reader_;
  const crypto::KeySet& keys_;
};

std::span<const db::Sql* const> token_statements();

}  // namespace holdfast::vault
