#include "vault/fill/pieces.h"

#include <algorithm>
#include <array>

#include "base/secret.h"

namespace holdfast::vault {
Pieces::~Pieces() {
  wipe(bytes);
}

void Pieces::add(std::string_view text, std::uint8_t place, Part part, std::uint64_t line,
                 bool last) {
  if (text.empty() && part == Part::text && last && place == 0) return;
  reserve_wiping(bytes, text.size());
  bytes += text;
  const bool same = !list.empty() && part == Part::text && list.back().part == Part::text &&
                    list.back().place == place && place == 0;
  if (same)
    list.back().size += static_cast<std::uint32_t>(text.size());
  else
    list.push_back({static_cast<std::uint32_t>(text.size()), place, part, last, line});
  tokens += part != Part::text;
}

void Pieces::clear() {
  wipe(bytes);
  list.clear();
  tokens = 0;
}

void Pieces::split_front(std::string_view text, std::size_t size, std::uint8_t place,
                         std::uint64_t line, Part found) {
  text = text.substr(0, size + 1);
  std::size_t from = 0;
  for (auto one = find_token(text); one && one->at + one->size <= size;
       one = find_token(text, from)) {
    if (one->at > from) add(text.substr(from, one->at - from), place, Part::text, 0, false);
    add(text.substr(one->at, one->size), place, found, line, false);
    from = one->at + one->size;
  }
  if (from < size) add(text.substr(from, size - from), place, Part::text, 0, false);
}

std::span<const std::string_view> enum_names(FillFormat) {
  static constexpr std::string_view kNames[] = {"csv", "json", "xml", "mail"};
  return kNames;
}

std::optional<FillFormat> format_of(std::string_view media_type) {
  std::string type(media_type.substr(0, media_type.find(';')));
  std::erase(type, ' ');
  for (auto& c : type)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  if (type == "text/csv") return FillFormat::csv;
  if (type == "application/json" || type == "application/x-ndjson" || type.ends_with("+json"))
    return FillFormat::json;
  if (type == "application/xml" || type == "text/xml" || type.ends_with("+xml"))
    return FillFormat::xml;
  if (type == "message/rfc822") return FillFormat::mail;
  return std::nullopt;
}

std::string_view media_type(FillFormat format) {
  static constexpr std::string_view kTypes[] = {"text/csv; charset=utf-8", "application/json",
                                                "application/xml", "message/rfc822"};
  return kTypes[static_cast<std::size_t>(format)];
}

std::unique_ptr<Format> make_format(FillFormat format, WholeToken whole) {
  switch (format) {
    case FillFormat::csv:
      return csv_format(std::move(whole));
    case FillFormat::json:
      return json_format(std::move(whole));
    case FillFormat::xml:
      return xml_format(std::move(whole));
    case FillFormat::mail:
      return mail_format(std::move(whole));
  }
  return nullptr;
}

Error at_line(Error error, std::uint64_t line) {
  return std::move(error).at(FieldPath("line")[line]);
}

Result<void> check_start(std::string_view bytes) {
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff"))
    return Error(Code::invalid, "the text is UTF-16: write it as UTF-8");
  if (bytes.starts_with("PK\x03\x04"))
    return Error(Code::invalid, "this is a spreadsheet or a ZIP file: write it as CSV");
  return {};
}

std::uint64_t line_breaks(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace holdfast::vault
