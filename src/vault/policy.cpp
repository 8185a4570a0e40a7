#include "vault/policy.h"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "vault/token_shape.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kMaxViolations = 20;
constexpr std::size_t kMaxFields = 200;
constexpr std::size_t kMaxPurposes = 50;
constexpr std::size_t kMaxDocBytes = 1000;

/// All that is wrong with one request, as one Error.
class Violations {
 public:
  void add(Error error) {
    if (!first_)
      first_ = std::move(error);
    else if (first_->also.size() + 1 < kMaxViolations)
      first_->also.push_back(std::move(error));
  }
  void add(Literal text, FieldPath at) { add(Error(Code::invalid, text).at(std::move(at))); }
  void conflict(Literal text, FieldPath at) { add(Error(Code::conflict, text).at(std::move(at))); }

  bool any() const { return first_.has_value(); }
  Error take() && { return std::move(*first_); }

 private:
  std::optional<Error> first_;
};

struct Length {
  std::size_t usual;
  bool fixed;  // the type's own: a declaration cannot change it
};

Length length_of(FieldType type) {
  switch (type) {
    case FieldType::text:
      return {4096, false};
    case FieldType::name:
      return {256, false};
    case FieldType::email:
      return {254, false};  // RFC 5321
    case FieldType::phone:
      return {64, false};
    case FieldType::address_line:
      return {512, false};
    case FieldType::postal_code:
      return {32, false};
    case FieldType::country:
      return {2, true};
    case FieldType::date:
      return {10, true};
    case FieldType::ip:
      return {45, true};
    case FieldType::iban:
      return {34, true};
    case FieldType::tax_id:
      return {64, false};
    case FieldType::card_number:
      return {19, true};
    case FieldType::card_expiry:
      return {7, true};
    case FieldType::card_verification:
      return {4, true};
    case FieldType::json:
      return {16'384, false};
  }
  return {0, true};
}

bool fits(Mask mask, FieldType type, FieldClass field_class) {
  if (is_card(type))
    return mask == Mask::type_default || mask == Mask::hidden ||
           (mask == Mask::last4 && type == FieldType::card_number);
  switch (mask) {
    case Mask::type_default:
    case Mask::hidden:
      return true;
    case Mask::first_letter:
      return type == FieldType::text || type == FieldType::name || type == FieldType::address_line;
    case Mask::last4:
      return type == FieldType::text || type == FieldType::phone || type == FieldType::iban ||
             type == FieldType::tax_id;
    case Mask::domain:
      return type == FieldType::email;
    case Mask::year:
      return type == FieldType::date;
    case Mask::none:
      return type == FieldType::country || field_class == FieldClass::plain;
  }
  return false;
}

void check_index(const Field& field, const FieldPath& at, Violations& violations) {
  if (field.index == IndexKind::none) return;
  if (field.index == IndexKind::substring && field.max_bytes > kMaxSubstringBytes)
    violations.add("substring search takes values of at most 1,024 bytes: set max_bytes",
                   at / "index");
  if (field.type == FieldType::json)
    return violations.add("json values cannot be indexed", at / "index");
  // Of a number whose first six and last four digits are shown, a few thousand guesses are left.
  if (is_card(field.type))
    return violations.add(
        "card data cannot be indexed: an index would let whoever may write find out a card number",
        at / "index");
  if (field.type == FieldType::country || field.max_bytes <= 2)
    violations.add(
        "fewer than 10,000 different values are possible: an index would show who shares one",
        at / "index");
}

void check_purposes(const std::vector<std::string>& purposes, const FieldPath& at,
                    Violations& violations) {
  if (purposes.size() > kMaxPurposes) return violations.add("at most 50 purposes", at / "purposes");
  for (std::size_t i = 0; i < purposes.size(); ++i) {
    if (!is_name(purposes[i]))
      violations.add("a purpose is [a-z][a-z0-9_]{0,62}", (at / "purposes")[i]);
    else if (std::find(purposes.begin(), purposes.begin() + static_cast<std::ptrdiff_t>(i),
                       purposes[i]) != purposes.begin() + static_cast<std::ptrdiff_t>(i))
      violations.add("this purpose is there twice", (at / "purposes")[i]);
  }
}

void check_length(const FieldSpec& spec, Field& field, const FieldPath& at,
                  Violations& violations) {
  auto length = length_of(spec.type);
  field.max_bytes = length.usual;
  if (!spec.max_bytes) return;
  if (length.fixed) {
    if (*spec.max_bytes != static_cast<std::int64_t>(length.usual))
      violations.add("values of this type have a length of their own", at / "max_bytes");
  } else if (*spec.max_bytes < 1 || *spec.max_bytes > static_cast<std::int64_t>(kMaxValueBytes)) {
    violations.add("from 1 to 65,536 bytes", at / "max_bytes");
  } else {
    field.max_bytes = static_cast<std::size_t>(*spec.max_bytes);
  }
}

bool fits(TokenShape shape, FieldType type) {
  switch (shape) {
    case TokenShape::tok:
      return true;
    case TokenShape::pattern:
      return type != FieldType::card_number;
    case TokenShape::digits:
      return type == FieldType::text || type == FieldType::phone || type == FieldType::tax_id;
    case TokenShape::email:
      return type == FieldType::email;
    case TokenShape::card:
      return type == FieldType::card_number;
  }
  return false;
}

void check_token(const FieldSpec& spec, Field& field, const FieldPath& at, Violations& violations) {
  if (!spec.token) return;
  auto token = *spec.token;
  token.shape = token.shape.value_or(TokenShape::tok);
  token.deterministic = token.deterministic.value_or(TokenScope::none);
  if (spec.type == FieldType::card_verification)
    return violations.add("a card verification code has a handle, not a token: leave this out",
                          at / "token");
  if (!fits(*token.shape, spec.type) && spec.type == FieldType::card_number)
    violations.add(
        "a token of this shape could be a card number: use shape `card`, which never is one, or "
        "`tok`",
        at / "token" / "shape");
  else if (!fits(*token.shape, spec.type))
    violations.add("tokens of this shape do not fit the type", at / "token" / "shape");
  else if (*token.shape == TokenShape::digits && field.max_bytes < kFewestDigits)
    violations.add("values this short have fewer than six digits: too few tokens are possible",
                   at / "token" / "shape");
  if ((*token.shape == TokenShape::pattern) != token.pattern.has_value())
    violations.add("shape `pattern` needs a pattern, and others have none",
                   at / "token" / "pattern");
  else if (token.pattern)
    if (auto read = parse_pattern(*token.pattern); !read)
      violations.add(std::move(read).error().at(at / "token" / "pattern"));
  // With fewer possible values, whoever may ask for tokens finds out which value a token stands
  // for.
  if (*token.deterministic != TokenScope::none &&
      (spec.type == FieldType::country || spec.type == FieldType::card_expiry ||
       field.max_bytes <= 2))
    violations.add(
        "fewer than 10,000 different values are possible: equal tokens would show which is which",
        at / "token" / "deterministic");
  if (*token.deterministic != TokenScope::none && spec.type == FieldType::card_number)
    violations.add("equal tokens would let whoever may ask for tokens find out a card number",
                   at / "token" / "deterministic");
  field.token = std::move(token);
}

void check_card(const Field& field, bool cards, const FieldPath& at, Violations& violations) {
  if (!is_card(field.type)) return;
  if (!cards)
    return violations.add(
        "card data is off: with it the shop's PCI DSS duty grows from SAQ A to SAQ D; keep the "
        "gateway's own fields, and here its token, the brand and the last four digits; the owner "
        "can switch it on (`holdfast cards switch-on`)",
        at / "type");
  if (field.field_class != FieldClass::payment)
    violations.add("card data is of class payment", at / "class");
}

Field declare_field(const FieldSpec& spec, bool cards, const FieldPath& at,
                    Violations& violations) {
  Field field;
  field.name = spec.name;
  field.type = spec.type;
  field.field_class =
      spec.field_class.value_or(is_card(spec.type) ? FieldClass::payment : FieldClass::personal);
  field.mask = spec.mask.value_or(Mask::type_default);
  field.index = spec.index.value_or(IndexKind::none);
  field.purposes = spec.purposes;
  field.keep_group = spec.keep_group.value_or("account");
  field.keep = spec.keep;
  if (!is_name(field.name)) violations.add("a field's name is [a-z][a-z0-9_]{0,62}", at / "name");
  field.cards_on = cards;
  check_card(field, cards, at, violations);
  check_length(spec, field, at, violations);
  if (!fits(field.mask, field.type, field.field_class)) {
    if (field.mask == Mask::none && !is_card(field.type))
      violations.add("no mask would show the value: only for class plain and for countries",
                     at / "mask");
    else
      violations.add("this mask does not fit the type", at / "mask");
  }
  check_index(field, at, violations);
  check_token(spec, field, at, violations);
  check_purposes(field.purposes, at, violations);
  if (!is_name(field.keep_group))
    violations.add("a keep group is [a-z][a-z0-9_]{0,62}", at / "keep_group");
  if (field.keep) {
    field.keep_for = parse_duration(field.keep->duration);
    if (!field.keep_for)
      violations.add("not a duration such as `90 days` or `3 years`", at / "keep" / "duration");
    if (!field.keep->from) field.keep->from = KeepFrom::created;
  }
  return field;
}

/// Whether all that was kept under `was` is kept at least as long under `now`; absent is for as
/// long as the keep group.
bool keeps_as_long(const std::optional<Keep>& was, const std::optional<Keep>& now) {
  if (!now) return true;
  if (!was) return false;
  bool later =
      was->from == now->from || (was->from == KeepFrom::created && now->from == KeepFrom::updated);
  return later && *parse_duration(was->duration) <= *parse_duration(now->duration);
}

void check_change(const Field& was, const Field& now, const FieldPath& at, Violations& violations) {
  if (was.type != now.type)
    violations.conflict("records exist: the type of their values cannot change", at / "type");
  if (now.field_class < was.field_class)
    violations.conflict("records exist: their values cannot fall to a lower class", at / "class");
  if (was.keep_group != now.keep_group)
    violations.conflict("records exist: their values are sealed under the keys of the old group",
                        at / "keep_group");
  if (now.max_bytes < was.max_bytes)
    violations.conflict("records exist: their values could be longer than this", at / "max_bytes");
  if (!keeps_as_long(was.keep, now.keep))
    violations.conflict("records exist: a shorter keep would erase values that are kept now",
                        at / "keep");
}

/// Ids of old fields, fresh ones for new fields, and what the change would lose.
void carry_over(const Collection& old, bool has_data, Collection& next, Violations& violations) {
  for (const auto& field : old.fields) next.last_field = std::max(next.last_field, field.id);
  for (std::size_t i = 0; i < next.fields.size(); ++i) {
    auto& field = next.fields[i];
    auto at = FieldPath("fields")[i];
    const Field* was = old.find(field.name);
    if (!was) {
      if (next.last_field == UINT16_MAX)
        return violations.conflict("this collection has had all the fields that it can have", at);
      field.id = ++next.last_field;
      field.since = next.version;
      continue;
    }
    field.id = was->id;
    field.indexes = was->indexes;
    if (field.index == was->index) field.consent = was->consent;
    if (has_data) check_change(*was, field, at, violations);
    bool same_shape = was->type == field.type && was->keep_group == field.keep_group;
    field.since = same_shape ? was->since : next.version;
  }
  if (!has_data) return;
  for (const auto& field : old.fields)
    if (!next.find(field.name))
      violations.conflict("records exist: taking the field out would lose its values",
                          FieldPath("fields") / field.name);
}

}  // namespace

