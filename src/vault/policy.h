// The rules of the vault: pure, no I/O, no clock, no coroutine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "vault/types.h"

namespace holdfast::vault {

/// No value is longer than this, whatever its field says.
inline constexpr std::size_t kMaxValueBytes = 65'536;
/// Values of a field with a substring index: each has as many terms as it has characters.
inline constexpr std::size_t kMaxSubstringBytes = 1024;

/// Checks a declaration and fills in defaults: ids from 1 in order, class and max_bytes by type.
/// Errors: invalid, one per violation (`fields[2].mask`), at most 20 of them: bad or duplicate
/// names, a mask that does not fit the type, a keep that is no duration, an index on a field with
/// fewer than 10^4 possible values (countries, texts of two bytes) or on json, a substring index on
/// a field longer than kMaxSubstringBytes, a length where the type has its own, tokens of a shape
/// that does not fit the type, a calling code that is none. Card types unless `cards` (they are
/// switched on: cards.h), and with them another class than payment, another mask than hidden or
/// last4, another index than unique on the number.
Result<Collection> declare(const CollectionSpec& spec, std::uint32_t id, Time now,
                           bool cards = false);

/// The next version of a collection. Fields keep their ids; new ones get fresh ids. A declaration
/// that says what is in force already gives `old` as it is, version included.
/// Errors: what declare refuses; conflict for a change that would lose or orphan data while records
/// exist (`has_data`), with the reason and the field: a field taken out (`fields.phone`), its type
/// or keep group changed, its class downgraded, a shorter keep or max_bytes. Adding fields,
/// loosening max_bytes, other indexes (index_plan.h), masks, purposes, docs and longer keeps work
/// online. Another shape or scope of tokens holds for new ones; those that exist stay as they are.
Result<Collection> evolve(const Collection& old, const CollectionSpec& spec, bool has_data,
                          Time now, bool cards = false);

/// How a pending token begins.
inline constexpr std::string_view kPendingPrefix = "pnd_";

/// What a field's index and tokens tell, and to whom; empty when nothing.
std::string leaks_of(const Field& field);

/// Checks a value against its field and gives it in the form in which it is stored: valid UTF-8 in
/// NFC, no control characters (text and json may have line breaks), trimmed at both ends, not
/// empty, within max_bytes; emails, phones (kept as written, must normalise), dates (ISO 8601),
/// countries (ISO 3166-1 alpha-2, upper case), IPs (RFC 5952), IBANs (mod 97, without spaces), card
/// numbers (Luhn, known issuer, without spaces), their expiry (YYYY-MM), by their type; json in
/// canonical form. A card verification code is refused: it goes into no record; and so is a pending
/// token (tokens/pending.h), which is exchanged for a value and is none.
/// Cost: under 1 µs for ASCII of usual length. Errors: invalid or too_large; the caller adds the
/// field's name.
Result<Secret> checked_value(const Field& field, std::string_view value);
/// Checks a card verification code: three or four digits. Errors: invalid.
Result<Secret> checked_code(const Field& field, std::string_view value);

/// The term under which equal values meet in a blind index: emails lower-case NFKC, phones E.164
/// (a leading + or 00, else the digits of `calling_code` such as "49" before the number; without
/// one the national digits as they are), names and addresses case- and accent-folded with single
/// spaces, others upper-case without spaces (tax ids also without punctuation). Empty when nothing
/// is left to index, and for json. Takes any bytes: what is typed into a search, too.
Secret index_term(const Field& field, std::string_view value, std::string_view calling_code = {});

/// What a caller with view `masked` sees. Never more than a quarter of the value's characters, plus
/// the shape that the mask names (email domain, year, country of an IBAN and its last four, network
/// of an IP, issuer number and last four of a card). Of a short value nothing. The number of
/// bullets says nothing of the length. UTF-8.
///
///   type_default, by type: name `A•••`, email `a•••@example.org`, phone `•••23` (two to four
///   digits), date `1990`, iban `DE•••3000`, ip `203.0.•.•` or `2001:db8:•`, country as it is, card
///   number `424242•••4242`, all else `•••`.
std::string masked(const Field& field, std::string_view value);

/// What somebody typed of a value, in the form in which it is looked for inside index_term: for
/// prefix and substring searches. A national phone number gets the calling code where it starts
/// with its trunk 0. Empty when nothing is left. Takes any bytes.
Secret index_fragment(const Field& field, std::string_view text, std::string_view calling_code,
                      bool from_start);

/// True when a caller with view `masked` sees the whole value, so that searching tells no more.
bool shown_whole(const Field& field);

/// 1 to 3 digits without a leading 0, or empty.
bool is_calling_code(std::string_view text);

/// [a-z][a-z0-9_]{0,62}
bool is_name(std::string_view text);

}  // namespace holdfast::vault
