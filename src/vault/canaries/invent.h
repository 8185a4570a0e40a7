// Invents people: names, addresses and telephone numbers that fit together and a country, out of
// the program's own small lists. Pure: the same seed gives the same person. Telephone numbers are
// of the ranges that the regulators keep for fiction (Bundesnetzagentur, Ofcom, ARCEP, PTS, NANPA),
// so that nobody is called; streets and houses are made up within real towns.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::vault {

enum class Locale : std::uint8_t { de, fr, gb, se, us };
std::span<const std::string_view> enum_names(Locale);

struct Invented {
  std::string first_name, last_name;
  std::string street;  // with the house's number, as it is written there
  std::string postal_code, city, region, country;  // ISO 3166-1 alpha-2
  std::string phone;                               // E.164
  std::string birthday;                            // ISO 8601; 20 to 75 years before 2026
  std::string mailbox;  // what stands before the @: ASCII letters, digits and dots
};

Invented invent(Locale locale, std::uint64_t seed);

}  // namespace holdfast::vault
