#include "vault/fill/mail_text.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/secret.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kHex = "0123456789ABCDEF";
constexpr std::size_t kLine = 76;
constexpr std::size_t kWordBytes = 45;       // 60 characters of base64 and 12 around them
constexpr std::size_t kLongestHeader = 900;  // RFC 5322: at most 998 with the name

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// `=?utf-8?Q?...?=` at the front of `text`: appends what it says and gives its length.
std::optional<std::size_t> decode_word(std::string_view text, std::string& out) {
  auto charset_end = text.find('?', 2);
  if (charset_end == text.npos || charset_end + 2 >= text.size() || text[charset_end + 2] != '?')
    return std::nullopt;
  std::string charset(text.substr(2, charset_end - 2));
  charset.resize(std::min(charset.find('*'), charset.size()));  // a language behind it
  std::ranges::transform(charset, charset.begin(), lower);
  if (charset != "utf-8" && charset != "us-ascii") return std::nullopt;
  auto from = charset_end + 3;
  auto end = text.find("?=", from);
  if (end == text.npos) return std::nullopt;
  auto body = text.substr(from, end - from);
  const char coding = lower(text[charset_end + 1]);
  if (coding == 'b') {
    BodyDecoder decoder;
    decoder.decode(BodyCoding::base64, body, out);
  } else if (coding == 'q') {
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] == '_') {
        out += ' ';
      } else if (body[i] == '=' && i + 2 < body.size() && hex_digit(body[i + 1]) >= 0 &&
                 hex_digit(body[i + 2]) >= 0) {
        out += static_cast<char>(hex_digit(body[i + 1]) << 4 | hex_digit(body[i + 2]));
        i += 2;
      } else {
        out += body[i];
      }
    }
  } else {
    return std::nullopt;
  }
  return end + 2;
}

}  // namespace

std::optional<std::string> decoded_header(std::string_view text) {
  std::string out;
  bool after_word = false;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with("=?")) {
      auto size = decode_word(text.substr(at), out);
      if (!size) return std::nullopt;
      at += *size;
      after_word = true;
    } else if (blank(text[at])) {
      auto next = at;
      while (next < text.size() && blank(text[next])) ++next;
      const bool fold = text.substr(at, next - at).find_first_of("\r\n") != text.npos;
      if (!after_word || !text.substr(next).starts_with("=?")) {
        if (fold)
          out += ' ';
        else
          out += text.substr(at, next - at);
      }
      at = next;
      after_word = false;
    } else {
      out += text[at++];
      after_word = false;
    }
  }
  return out;
}

