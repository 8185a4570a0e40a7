#include "vault/import/json_lines.h"

#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <string>

#include "base/json.h"
#include "vault/case_lines.h"

namespace holdfast::vault {
namespace {

std::string read_all(std::string_view file, std::size_t size) {
  JsonLinesReader reader;
  std::string out;
  while (true) {
    auto event = reader.next();
    if (event == ReadEvent::end) return out;
    if (event == ReadEvent::more) {
      if (file.empty()) reader.finish();
      reader.feed(file.substr(0, size));
      file.remove_prefix(std::min(size, file.size()));
      continue;
    }
    if (!out.empty()) out += ' ';
    if (event == ReadEvent::row) {
      out += std::to_string(reader.place().line) + canonical_json(reader.object());
    } else {
      if (event == ReadEvent::failed) out += "fail ";
      const auto& refusal = reader.refusal();
      out += std::to_string(refusal.place.line) + ": " + std::string(refusal.reason);
      if (!refusal.field.empty()) out += " (" + refusal.field.text() + ')';
    }
    if (event == ReadEvent::failed) return out;
  }
}

TEST(JsonLines, are_read_the_same_from_chunks_of_any_size) {
  for (const auto& line : test::case_lines("import/json_lines.txt")) {
    ASSERT_EQ(line.parts.size(), 2u) << line.where;
    for (std::size_t size = 1; size <= line.parts[0].size() + 1; ++size)
      ASSERT_EQ(read_all(line.parts[0], size), line.parts[1])
          << line.where << ", in chunks of " << size;
  }
}

TEST(JsonLines, take_a_line_of_a_mebibyte_and_refuse_one_byte_more) {
  auto line = [](std::size_t size) { return "{\"a\":\"" + std::string(size - 8, 'x') + "\"}"; };

  EXPECT_TRUE(read_all("{}\n" + line(kMaxJsonLine) + "\n{}\n", 1 << 16).starts_with("1{} 2{\"a\""));
  EXPECT_EQ(read_all("{}\n" + line(kMaxJsonLine + 1) + "\n{}\n", 1 << 16),
            "1{} 2: a line longer than 1 MiB 3{}");
}

TEST(JsonLines, refuse_a_line_of_a_quarter_gibibyte_in_flat_memory) {
  JsonLinesReader reader;
  reader.feed("{}\n{\"a\":\"");
  std::string chunk(1 << 16, 'x');
  std::size_t refused = 0;

  for (std::size_t fed = 0; fed < (1u << 28); fed += chunk.size()) {
    for (auto event = reader.next(); event != ReadEvent::more; event = reader.next())
      refused += event == ReadEvent::refused;
    reader.feed(chunk);
  }

  EXPECT_EQ(refused, 1u);
  EXPECT_LE(reader.held(), 4u << 20);
}

TEST(JsonLines, refuse_ten_thousand_levels) {
  auto deep = "{\"a\":" + std::string(10'000, '[') + std::string(10'000, ']') + "}";

  auto read = read_all("{}\n" + deep + "\n{}\n", 1 << 16);

  EXPECT_TRUE(read.starts_with("1{} 2: nested deeper than allowed")) << read;
  EXPECT_TRUE(read.ends_with(" 3{}")) << read;
}

}  // namespace
}  // namespace holdfast::vault
