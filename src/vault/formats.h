// What emails, phones, dates, countries, IPs, IBANs and cards look like, and the one form of each
// in which equal values are equal. Pure; the input is UTF-8 without control characters. Results are
// ordinary memory: callers wipe them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::vault {

/// As browsers check it (WHATWG HTML, "valid e-mail address"), with a domain of at least two
/// labels, and international letters (RFC 6531). At most 254 bytes, 64 before the `@`.
bool is_email(std::string_view text);

/// E.164: `+` and 7 to 15 digits for what starts with `+` or `00` (a `(0)` in it is left out);
/// for a national number the digits of `calling_code` and the number without its trunk 0, or
/// without a calling code its 5 to 15 digits. Spaces, brackets, dashes, dots and slashes are left
/// out, and so is an extension (`ext. 12`, `x12`). Empty when it is no phone number.
std::string e164(std::string_view text, std::string_view calling_code = {});

/// YYYY-MM-DD in the Gregorian calendar (ISO 8601), years 0001 to 9999.
bool is_date(std::string_view text);

/// ISO 3166-1 alpha-2 in upper case, and XK, which shops use for Kosovo.
bool is_country(std::string_view text);

/// Dotted quad, or the shortest lower-case form of an IPv6 address (RFC 5952).
std::optional<std::string> canonical_ip(std::string_view text);

/// ISO 13616 without spaces in upper case, its check digits verified (mod 97).
std::optional<std::string> canonical_iban(std::string_view text);

/// A VAT or tax number of any country: at least four letters and digits with a digit among them,
/// otherwise spaces, `.`, `-`, `/`, `&`.
bool is_tax_id(std::string_view text);

/// Letters, digits, spaces, `-`, `.` and `/`, with a letter or digit among them.
bool is_postal_code(std::string_view text);

/// The check digit of ISO/IEC 7812-1, annex B, over ASCII digits.
bool passes_luhn(std::string_view digits);

/// The network whose issuer numbers (ISO/IEC 7812-1) the first digits are and whose length the
/// number has, such as `visa`; empty when there is none.
std::string_view card_network(std::string_view digits);

/// A card number as 12 to 19 digits, written with or without spaces and dashes, of a known network
/// and with the right check digit.
std::optional<std::string> canonical_card_number(std::string_view text);

/// YYYY-MM from `MM/YY`, `MM/YYYY`, `MM-YY`, `MMYY` or YYYY-MM; years 2000 to 2099.
std::optional<std::string> canonical_card_expiry(std::string_view text);

/// Three or four digits.
bool is_card_verification(std::string_view text);

}  // namespace holdfast::vault
