// Errors are values. Anything that a caller, a network, a disk or a database can cause is a
// Result; an exception is a bug (or memory running out).
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace holdfast {

/// What went wrong, in one word that callers can branch on. http/problem.cpp maps each to a status.
enum class Code {
  invalid,          // the request is malformed or breaks a rule; `field` says where
  too_large,        // over a stated limit
  unauthenticated,  // no valid key
  forbidden,        // known caller, not allowed
  not_found,        //
  conflict,         // exists already, or a stale version
  gone,             // erased or past its keep time
  exhausted,        // a budget or rate is spent; try later
  corrupt,          // does not authenticate: tampered or damaged data
  locked,           // the server does not hold its root key
  unavailable,      // database, disk or journal cannot do it now; retry with the idempotency key
  stale,            // decided under an old policy generation; decide again
  internal,         // a bug
};

/// The stable name on the wire ("not_found").
std::string_view code_name(Code code);

/// The place of an error inside a request, such as `records[3].email`: a name for the caller to
/// look at. Only characters of names get in, at most 128 of them; anything else a hostile or
/// careless client put where a name belongs becomes `?`, so that a value cannot travel in it. A
/// part that would make it longer is left out.
class FieldPath {
 public:
  FieldPath() = default;
  explicit FieldPath(std::string_view name);
  /// An id that this server made, such as `key_8qwzc6897367`: its digits mean nothing, so a run of
  /// them is kept. Never for a text that came from a caller.
  static FieldPath made_id(std::string_view id);
  /// `customer` + `email` is `customer.email`.
  FieldPath operator/(std::string_view name) const;
  FieldPath operator[](std::size_t index) const;

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }
  friend bool operator==(const FieldPath&, const FieldPath&) = default;

 private:
  FieldPath extended(std::string_view part) const;

  std::string text_;
};

/// Only a literal compiles, so customer data cannot get into a message.
struct Literal {
  std::string_view text;
  template <std::size_t N>
  consteval Literal(const char (&t)[N]) : text(t, N - 1) {}
};

/// A code and a literal text.
struct Error {
  Code code;
  std::string_view text;
  FieldPath field{};
  /// Further violations of the same request, so that a form can be mended in one go.
  std::vector<Error> also{};
  /// When the same request may go through: of a spent budget, to the minute.
  std::optional<Time> free_at{};

  Error(Code c, Literal t) : code(c), text(t.text) {}

  Error at(FieldPath path) && {
    field = std::move(path);
    return std::move(*this);
  }
  Error at(std::string_view name) && { return std::move(*this).at(FieldPath(name)); }
};

/// std::expected that must not be dropped, also when it comes out of a co_await.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result() = default;
  Result(Error error) : std::expected<T, Error>(std::unexpect, std::move(error)) {}
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, Error> {
 public:
  Result() = default;
  Result(Error error) : std::expected<void, Error>(std::unexpect, std::move(error)) {}
};

}  // namespace holdfast
