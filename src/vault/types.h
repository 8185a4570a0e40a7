// The nouns of the vault. A collection is a named kind of record with declared fields; a record
// belongs to one subject; its field values are sealed one by one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/described.h"
#include "base/id.h"

namespace holdfast::vault {

enum class FieldType : std::uint8_t {
  text,
  name,
  email,
  phone,
  address_line,
  postal_code,
  country,
  date,
  ip,
  iban,
  tax_id,
  card_number,
  card_expiry,
  card_verification,
  json
};
std::span<const std::string_view> enum_names(FieldType);

enum class FieldClass : std::uint8_t { plain, personal, sensitive, payment };
std::span<const std::string_view> enum_names(FieldClass);

/// How a masked value looks. `type_default` is what policy.h says for the type.
enum class Mask : std::uint8_t { type_default, hidden, first_letter, last4, domain, year, none };
std::span<const std::string_view> enum_names(Mask);

/// How values are found: docs/search.md says what each shows to whoever has the database alone.
enum class IndexKind : std::uint8_t { none, exact, prefix, substring, unique };
std::span<const std::string_view> enum_names(IndexKind);

/// What the keep time counts from.
enum class KeepFrom : std::uint8_t { created, updated, closed };
std::span<const std::string_view> enum_names(KeepFrom);

inline bool is_card(FieldType type) {
  return type == FieldType::card_number || type == FieldType::card_expiry ||
         type == FieldType::card_verification;
}

/// How a value is shown. Ordered: each includes what comes before it.
enum class View : std::uint8_t { none, masked, verify, clear };
std::span<const std::string_view> enum_names(View);

struct Keep {
  std::string duration;                              // "3 years"
  std::optional<KeepFrom> from = KeepFrom::created;  // declare() leaves none absent
  friend bool operator==(const Keep&, const Keep&) = default;
  static std::span<const Member> described();
};

/// How the tokens of a field look. token_shape.h says what each needs of the values.
enum class TokenShape : std::uint8_t { tok, digits, email, pattern, card };
std::span<const std::string_view> enum_names(TokenShape);

/// Where equal values get the same token. `none`: nowhere.
enum class TokenScope : std::uint8_t { none, subject, field };
std::span<const std::string_view> enum_names(TokenScope);

struct TokenSpec {
  std::optional<TokenShape> shape;          // tok unless said; declare() leaves none absent
  std::optional<std::string> pattern;       // with shape pattern, and only then
  std::optional<TokenScope> deterministic;  // none unless said; declare() leaves none absent
  friend bool operator==(const TokenSpec&, const TokenSpec&) = default;
  static std::span<const Member> described();
};

struct FieldSpec {
  std::string name;  // [a-z][a-z0-9_]{0,62}
  FieldType type = FieldType::text;
  std::optional<FieldClass> field_class;  // "class"; default by type: personal, payment for cards
  std::optional<Mask> mask;
  std::optional<IndexKind> index;
  std::vector<std::string> purposes;  // empty: every declared purpose that a grant allows
  std::optional<Keep> keep;           // absent: as long as the keep group
  std::optional<std::string> keep_group = "account";
  std::optional<std::int64_t> max_bytes;  // default by type, at most 65,536
  std::optional<TokenSpec> token;
  static std::span<const Member> described();
};

/// What a client puts.
struct CollectionSpec {
  std::string collection;  // the name, from the path
  std::optional<std::string> doc;
  std::vector<FieldSpec> fields;              // 1 to 200
  std::optional<std::string> calling_code{};  // of phones written without one: "49"
  std::string if_match;                       // from the header, not the body
  static std::span<const Member> described();
};

/// One index over a field as it is kept. Its number stands for all of this and never comes back.
struct IndexInfo {
  std::int64_t number = 0;
  IndexKind kind = IndexKind::none;
  std::int64_t bits = 0;     // of a term: exact; 256 for unique, 128 for prefix and substring
  std::int64_t key = 0;      // the index key that its terms are made under
  std::string calling_code;  // of phones
  bool serving = false;      // false while it is built
  // Shown, not stored with the declaration.
  std::optional<std::int64_t> done{}, total{}, counted{}, largest{};
  std::optional<std::string> alarm{};
  friend bool operator==(const IndexInfo&, const IndexInfo&) = default;
  static std::span<const Member> described();
};

/// The owner's consent to an index that shows more than the rule allows, with the numbers that were
/// consented to.
struct IndexConsent {
  std::int64_t rows = 0;
  std::int64_t largest = 0;  // rows that share the commonest term
  std::string by;
  Time at{};
  friend bool operator==(const IndexConsent&, const IndexConsent&) = default;
  static std::span<const Member> described();
};

/// What is shown of a declared field, and what its row in the database says.
struct FieldView {
  std::int64_t id = 0;
  std::int64_t since = 1;
  std::string name;
  FieldType type = FieldType::text;
  FieldClass field_class = FieldClass::personal;
  Mask mask = Mask::type_default;
  IndexKind index = IndexKind::none;
  std::vector<std::string> purposes;
  std::optional<Keep> keep;
  std::string keep_group;
  std::int64_t max_bytes = 0;
  std::optional<TokenSpec> token;    // absent: tok_..., a new one each time
  std::optional<std::string> leaks;  // shown, not stored: what index and tokens tell
  std::vector<IndexInfo> indexes;
  std::optional<IndexConsent> consent;
  static std::span<const Member> described();
};

struct CollectionView {
  std::string name;
  std::int64_t id = 0;
  std::int64_t version = 1;
  std::string doc;
  Time created{};
  Time updated{};
  std::int64_t last_field = 0;
  std::optional<std::string> calling_code{};
  std::vector<FieldView> fields;
  static std::span<const Member> described();
};

/// A purpose is declared once, with its legal basis (GDPR art. 6).
enum class LegalBasis : std::uint8_t {
  consent,
  contract,
  legal_obligation,
  vital_interests,
  public_task,
  legitimate_interests
};
std::span<const std::string_view> enum_names(LegalBasis);

struct Purpose {
  std::string name;
  LegalBasis legal_basis = LegalBasis::contract;
  std::string doc;
  std::optional<std::int64_t> version;  // 0: built in; counts changes
  static std::span<const Member> described();
};

/// What is stored: names may change one day, ids do not.
struct Field {
  std::uint16_t id = 0;     // immutable, never reused within the collection
  std::uint32_t since = 1;  // schema version in which this shape of it was declared
  std::string name;
  FieldType type = FieldType::text;
  FieldClass field_class = FieldClass::personal;
  Mask mask = Mask::type_default;
  IndexKind index = IndexKind::none;
  std::vector<std::string> purposes;
  std::optional<Keep> keep;
  std::string keep_group;
  std::size_t max_bytes = 0;
  std::optional<Millis> keep_for{};  // keep->duration as time; set where a schema is loaded
  std::optional<TokenSpec> token{};
  bool cards_on = false;  // card data is switched on in this store; set where a schema is loaded
  std::vector<IndexInfo> indexes{};  // the one that answers, and one that is being built
  std::optional<IndexConsent> consent{};

  /// The index that answers searches; nullptr while there is none.
  const IndexInfo* serving() const;
  friend bool operator==(const Field&, const Field&) = default;
};

struct Collection {
  std::uint32_t id = 0;          // immutable
  std::uint32_t version = 1;     // counts schema changes
  std::uint16_t last_field = 0;  // the highest field id ever given, so that none comes back
  std::string name;
  std::string doc;
  std::string calling_code;
  std::vector<Field> fields;
  Time created{};
  Time updated{};

  const Field* find(std::string_view field) const;
  const Field* find(std::uint16_t field) const;
};

}  // namespace holdfast::vault
