// A fact stated once. A struct's described() table gives names, docs, limits, sensitivity and place
// of its members; from it come strict parsing, JSON writing, OpenAPI, the command line and what
// logs must leave out.
//
//   struct RevealRequest {
//     RecordId record;
//     std::vector<std::string> fields;
//     static std::span<const Member> described() {
//       using R = RevealRequest;
//       static constexpr Member kMembers[] = {
//           member<&R::record>("record", "The record to open.", {}, Place::path),
//           member<&R::fields>("fields", "Names of the fields to open.", {.bytes = 64, .count =
//           64})};
//       return kMembers;
//     }
//   };
//
// The rows are erased to data; one parser, one writer and one schema maker in described.cpp walk
// them, so that forty such structs compile in a second or two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast {

/// Limits of one member; for a list, `bytes` holds for each string inside it.
struct Limits {
  std::size_t bytes = 256;                   // of a string
  std::size_t count = 1000;                  // of a list, a dict or Values
  std::int64_t min = 0;                      // of an integer
  std::int64_t max = 9'007'199'254'740'991;  // 2^53 - 1: exact in every JSON reader
};
enum class Sensitivity : std::uint8_t { plain, personal, secret };
enum class Place : std::uint8_t { body, path, query };

/// One field value of a record as it came in or goes out: text, or (type json) canonical JSON.
struct FieldValue {
  std::string name;
  Secret value;
  bool json = false;  // value is JSON text to be written as it is
};
/// `{"email": "ann@example.org", "birthday": null}`: checked against a collection, not a struct.
/// null is an absent (empty, not json) value with `null` set.
struct Values {
  struct Entry : FieldValue {
    bool null = false;
  };
  std::vector<Entry> entries;
};
/// Any JSON value, kept as canonical text. Bounded by Limits.bytes.
struct JsonText {
  std::string text;
};
/// `{"name": T, ...}` in the order given; duplicate names are refused.
template <class T>
using Dict = std::vector<std::pair<std::string, T>>;

enum class Kind : std::uint8_t {
  string,
  integer,
  boolean,
  time,
  id,
  enumeration,
  secret,
  object,
  list,
  optional,
  values,
  json,
  dict
};

struct Member;

/// How to reach into one C++ type. One static table per type, made by type_of<T>.
struct Type {
  Kind kind;
  std::string_view name{};                                 // object: schema name; id: prefix
  std::span<const Member> (*members)() = nullptr;          // object
  std::span<const std::string_view> (*names)() = nullptr;  // enumeration: by value, from 0
  const Type* element = nullptr;                           // list, optional, dict
  void* (*append)(void*) = nullptr;                        // list, dict: a new last element
  std::size_t (*size)(const void*) = nullptr;              // list, dict
  const void* (*at)(const void*, std::size_t) = nullptr;   // list, dict
  std::string* (*key)(void*, std::size_t) = nullptr;       // dict
  void* (*emplace)(void*) = nullptr;                       // optional
  const void* (*get)(const void*) = nullptr;               // optional: nullptr when absent
  bool (*parse)(void*, std::string_view) = nullptr;        // id
  std::string (*text)(const void*) = nullptr;              // id
  std::int64_t (*ordinal)(const void*) = nullptr;          // enumeration
  void (*assign)(void*, std::int64_t) = nullptr;           // enumeration
};

struct Member {
  std::string_view name, doc;
  Limits limits;
  Sensitivity sensitivity;
  Place place;
  const Type* type;
  const void* (*in)(const void*);  // from the struct to the member

  void* in_mut(void* object) const { return const_cast<void*>(in(object)); }
  /// Absent is fine for optional, list, dict, values and boolean; all else is required.
  bool required() const {
    return type->kind != Kind::optional && type->kind != Kind::list && type->kind != Kind::dict &&
           type->kind != Kind::boolean && type->kind != Kind::values;
  }
};

// ── the tables, by type

/// An enum is described by a function found by argument-dependent lookup:
///   std::span<const std::string_view> enum_names(View);
template <class T>
constexpr const Type& type_of();

namespace detail {
template <class T>
struct IsId : std::false_type {};
template <Prefix P>
struct IsId<Id<P>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsList : std::false_type {};
template <class T>
struct IsList<std::vector<T>> : std::true_type {};
template <class T>
struct IsDict : std::false_type {};
template <class T>
struct IsDict<std::vector<std::pair<std::string, T>>> : std::true_type {};
template <class M>
struct MemberPointer;
template <class C, class T>
struct MemberPointer<T C::*> {
  using Class = C;
  using Value = T;
};

/// "holdfast::vault::RevealRequest" as "RevealRequest".
template <class T>
constexpr std::string_view type_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name = name.substr(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of("];"));
  auto at = name.rfind("::");
  return at == std::string_view::npos ? name : name.substr(at + 2);
}

