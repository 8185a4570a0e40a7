// What every format of fill promises, for the targets fill_*_fuzz.cpp: the same from pieces of any
// size; nothing but tokens is changed where nothing is filled; a value stays inside of its place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vault/fill/pieces.h"

namespace holdfast::vault::fuzz {

inline void require(bool good) {
  if (!good) std::abort();
}

struct Filled {
  std::string text, failed;
  std::size_t tokens = 0;
  bool operator==(const Filled&) const = default;
};

/// `value`: what every token stands for; absent: all of them stay.
inline Filled fill(FillFormat format, std::string_view text, std::size_t piece,
                   std::optional<std::string_view> value) {
  auto made = make_format(format, [](std::string_view whole) { return whole == "4711"; });
  Filled out;
  Pieces pieces;
  auto write = [&] {
    std::string_view rest = pieces.bytes;
    for (const auto& one : pieces.list) {
      require(one.size <= rest.size());
      auto bytes = rest.substr(0, one.size);
      rest.remove_prefix(one.size);
      const bool token = one.part == Part::token || one.part == Part::maybe;
      require(one.part == Part::text || !bytes.empty());
      out.tokens += token;
      made->write(one, bytes, token ? value : std::nullopt, out.text);
    }
    require(rest.empty());
    pieces.clear();
  };
  while (!text.empty()) {
    auto read = made->read(text.substr(0, piece), pieces);
    text.remove_prefix(std::min(piece, text.size()));
    if (!read) return {{}, std::string(read.error().text) + read.error().field.text(), 0};
    write();
  }
  if (auto read = made->finish(pieces); !read)
    return {{}, std::string(read.error().text) + read.error().field.text(), 0};
  write();
  return out;
}

/// `T` in the text becomes a token, so that few bytes reach far.
inline std::string with_tokens(const std::uint8_t* data, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < size; ++i)
    if (data[i] == 'T')
      out += "tok_01j0000000e0000000000000aa";
    else
      out += static_cast<char>(data[i]);
  return out;
}

/// A value that would break out of every place.
inline constexpr std::string_view kHostile = "=a\"'\\,;\r\n--b--\r\nBcc: x@y\r\n<&>]]>\xc3\xbc)";

/// The text as it is, and filled; what is special to a format is looked at by its target.
inline std::string check(FillFormat format, const std::uint8_t* data, std::size_t size,
                         bool unchanged) {
  if (size < 1) return {};
  const auto text = with_tokens(data + 1, size - 1);
  const std::size_t piece = 1 + data[0];
  auto same = fill(format, text, text.size() + 1, std::nullopt);
  require(same == fill(format, text, piece, std::nullopt));
  if (unchanged && same.failed.empty()) require(same.text == text);
  auto filled = fill(format, text, text.size() + 1, kHostile);
  require(filled == fill(format, text, piece, kHostile));
  require(filled.failed == same.failed && filled.tokens == same.tokens);
  return filled.text;
}

}  // namespace holdfast::vault::fuzz