std::string encoded_words(std::string_view text, std::string_view line_end) {
  std::string out;
  while (!text.empty()) {
    auto size = std::min(text.size(), kWordBytes);
    while (size < text.size() && size > 1 &&
           (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
      --size;
    if (!out.empty()) (out += line_end) += ' ';
    std::string word;
    BodyEncoder encoder;
    encoder.write(BodyCoding::base64, text.substr(0, size), line_end, word);
    encoder.finish(line_end, word);
    ((out += "=?UTF-8?B?") += word) += "?=";
    text.remove_prefix(size);
  }
  return out;
}

bool plain_header(std::string_view text) {
  return text.size() <= kLongestHeader && text.find("=?") == text.npos &&
         std::ranges::all_of(text, [](char c) { return (c >= 0x20 && c < 0x7f) || c == '\t'; });
}

std::string one_line(std::string_view text) {
  std::string out;
  for (char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (!control)
      out += c;
    else if (!out.ends_with(' '))
      out += ' ';
  }
  return out;
}

bool address_like(std::string_view text) {
  auto at = text.find('@');
  if (at == 0 || at == text.npos || at + 1 == text.size() || text.size() > 254) return false;
  auto good = [](std::string_view part, std::string_view also) {
    return std::ranges::all_of(part, [&](char c) {
      return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
             also.find(c) != also.npos;
    });
  };
  return good(text.substr(0, at), "!#$%&'*+-/=?^_`{|}~.") && good(text.substr(at + 1), "-.");
}

void BodyDecoder::decode(BodyCoding coding, std::string_view text, std::string& out) {
  reserve_wiping(out, text.size());
  if (coding == BodyCoding::none) {
    out += text;
    return;
  }
  if (coding == BodyCoding::base64) {
    for (char c : text) {
      auto digit = c == '=' ? std::string_view::npos : kDigits.find(c);
      if (c == '=') count_ = 0;
      if (digit == std::string_view::npos) continue;
      bits_ = bits_ << 6 | static_cast<std::uint32_t>(digit);
      // Of every four digits the second, third and fourth complete a byte.
      if (count_ > 0) out += static_cast<char>(bits_ >> (6 - 2 * count_) & 0xff);
      count_ = (count_ + 1) % 4;
    }
    return;
  }
  for (char c : text) {
    if (pending_.empty() && c != '=') {
      out += c;
      continue;
    }
    pending_ += c;
    if (pending_.size() == 2 && hex_digit(c) < 0) {  // no escape: as it stands
      out += pending_;
      pending_.clear();
    } else if (pending_.size() == 3) {
      if (hex_digit(c) >= 0)
        out += static_cast<char>(hex_digit(pending_[1]) << 4 | hex_digit(c));
      else
        out += pending_;
      pending_.clear();
    }
  }
}

void BodyEncoder::write(BodyCoding coding, std::string_view text, std::string_view line_end,
                        std::string& out) {
  coding_ = coding;
  reserve_wiping(out, text.size() * 3 + 64);
  if (coding == BodyCoding::base64) {
    for (char c : text) {
      held_ += c;
      if (held_.size() == 3) quantum(line_end, out);
    }
    return;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || c == '\r') {
      if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
      finish(line_end, out);  // a blank before it
      out += line_end;
      column_ = 0;
    } else {
      const char before = held_.empty() ? 0 : held_[0];
      held_.clear();
      if (before != 0) printable(before, line_end, out);
      if (c == ' ' || c == '\t')
        held_ = c;
      else
        printable(c, line_end, out);
    }
  }
}

void BodyEncoder::printable(char c, std::string_view line_end, std::string& out) {
  const auto byte = static_cast<unsigned char>(c);
  // A dash, a dot and `From ` at the beginning of a line mean something to others.
  const bool plain = (c == ' ' || c == '\t' || (byte > 0x20 && byte < 0x7f && c != '=')) &&
                     !(column_ == 0 && (c == '-' || c == '.' || c == 'F'));
  const std::size_t size = plain ? 1 : 3;
  if (column_ + size >= kLine) {
    (out += '=') += line_end;
    column_ = 0;
    return printable(c, line_end, out);
  }
  if (plain)
    out += c;
  else
    ((out += '=') += kHex[byte >> 4]) += kHex[byte & 15];
  column_ += size;
}

void BodyEncoder::quantum(std::string_view line_end, std::string& out) {
  if (column_ == kLine) {
    out += line_end;
    column_ = 0;
  }
  const auto size = held_.size();
  held_.resize(3);
  const auto bits = static_cast<std::uint32_t>(static_cast<unsigned char>(held_[0])) << 16 |
                    static_cast<std::uint32_t>(static_cast<unsigned char>(held_[1])) << 8 |
                    static_cast<unsigned char>(held_[2]);
  for (std::size_t i = 0; i < 4; ++i) out += i <= size ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  column_ += 4;
  held_.clear();
}

void BodyEncoder::finish(std::string_view line_end, std::string& out) {
  if (!held_.empty() && coding_ == BodyCoding::base64) {
    quantum(line_end, out);
  } else if (!held_.empty()) {
    const char blank_at_end = held_[0];
    held_.clear();
    if (column_ + 3 >= kLine) (out += '=') += line_end;
    ((out += '=') += kHex[static_cast<unsigned char>(blank_at_end) >> 4]) +=
        kHex[static_cast<unsigned char>(blank_at_end) & 15];
  }
}

}  // namespace holdfast::vault
