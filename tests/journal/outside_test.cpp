#include "journal/outside.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "journal/noted.h"
#include "support/temp_dir.h"

namespace holdfast::journal {
namespace {

const Bytes kKey(32, 5);

std::string text_of(const std::filesystem::path& file) {
  return *read_small_file(file, 1 << 20);
}
void put(const std::filesystem::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

struct AfterlogBench {
  test::TempDir dir;
  std::filesystem::path file = dir / "afterlog";
  std::string text;
  std::vector<std::size_t> ends;  // of the whole lines

  AfterlogBench() {
    EXPECT_TRUE(Afterlog::make(file, kKey));
    ends.push_back(text_of(file).size());
    auto log = Afterlog::open(file, kKey);
    for (std::uint8_t i = 0; i < 3; ++i) {
      EXPECT_TRUE((*log)->append("subject.erased", Bytes{i, 1}, from_ms(1000 + i)));
      ends.push_back(text_of(file).size());
    }
    text = text_of(file);
  }
};

TEST(Afterlog, gives_back_what_was_appended) {
  AfterlogBench bench;

  auto log = Afterlog::open(bench.file, kKey);

  ASSERT_TRUE(log);
  auto entries = (*log)->entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[2].kind, "subject.erased");
  EXPECT_EQ(entries[2].id, (Bytes{2, 1}));
  EXPECT_EQ(to_ms(entries[2].at), 1002);
  struct stat info{};
  ASSERT_EQ(stat(bench.file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(Afterlog, cut_off_anywhere_keeps_the_whole_lines_and_goes_on) {
  AfterlogBench bench;
  for (std::size_t size = bench.ends[0]; size <= bench.text.size(); ++size) {
    put(bench.file, std::string_view(bench.text).substr(0, size));

    auto log = Afterlog::open(bench.file, kKey);

    ASSERT_TRUE(log) << size;
    auto whole =
        static_cast<std::size_t>(std::ranges::upper_bound(bench.ends, size) - bench.ends.begin()) -
        1;
    ASSERT_EQ((*log)->entries().size(), whole);
    ASSERT_TRUE((*log)->append("api_key.revoked", Bytes{9}, from_ms(5)));
    log->reset();
    auto again = Afterlog::open(bench.file, kKey);
    ASSERT_TRUE(again);
    EXPECT_EQ((*again)->entries().size(), whole + 1);
  }
}

TEST(Afterlog, with_its_head_cut_off_is_refused) {
  AfterlogBench bench;
  for (std::size_t size = 0; size < bench.ends[0]; ++size) {
    put(bench.file, std::string_view(bench.text).substr(0, size));

    auto log = Afterlog::open(bench.file, kKey);

    ASSERT_FALSE(log) << size;
    EXPECT_EQ(log.error().code, Code::corrupt);
  }
}

TEST(Afterlog, with_any_byte_flipped_is_refused) {
  AfterlogBench bench;
  // A flip of the very last line break makes that line an unfinished one, which is cut off.
  for (std::size_t i = 0; i + 1 < bench.text.size(); ++i) {
    auto bad = bench.text;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    put(bench.file, bad);

    auto log = Afterlog::open(bench.file, kKey);

    ASSERT_FALSE(log) << i;
    EXPECT_EQ(log.error().code, Code::corrupt);
  }
}

TEST(Afterlog, without_a_line_in_the_middle_is_refused) {
  AfterlogBench bench;
  put(bench.file, bench.text.substr(0, bench.ends[1]) + bench.text.substr(bench.ends[2]));

  EXPECT_FALSE(Afterlog::open(bench.file, kKey));
}

TEST(Afterlog, of_another_store_is_refused) {
  AfterlogBench bench;

  EXPECT_FALSE(Afterlog::open(bench.file, Bytes(32, 6)));
}

TEST(Afterlog, under_another_key_says_the_same_and_goes_on) {
  AfterlogBench bench;
  const Bytes next(32, 6);
  {
    auto log = Afterlog::open(bench.file, kKey).value();
    ASSERT_TRUE((*log).rekey(next).value());
    EXPECT_FALSE((*log).rekey(next).value()) << "it is already";
    EXPECT_TRUE(log->append("subject.erased", Bytes{9}, from_ms(2000)));
  }

  EXPECT_EQ(Afterlog::open(bench.file, kKey).error().code, Code::corrupt);
  auto log = Afterlog::open(bench.file, next);
  ASSERT_TRUE(log);
  ASSERT_EQ((*log)->entries().size(), 4u);
  EXPECT_EQ((*log)->entries()[2].id, (Bytes{2, 1}));
  EXPECT_EQ((*log)->entries()[3].id, (Bytes{9}));
}

TEST(Afterlog, that_cannot_be_written_anew_stays_and_goes_on) {
  AfterlogBench bench;
  auto log = Afterlog::open(bench.file, kKey).value();
  std::filesystem::create_directory(bench.dir / "afterlog.new");  // in the way

  EXPECT_FALSE(log->rekey(Bytes(32, 6)));

  EXPECT_TRUE(log->append("subject.erased", Bytes{9}, from_ms(2000)));
  log.reset();
  EXPECT_EQ(Afterlog::open(bench.file, kKey).value()->entries().size(), 4u);
}

TEST(Afterlog, goes_on_from_each_of_its_ends_and_from_no_other) {
  AfterlogBench bench;
  std::vector<AfterlogEnd> ends;
  for (auto size : bench.ends) {
    put(bench.file, std::string_view(bench.text).substr(0, size));
    ends.push_back(Afterlog::open(bench.file, kKey).value()->end());
  }
  auto log = Afterlog::open(bench.file, kKey).value();

  for (std::size_t i = 0; i < ends.size(); ++i) {
    EXPECT_EQ(ends[i].lines, i);
    EXPECT_TRUE(log->continues(ends[i]));
  }
  EXPECT_EQ(log->end(), ends.back());
  EXPECT_FALSE(log->continues({ends[1].lines, ends[2].digest}));
  EXPECT_FALSE(log->continues({ends.back().lines + 1, ends.back().digest}));
  EXPECT_TRUE(log->append("subject.erased", Bytes{7}, from_ms(9)));
  EXPECT_TRUE(log->continues(ends.back()));
  EXPECT_TRUE(log->rekey(Bytes(32, 6)).value());
  EXPECT_TRUE(log->continues(ends.back()));
  auto end = log->end();
  EXPECT_EQ(Afterlog::open(bench.file, Bytes(32, 6)).value()->end(), end);
}

TEST(Afterlog, longer_than_what_is_read_at_once_comes_back_whole) {
  test::TempDir dir;
  auto file = dir / "afterlog";
  std::vector<AfterlogEntry> many;
  for (std::uint8_t i = 0; i < 200; ++i)
    many.push_back({"subject.erased", Bytes(static_cast<std::size_t>(i) * 23, i), from_ms(i)});
  ASSERT_TRUE(Afterlog::make(file, kKey, many));

  auto log = Afterlog::open(file, kKey).value();

  ASSERT_GT(std::filesystem::file_size(file), 900'000u);
  ASSERT_EQ(log->end().lines, many.size());
  EXPECT_EQ(log->entries()[199].id, many[199].id);
}

TEST(Afterlog, refuses_a_line_that_it_could_not_read_again) {
  AfterlogBench bench;
  auto log = Afterlog::open(bench.file, kKey).value();

  auto noted = log->append("subject.erased", Bytes(1 << 20), from_ms(1));

  ASSERT_FALSE(noted);
  EXPECT_EQ(noted.error().code, Code::too_large);
  EXPECT_EQ(text_of(bench.file), bench.text);
}

TEST(Afterlog, is_never_overwritten) {
  AfterlogBench bench;

  auto made = Afterlog::make(bench.file, kKey);

  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::conflict);
}

TEST(AtomicFile, is_replaced_whole_and_private) {
  test::TempDir dir;
  ASSERT_TRUE(write_file_atomically(dir / "witness", "one"));

  ASSERT_TRUE(write_file_atomically(dir / "witness", "two"));

  EXPECT_EQ(text_of(dir / "witness"), "two");
  struct stat info{};
  ASSERT_EQ(stat((dir / "witness").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_FALSE(std::filesystem::exists(dir / "witness.new"));
}

TEST(AtomicFile, that_cannot_be_written_is_an_error) {
  EXPECT_FALSE(write_file_atomically("/nonexistent/witness", "x"));
  EXPECT_EQ(read_small_file("/nonexistent/witness", 10).error().code, Code::not_found);
}

TEST(AfterlogLines, that_were_taken_back_do_not_count) {
  auto back = [](std::string_view kind, Bytes id) {
    Bytes out;
    put_part(out, kind);
    put_part(out, id);
    return AfterlogEntry{std::string(kTakenBack), std::move(out), {}};
  };
  const AfterlogEntry ann{"subject.erased", {1}, {}}, bob{"subject.erased", {2}, {}},
      key{"api_key.revoked", {1}, {}};
  auto ids = [](std::vector<AfterlogEntry> lines) {
    std::string out;
    for (const auto& line : without_taken_back(std::move(lines)))
      out += line.kind.substr(0, 1) + std::to_string(line.id[0]) + ' ';
    return out;
  };

  EXPECT_EQ(ids({ann, bob, key, back(ann.kind, ann.id)}), "s2 a1 ");
  EXPECT_EQ(ids({ann, back(ann.kind, ann.id), ann}), "s1 ") << "done when it was tried again";
  EXPECT_EQ(ids({ann, ann, back(ann.kind, ann.id)}), "s1 ") << "one for one";
  EXPECT_EQ(ids({back(ann.kind, ann.id), ann}), "s1 ") << "only what stands before it";
}

}  // namespace
}  // namespace holdfast::journal
