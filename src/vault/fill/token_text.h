// What a token is in a text: the one place that knows.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vault/schema.h"
#include "vault/token_shape.h"

namespace holdfast::vault {

struct TokenFound {
  std::size_t at = 0, size = 0;
};

/// The first token that can be told wherever it stands: `tok_` and 26 characters, or 16 characters
/// `@tokens.invalid`; not inside of something longer. nullopt: none.
std::optional<TokenFound> find_token(std::string_view text, std::size_t from = 0);
/// How much of the end of a text must be seen again with what follows it.
std::size_t token_tail(std::string_view text);

/// Whether a whole cell, string or element may be a token of another shape. May be empty.
using WholeToken = std::function<bool(std::string_view)>;

/// The shapes of tokens that look like other text, as a schema declares them now.
class TokenShapes {
 public:
  TokenShapes() = default;
  explicit TokenShapes(const Schema& schema);
  /// Whether a token of a declared field could look like this. Cost: under 100 ns.
  bool may_be(std::string_view text) const;

 private:
  bool digits_ = false;
  std::vector<std::vector<PatternPart>> patterns_;
};

}  // namespace holdfast::vault