bool is_calling_code(std::string_view text) {
  return text.size() <= 3 && (text.empty() || text.front() != '0') &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name(std::string_view text) {
  auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !text.empty() && text.size() <= 63 && lower(text.front()) &&
         std::ranges::all_of(
             text, [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '_'; });
}

Result<Collection> declare(const CollectionSpec& spec, std::uint32_t id, Time now, bool cards) {
  Violations violations;
  if (!is_name(spec.collection))
    violations.add("a collection's name is [a-z][a-z0-9_]{0,62}", FieldPath("collection"));
  auto doc = spec.doc.value_or("");
  if (doc.size() > kMaxDocBytes || !valid_utf8(doc))
    violations.add("at most 1,000 bytes of UTF-8", FieldPath("doc"));
  if (spec.fields.empty() || spec.fields.size() > kMaxFields) {
    violations.add("from 1 to 200 fields", FieldPath("fields"));
    return std::move(violations).take();
  }

  Collection out;
  out.id = id;
  out.name = spec.collection;
  out.doc = std::move(doc);
  out.calling_code = spec.calling_code.value_or("");
  if (!is_calling_code(out.calling_code))
    violations.add("a calling code is 1 to 3 digits, such as `49`", FieldPath("calling_code"));
  out.created = out.updated = now;
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < spec.fields.size(); ++i) {
    auto at = FieldPath("fields")[i];
    out.fields.push_back(declare_field(spec.fields[i], cards, at, violations));
    out.fields.back().id = ++out.last_field;
    if (!names.insert(spec.fields[i].name).second)
      violations.add("another field has this name", at / "name");
  }
  if (violations.any()) return std::move(violations).take();
  return out;
}

