// The rules of the vault: pure, no I/O, no clock, no coroutine.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "vault/types.h"

namespace holdfast::vault {

/// Checks a declaration and fills in defaults: ids from 1 in order, class and mask by type.
/// Errors: invalid, one per violation (`fields[2].mask`): bad or duplicate names, a mask that does
/// not fit the type, prefix/substring (not offered yet), a keep that is no duration, an exact index
/// on a type with under 10^4 values (country, date of year...), card types (off until switched on).
Result<Collection> declare(const CollectionSpec& spec, std::uint32_t id, Time now);

/// The next version of a collection. Fields keep their ids; new ones get fresh ids.
/// Errors: conflict for a change that would lose or orphan data, with the reason and the field:
/// a field taken out (has_data says whether records exist), its type, class downgraded, keep group
/// or index kind changed while records exist. Adding fields, loosening max_bytes, other masks,
/// purposes, docs and longer keeps work online.
Result<Collection> evolve(const Collection& old, const CollectionSpec& spec, bool has_data,
                          Time now);

/// Checks a value against its field and gives it in the form in which it is stored: valid UTF-8 in
/// NFC, no control characters (text and json may have line breaks), trimmed at both ends, within
/// max_bytes; emails, phones (kept as written, must normalise), dates (ISO 8601), countries
/// (ISO 3166-1 alpha-2, upper case), IPs, IBANs (mod 97), by their type.
/// Errors: invalid or too_large; the caller adds the field's name.
Result<Secret> checked_value(const Field& field, std::string_view value);

/// The term under which equal values meet in a blind index: emails lower-case NFKC, phones E.164
/// (a leading + or 00, else `default_country` digits), names and addresses case- and accent-folded
/// with single spaces, others upper-case without spaces. Empty when nothing is left to index.
Secret index_term(const Field& field, std::string_view value);

/// What a caller with view `masked` sees. Never more than a quarter of the value's characters, plus
/// the shape that the mask names (email domain, last four digits). UTF-8 safe.
std::string masked(const Field& field, std::string_view value);

/// [a-z][a-z0-9_]{0,62}
bool is_name(std::string_view text);

}  // namespace holdfast::vault
