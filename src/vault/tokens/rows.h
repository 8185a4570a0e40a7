// The MACs of tokens' rows, and tokens as rotations see them.
#pragma once

#include "vault/context.h"
#include "vault/rotations.h"

namespace holdfast::vault {

/// What a token's row says and its MAC covers.
struct TokenPlace {
  TokenId id;
  SubjectId subject;
  RecordId record;
  std::uint16_t field = 0;
};
Bytes token_mac(const crypto::KeySet& keys, const TokenPlace& token);
/// Under the active digest key or, while that is rotated, an older one.
bool token_mac_fits(const crypto::KeySet& keys, const TokenPlace& token, BytesView mac);

class TokenRows final : public KeyedRows {
 public:
  explicit TokenRows(Context context) : context_(context) {}
  std::string_view name() const override { return "tokens"; }
  bool takes_part(KeyKind kind, Pass pass) const override;
  Task<Result<MovedRows>> move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) override;
  Task<Result<std::int64_t>> left(MoveJob job, Pass pass) override;

 private:
  Context context_;
};

std::span<const db::Sql* const> token_row_statements();

}  // namespace holdfast::vault