Result<Collection> evolve(const Collection& old, const CollectionSpec& spec, bool has_data,
                          Time now, bool cards) {
  auto declared = declare(spec, old.id, now, cards);
  if (!declared) return std::move(declared).error();
  Collection next = std::move(*declared);
  if (next.name != old.name)
    return Error(Code::conflict, "a collection keeps its name").at("collection");

  next.version = old.version + 1;
  next.last_field = old.last_field;
  next.created = old.created;
  Violations violations;
  carry_over(old, has_data, next, violations);
  if (violations.any()) return std::move(violations).take();
  if (next.fields == old.fields && next.doc == old.doc && next.calling_code == old.calling_code)
    return old;
  return next;
}

std::string leaks_of(const Field& field) {
  std::string out;
  if (field.index == IndexKind::unique)
    out += "Index: who reads the database sees whether two records ever had an equal value. ";
  if (field.index == IndexKind::exact)
    out += "Index: who reads the database sees groups of records of which some have equal values. ";
  if (field.index == IndexKind::prefix || field.index == IndexKind::substring)
    out += "Index: who reads the database sees how many records share a part of a value. ";
  auto scope =
      field.token ? field.token->deterministic.value_or(TokenScope::none) : TokenScope::none;
  if (scope == TokenScope::subject)
    out +=
        "Tokens: who has them sees when one customer gave the same value again, and who may create "
        "them can find out by trying whether a customer gave a value. ";
  if (scope == TokenScope::field)
    out +=
        "Tokens: who has them sees which customers share a value, and who may create them can find "
        "out by trying which value a token stands for. ";
  if (field.token && field.token->shape == TokenShape::card)
    out += "Tokens: who has them sees the issuer number and the last four digits of the card. ";
  if (field.token && field.token->shape == TokenShape::digits)
    out += "Tokens: who has them sees how many digits the value has. ";
  if (!out.empty()) out.pop_back();
  return out;
}

}  // namespace holdfast::vault