template <class T>
constexpr Type make_type() {
  if constexpr (std::is_same_v<T, std::string>) {
    return {.kind = Kind::string};
  } else if constexpr (std::is_same_v<T, bool>) {
    return {.kind = Kind::boolean};
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return {.kind = Kind::integer};
  } else if constexpr (std::is_same_v<T, Time>) {
    return {.kind = Kind::time};
  } else if constexpr (std::is_same_v<T, Secret>) {
    return {.kind = Kind::secret};
  } else if constexpr (std::is_same_v<T, Values>) {
    return {.kind = Kind::values};
  } else if constexpr (std::is_same_v<T, JsonText>) {
    return {.kind = Kind::json};
  } else if constexpr (IsId<T>::value) {
    return {.kind = Kind::id,
            .name = T::prefix(),
            .parse =
                [](void* to, std::string_view text) {
                  auto id = T::parse(text);
                  if (id) *static_cast<T*>(to) = *id;
                  return id.has_value();
                },
            .text = [](const void* from) { return static_cast<const T*>(from)->text(); }};
  } else if constexpr (std::is_enum_v<T>) {
    return {.kind = Kind::enumeration,
            .name = type_name<T>(),
            .names = [] { return enum_names(T{}); },
            .ordinal =
                [](const void* from) {
                  return static_cast<std::int64_t>(*static_cast<const T*>(from));
                },
            .assign = [](void* to,
                         std::int64_t value) { *static_cast<T*>(to) = static_cast<T>(value); }};
  } else if constexpr (IsOptional<T>::value) {
    return {.kind = Kind::optional,
            .element = &type_of<typename T::value_type>(),
            .emplace = [](void* to) -> void* { return &static_cast<T*>(to)->emplace(); },
            .get = [](const void* from) -> const void* {
              const auto& value = *static_cast<const T*>(from);
              return value ? &*value : nullptr;
            }};
  } else if constexpr (IsDict<T>::value) {
    using Element = typename T::value_type::second_type;
    return {.kind = Kind::dict,
            .element = &type_of<Element>(),
            .append = [](void* to) -> void* { return &static_cast<T*>(to)->emplace_back().second; },
            .size = [](const void* from) { return static_cast<const T*>(from)->size(); },
            .at = [](const void* from, std::size_t i) -> const void* {
              return &(*static_cast<const T*>(from))[i].second;
            },
            .key = [](void* from, std::size_t i) { return &(*static_cast<T*>(from))[i].first; }};
  } else if constexpr (IsList<T>::value) {
    return {.kind = Kind::list,
            .element = &type_of<typename T::value_type>(),
            .append = [](void* to) -> void* { return &static_cast<T*>(to)->emplace_back(); },
            .size = [](const void* from) { return static_cast<const T*>(from)->size(); },
            .at = [](const void* from, std::size_t i) -> const void* {
              return &(*static_cast<const T*>(from))[i];
            }};
  } else {
    return {.kind = Kind::object, .name = type_name<T>(), .members = [] { return T::described(); }};
  }
}
template <class T>
inline constexpr Type kType = make_type<T>();
}  // namespace detail

template <class T>
constexpr const Type& type_of() {
  return detail::kType<T>;
}

template <auto M>
constexpr Member member(std::string_view name, std::string_view doc, Limits limits = {},
                        Place place = Place::body, Sensitivity sensitivity = Sensitivity::plain) {
  using P = detail::MemberPointer<decltype(M)>;
  return {name,
          doc,
          limits,
          sensitivity,
          place,
          &type_of<typename P::Value>(),
          [](const void* object) -> const void* {
            return &(static_cast<const typename P::Class*>(object)->*M);
          }};
}

// ── what walks them (described.cpp)

/// Where the parts of a request come from.
struct Parts {
  std::string_view body;  // JSON object text, or empty
  std::span<const std::pair<std::string, std::string>> path{};
  std::span<const std::pair<std::string, std::string>> query{};
};
/// Fills `object` strictly: unknown names, duplicates, wrong types, null, broken UTF-8, NUL
/// characters, over-long strings and lists, numbers out of range and missing members are each an
/// error that names the member. All violations of one request come in one Error (`also`), at most
/// 20 of them; text that is not JSON, or names a member twice, is reported alone.
/// What is read along the way is wiped.
Result<void> parse_described(const Type& type, void* object, const Parts& parts);

template <class T>
Result<T> parse_described(const Parts& parts) {
  T out;
  auto done = parse_described(type_of<T>(), &out, parts);
  if (!done) return std::move(done).error();
  return out;
}
template <class T>
Result<T> parse_json_as(std::string_view json) {
  return parse_described<T>(Parts{.body = json});
}

/// Compact JSON; members in table order; absent optionals are left out.
void write_described(const Type& type, const void* object, std::string& out);
template <class T>
std::string to_json(const T& object) {
  std::string out;
  write_described(type_of<T>(), &object, out);
  return out;
}

/// JSON Schema 2020-12, as OpenAPI 3.1 uses it. Objects become `$ref`s into `schemas`, by name; two
/// different types of one name are a bug and throw std::logic_error.
struct Schemas {
  struct Entry {
    std::string name;
    const Type* type;
    std::string json;
  };
  std::vector<Entry> entries;
};
std::string json_schema(const Type& type, const Limits& limits, Schemas& schemas);
/// The members of an object type that lie in `place` (absent: all), as a schema that is not a
/// `$ref`.
std::string json_schema_object(const Type& type, std::optional<Place> place, Schemas& schemas);
/// One member with its description; an optional one as what it holds.
std::string json_schema_member(const Member& member, Schemas& schemas);

}  // namespace holdfast
