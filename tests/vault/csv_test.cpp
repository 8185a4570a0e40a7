#include "vault/import/csv.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "vault/case_lines.h"

namespace holdfast::vault {
namespace {

std::string at(Place place) {
  return std::to_string(place.line) + ':' + std::to_string(place.column);
}

/// What is read of a file that comes in pieces of `size` bytes.
std::string read_all(std::string_view file, std::size_t size) {
  CsvReader reader;
  std::string out;
  while (true) {
    auto event = reader.next();
    if (event == ReadEvent::end) return out;
    if (event == ReadEvent::more) {
      if (file.empty()) {
        reader.finish();
      } else {
        reader.feed(file.substr(0, size));
        file.remove_prefix(std::min(size, file.size()));
      }
      continue;
    }
    if (!out.empty()) out += ' ';
    if (event == ReadEvent::row) {
      out += std::to_string(reader.place().line);
      for (auto field : reader.fields()) (out += '[').append(field) += ']';
    } else {
      if (event == ReadEvent::failed) out += "fail ";
      (out += at(reader.refusal().place) + ' ').append(reader.refusal().reason);
    }
    if (event == ReadEvent::failed) return out;
  }
}

TEST(Csv, is_read_the_same_from_chunks_of_any_size) {
  for (const auto& line : test::case_lines("import/csv.txt")) {
    ASSERT_EQ(line.parts.size(), 2u) << line.where;
    for (std::size_t size = 1; size <= line.parts[0].size() + 1; ++size)
      ASSERT_EQ(read_all(line.parts[0], size), line.parts[1])
          << line.where << ", in chunks of " << size;
  }
}

TEST(Csv, names_the_columns_without_the_spaces_around_them) {
  CsvReader reader;
  reader.feed(" Email , \"First Name\",\"Last \"\"Name\"\"\"\n");

  EXPECT_EQ(reader.next(), ReadEvent::more);

  EXPECT_EQ(reader.header(),
            (std::vector<std::string>{"Email", "\"First Name\"", "Last \"Name\""}));
}

TEST(Csv, says_where_each_field_stands) {
  CsvReader reader;
  reader.feed("a,b,c\n\"one\ntwo\",\"x\",y\n");

  ASSERT_EQ(reader.next(), ReadEvent::row);

  EXPECT_EQ(reader.place(0), (Place{2, 1}));
  EXPECT_EQ(reader.place(1), (Place{3, 6}));
  EXPECT_EQ(reader.place(2), (Place{3, 10}));
}

TEST(Csv, takes_a_field_of_64_KiB_and_refuses_one_byte_more) {
  std::string fits(kMaxCsvField, 'x');

  EXPECT_EQ(read_all("a,b\n1," + fits + "\n3,4\n", 1 << 16), "2[1][" + fits + "] 3[3][4]");
  EXPECT_EQ(read_all("a,b\n1," + fits + "x\n3,4\n", 1 << 16),
            "2:3 a field longer than 64 KiB 3[3][4]");
}

TEST(Csv, refuses_a_long_note_whole_and_reads_no_rows_out_of_it) {
  std::string note = "\"";
  while (note.size() <= kMaxCsvField) note += "9,Mallory\n";
  note += '"';

  auto read = read_all("a,b\n1," + note + "\n3,4\n", 1 << 16);

  EXPECT_TRUE(read.starts_with("2:4 a field longer than 64 KiB ")) << read;
  EXPECT_EQ(read.find("Mallory"), std::string::npos);
  EXPECT_TRUE(read.ends_with("[3][4]"));
}

TEST(Csv, resumes_after_one_line_when_a_quote_stays_open_for_more_than_a_mebibyte) {
  std::string file = "a,b\n1,\"open\n";
  std::size_t rows = 0;
  for (; file.size() < 3 * kMaxCsvRow; ++rows) file += "3,a good row among many\n";

  auto read = read_all(file, 1 << 16);

  EXPECT_TRUE(read.starts_with("2:3 a quote that is not closed within 1 MiB 3[3][a good row"))
      << read.substr(0, 200);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(read, '[')), 2 * rows);
}

TEST(Csv, refuses_a_gibibyte_line_as_one_row_in_flat_memory) {
  CsvReader reader;
  reader.feed("a,b\n1,2\n");
  ASSERT_EQ(reader.next(), ReadEvent::row);
  std::string chunk(1 << 16, 'x');
  chunk[100] = chunk[3000] = '"';
  std::size_t refused = 0;

  for (std::size_t fed = 0; fed < (1u << 30); fed += chunk.size()) {
    for (auto event = reader.next(); event != ReadEvent::more; event = reader.next()) ++refused;
    reader.feed(chunk);
  }
  reader.feed("\n3,4\n");
  ASSERT_EQ(reader.next(), ReadEvent::row);

  EXPECT_EQ(refused, 1u);
  EXPECT_EQ(reader.refusal().reason, "a row longer than 1 MiB");
  EXPECT_EQ(reader.refusal().place, (Place{3, 1}));
  EXPECT_EQ(reader.place().line, 4u);
  EXPECT_EQ(reader.fields()[0], "3");
  EXPECT_LE(reader.held(), 4u << 20);
}

TEST(Csv, refuses_a_long_row_that_begins_with_an_open_quote_and_goes_on_after_its_line) {
  auto file = "a,b\n\"" + std::string(2 << 20, 'x') + "\n3,4\n";

  EXPECT_EQ(read_all(file, 1 << 16), "2:1 a row longer than 1 MiB 3[3][4]");
}

TEST(Csv, fails_when_the_header_is_over_a_limit) {
  EXPECT_EQ(read_all(std::string(2 << 20, 'x') + "\n1\n", 1 << 16),
            "fail 1:1 the header line is longer than 1 MiB");
  EXPECT_EQ(read_all(std::string(1023, ',') + "\n", 1 << 16), "");
  EXPECT_EQ(read_all(std::string(1024, ',') + "\n", 1 << 16), "fail 1:1 more than 1,024 columns");
}

TEST(Csv, refuses_rows_with_far_too_many_columns) {
  EXPECT_EQ(read_all("a,b\n" + std::string(100'000, ',') + "\n3,4\n", 1 << 16),
            "2:1 more than 1,024 columns 3[3][4]");
}

TEST(Csv, that_is_hostile_is_read_in_time_that_grows_with_its_size) {
  std::string file = "a,b\n";
  while (file.size() < 4u << 20) file += "x,\"a\"\"\n\"\n";

  auto begin = std::chrono::steady_clock::now();
  read_all(file, 1 << 16);

  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace holdfast::vault
