// Identifiers as TypeID (prefix, `_`, UUIDv7 in Crockford base32): they sort by time, and one kind
// cannot be passed for another.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"

namespace holdfast {

/// RFC 9562 UUIDv7: 48 bits of Unix milliseconds, 74 bits of randomness.
using Uuid = std::array<std::uint8_t, 16>;
/// Random bits come from libsodium. Those that a thread makes one after another for the same
/// millisecond go up by random steps (RFC 9562, 6.2, method 2), so that rows which are made
/// together lie together. Nothing may rest on an id not being guessed. Cost: about 0.2 µs.
Uuid make_uuid7(Time now);
/// When it was made, to the millisecond, by the clock of its maker.
Time time_of(const Uuid& uuid7);
/// 26 characters; the other way refuses upper case, ambiguous letters and overflow.
std::string base32(const Uuid& uuid);
std::optional<Uuid> unbase32(std::string_view text);

template <std::size_t N>
struct Prefix {
  char text[N]{};
  consteval Prefix(const char (&literal)[N]) { std::copy_n(literal, N, text); }
  constexpr std::string_view view() const { return {text, N - 1}; }
};

template <Prefix P>
struct Id {
  Uuid uuid{};

  static Id make(Time now) { return {make_uuid7(now)}; }
  static std::optional<Id> parse(std::string_view text) {
    constexpr auto prefix = P.view();
    if (!text.starts_with(prefix) || text.size() <= prefix.size() || text[prefix.size()] != '_')
      return std::nullopt;
    auto uuid = unbase32(text.substr(prefix.size() + 1));
    return uuid ? std::optional(Id{*uuid}) : std::nullopt;
  }
  static std::optional<Id> from(BytesView bytes) {
    if (bytes.size() != sizeof(Uuid)) return std::nullopt;
    Id id;
    std::copy(bytes.begin(), bytes.end(), id.uuid.begin());
    return id;
  }
  static constexpr std::string_view prefix() { return P.view(); }

  std::string text() const { return std::string(P.view()) + '_' + base32(uuid); }
  BytesView bytes() const { return uuid; }
  friend auto operator<=>(const Id&, const Id&) = default;
};

using SubjectId = Id<"sub">;
using RecordId = Id<"rec">;
using TokenId = Id<"tok">;
using EventId = Id<"evt">;
using RequestId = Id<"req">;
using ImportId = Id<"imp">;
using FillId = Id<"fil">;
using EngagementId = Id<"eng">;

}  // namespace holdfast

template <holdfast::Prefix P>
struct std::hash<holdfast::Id<P>> {
  std::size_t operator()(const holdfast::Id<P>& id) const noexcept {
    std::size_t out = 0;  // the last eight bytes are random
    for (std::size_t i = 8; i < 16; ++i) out = out << 8 | id.uuid[i];
    return out;
  }
};
