#include "crypto/unlock/shamir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "support/temp_dir.h"

namespace holdfast::crypto {
namespace {

namespace fs = std::filesystem;
using holdfast::test::TempDir;

const Bytes kStore(16, 0xab);

Share copy(const Share& share) {
  return {share.store_id, share.set_id,    share.needed,    share.total,
          share.number,   share.y.clone(), share.commitment};
}

/// The shares with these numbers (from 1), in this order.
std::vector<Share> pick(const std::vector<Share>& shares, const std::vector<std::size_t>& numbers) {
  std::vector<Share> out;
  for (auto number : numbers) out.push_back(copy(shares[number - 1]));
  return out;
}

/// A product in GF(2^8) by long multiplication and division, unlike the code under test.
unsigned slow_product(unsigned a, unsigned b) {
  unsigned product = 0;
  for (int i = 0; i < 8; ++i)
    if (b >> i & 1) product ^= a << i;
  for (int i = 15; i >= 8; --i)
    if (product >> i & 1) product ^= 0x11bu << (i - 8);
  return product;
}

unsigned slow_quotient(unsigned a, unsigned b) {
  for (unsigned q = 0; q < 256; ++q)
    if (slow_product(q, b) == a) return q;
  throw std::domain_error("division by zero");
}

TEST(Shamir, gives_the_secret_back_from_any_sufficient_set) {
  auto secret = Secret::random(32);
  auto shares = split(secret, kStore, 3, 5);

  for (unsigned set = 0; set < 32; ++set) {
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < 5; ++i)
      if (set >> i & 1) numbers.push_back(i + 1);

    auto combined = combine(pick(shares, numbers));

    ASSERT_EQ(combined.has_value(), numbers.size() >= 3) << set;
    if (combined) {
      EXPECT_TRUE(combined->matches(secret.expose()));
    }
  }
}

TEST(Shamir, works_for_every_k_and_n_and_in_any_order) {
  for (std::uint8_t total = 2; total <= 16; ++total)
    for (std::uint8_t needed = 2; needed <= total; ++needed) {
      auto secret = Secret::random(32);
      auto shares = split(secret, kStore, needed, total);
      std::rotate(shares.begin(), shares.begin() + needed / 2, shares.end());

      auto combined = combine(std::span(shares).first(needed));

      ASSERT_TRUE(combined) << int(needed) << " of " << int(total);
      EXPECT_TRUE(combined->matches(secret.expose()));
    }
}

TEST(Shamir, is_the_field_of_aes) {
  EXPECT_EQ(slow_product(0x57, 0x83), 0xc1u);  // FIPS 197 section 4.2
  auto secret = Secret::random(32);
  auto shares = split(secret, kStore, 3, 16);

  // Lagrange at 0 through shares 2, 7 and 16, by hand.
  const unsigned x[] = {2, 7, 16};
  Bytes found(32);
  for (unsigned i = 0; i < 3; ++i) {
    unsigned weight = 1;
    for (unsigned j = 0; j < 3; ++j)
      if (j != i) weight = slow_product(weight, slow_quotient(x[j], x[j] ^ x[i]));
    for (std::size_t b = 0; b < 32; ++b)
      found[b] ^= static_cast<std::uint8_t>(slow_product(weight, shares[x[i] - 1].y.expose()[b]));
  }

  EXPECT_TRUE(secret.matches(found));
}

TEST(Shamir, tells_nothing_with_one_share_too_few) {
  // Over many splits of one secret every value of a share's byte comes up about equally often.
  auto secret = Secret::copy(Bytes(32, 0x00));
  std::vector<int> seen(256);
  for (int i = 0; i < 1000; ++i)
    for (auto byte : split(secret, kStore, 2, 2)[0].y.expose()) ++seen[byte];

  double expected = 1000.0 * 32 / 256, chi = 0;
  for (int count : seen) chi += (count - expected) * (count - expected) / expected;

  EXPECT_LT(chi, 400);  // 255 degrees of freedom: over 400 once in 10^8 runs
}

TEST(Shamir, names_each_set_anew) {
  auto secret = Secret::random(32);
  auto one = split(secret, kStore, 2, 3), other = split(secret, kStore, 2, 3);

  EXPECT_NE(one[0].set_id, other[0].set_id);
  EXPECT_NE(one[0].commitment, other[0].commitment);
  EXPECT_FALSE(one[0].y.matches(other[0].y.expose()));
}

TEST(Shamir, refuses_counts_and_sizes_that_make_no_set_as_bugs) {
  auto secret = Secret::random(32);

  EXPECT_THROW(split(secret, kStore, 1, 3), std::invalid_argument);
  EXPECT_THROW(split(secret, kStore, 4, 3), std::invalid_argument);
  EXPECT_THROW(split(secret, kStore, 2, 17), std::invalid_argument);
  EXPECT_THROW(split(secret, Bytes(15), 2, 3), std::invalid_argument);
  EXPECT_THROW(split(Secret::random(15), kStore, 2, 3), std::invalid_argument);
  EXPECT_THROW(split(Secret::random(65), kStore, 2, 3), std::invalid_argument);
}

TEST(Combine, says_how_many_shares_are_missing) {
  auto shares = split(Secret::random(32), kStore, 5, 16);

  EXPECT_EQ(combine({}).error().text, "no share was given");
  EXPECT_EQ(combine(pick(shares, {4})).error().text,
            "four more shares are needed, given together with these");
  EXPECT_EQ(combine(pick(shares, {4, 1, 9, 12})).error().text,
            "one more share is needed, given together with these");
}

TEST(Combine, names_the_share_that_is_there_twice) {
  auto shares = split(Secret::random(32), kStore, 2, 3);

  auto combined = combine(pick(shares, {2, 2}));

  ASSERT_FALSE(combined);
  EXPECT_EQ(combined.error().code, Code::invalid);
  EXPECT_EQ(combined.error().field.text(), "share[2]");
}

TEST(Combine, names_the_share_of_another_set) {
  auto secret = Secret::random(32);
  auto shares = split(secret, kStore, 2, 3), other = split(secret, kStore, 2, 3);
  auto mixed = pick(shares, {1, 2});
  mixed.push_back(copy(other[2]));

  auto combined = combine(mixed);
  auto even = combine(std::vector<Share>(std::make_move_iterator(mixed.begin() + 1),
                                         std::make_move_iterator(mixed.end())));

  ASSERT_FALSE(combined);
  EXPECT_EQ(combined.error().field.text(), "share[3]");
  ASSERT_FALSE(even);
  EXPECT_TRUE(even.error().field.empty()) << "one against one: nobody can tell";
  EXPECT_TRUE(even.error().text.starts_with("these shares are of different sets"));
}

TEST(Combine, notices_a_wrong_share_without_a_spare_one) {
  auto shares = split(Secret::random(32), kStore, 2, 3);
  auto given = pick(shares, {1, 3});
  given[1].y.expose_mut()[5] ^= 1;

  auto combined = combine(given);

  ASSERT_FALSE(combined);
  EXPECT_EQ(combined.error().code, Code::invalid);
  EXPECT_TRUE(combined.error().field.empty());
}

TEST(Combine, names_a_wrong_share_when_spare_ones_tell) {
  auto shares = split(Secret::random(32), kStore, 2, 3);
  for (std::size_t bad = 0; bad < 3; ++bad) {
    auto given = pick(shares, {1, 2, 3});
    given[bad].y.expose_mut()[31] ^= 0x80;

    auto combined = combine(given);

    ASSERT_FALSE(combined);
    EXPECT_EQ(combined.error().field.text(), "share[" + std::to_string(bad + 1) + "]");
  }
}

TEST(Combine, names_every_wrong_share) {
  auto shares = split(Secret::random(32), kStore, 8, 16);
  std::vector<std::size_t> all(16);
  for (std::size_t i = 0; i < 16; ++i) all[i] = i + 1;
  auto given = pick(shares, all);
  for (std::size_t bad : {1, 2, 5, 8, 11, 14, 16}) given[bad - 1].y.expose_mut()[0] ^= 9;

  auto combined = combine(given);

  ASSERT_FALSE(combined);
  EXPECT_EQ(combined.error().field.text(), "share[1]");
  ASSERT_EQ(combined.error().also.size(), 6u);
  EXPECT_EQ(combined.error().also.back().field.text(), "share[16]");
}

TEST(Combine, refuses_shares_that_are_none) {
  auto shares = split(Secret::random(32), kStore, 2, 3);
  auto broken = [&](auto change) {
    auto given = pick(shares, {1, 2});
    change(given[0]);
    return combine(given);
  };

  EXPECT_FALSE(broken([](Share& share) { share.number = 0; }));
  EXPECT_FALSE(broken([](Share& share) { share.number = 4; }));
  EXPECT_FALSE(broken([](Share& share) { share.needed = 1; }));
  EXPECT_FALSE(broken([](Share& share) { share.total = 17; }));
  EXPECT_FALSE(broken([](Share& share) { share.y = Secret(); }));
  EXPECT_FALSE(broken([](Share& share) { share.store_id.clear(); }));
  EXPECT_FALSE(broken([](Share& share) { share.commitment[0] ^= 1; }));
  std::vector<Share> lowered = pick(shares, {1, 2});
  for (auto& share : lowered) share.total = 2;
  EXPECT_FALSE(combine(lowered)) << "the commitment binds the counts";
}

std::vector<std::string> numbered_lines(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    auto line = text.substr(at, end - at);
    if (!line.empty() && line[0] != '#') out.push_back(line);
    at = end + 1;
  }
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) (out += line) += '\n';
  return out;
}

TEST(ShareText, is_read_back) {
  for (std::size_t size : {16u, 32u, 33u, 64u}) {
    auto shares = split(Secret::random(size), kStore, 3, 16);
    for (const auto& share : shares) {
      auto read = parse_share(format_share(share));

      ASSERT_TRUE(read) << read.error().text << " " << size;
      EXPECT_EQ(read->store_id, share.store_id);
      EXPECT_EQ(read->set_id, share.set_id);
      EXPECT_EQ(read->needed, share.needed);
      EXPECT_EQ(read->total, share.total);
      EXPECT_EQ(read->number, share.number);
      EXPECT_EQ(read->commitment, share.commitment);
      EXPECT_TRUE(read->y.matches(share.y.expose()));
    }
  }
}

TEST(ShareText, of_a_root_key_is_eight_lines_of_five_groups_and_a_check) {
  auto text = format_share(split(Secret::random(32), kStore, 2, 3)[1]);

  auto lines = numbered_lines(text);

  ASSERT_EQ(lines.size(), 8u);
  for (const auto& line : lines) EXPECT_EQ(line.size(), 2 + 5 * 5 + 2 + 1u) << line;
  EXPECT_TRUE(text.starts_with("# Holdfast recovery share 2 of 3.\n"));
}

TEST(ShareText, has_a_fixed_layout) {
  // Shares on paper outlive versions: this one must be read for ever.
  Share share{kStore, Bytes(8, 0xcd), 2, 3, 1, Secret::copy(Bytes(32, 0x5a)), {}};
  share.commitment.fill(0x77);

  const std::string text =
      "1: 0490 285B NENT QAXB NENT  A\n"
      "2: QAXB NENT QAXB SQ6W VKED  1\n"
      "3: SQ6W TXVQ EXVQ EXVQ EXVQ  T\n"
      "4: EXVQ EXVQ EXVQ EXVQ EXVQ  T\n"
      "5: EXVQ EXVQ EXVQ EXVQ B9D5  2\n"
      "6: MPJT B9D5 MPJT B9D5 MPJT  S\n"
      "7: B9D5 MPJT B9D5 MPJT B9D5  Z\n"
      "8: MPJT B9D2 B3V7 9JEN 2VRP  R\n";
  EXPECT_EQ(joined(numbered_lines(format_share(share))), text);
  EXPECT_TRUE(parse_share(text)->y.matches(share.y.expose()));
}

TEST(ShareText, tolerates_what_typing_brings) {
  auto shares = split(Secret::random(32), kStore, 2, 3);
  auto text = joined(numbered_lines(format_share(shares[0])));
  std::string typed = "\r\n  # typed on Monday\r\n";
  for (char c : text) {
    if (c == '0') c = 'o';
    if (c == '\n')
      typed += " \r\n\n";
    else if (c == ' ')
      typed += "-\t ";
    else
      typed += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  // A label keeps its digits.
  for (std::size_t at = 0; (at = typed.find("\no:", at)) != std::string::npos;) typed[at + 1] = '0';

  auto read = parse_share(typed);

  ASSERT_TRUE(read) << read.error().text << read.error().field.text();
  EXPECT_TRUE(read->y.matches(shares[0].y.expose()));
}

TEST(ShareText, reads_i_and_l_as_one) {
  auto share = Share{kStore, Bytes(8, 0x21), 2, 3, 1, Secret::copy(Bytes(32, 0x08)), {}};
  auto text = joined(numbered_lines(format_share(share)));
  int turn = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '1' && text[i + 1] != ':') text[i] = "IlLi"[turn++ % 4];

  EXPECT_GT(turn, 4);
  EXPECT_TRUE(parse_share(text));
}

TEST(ShareText, names_the_line_of_every_mistyped_character) {
  auto lines = numbered_lines(format_share(split(Secret::random(32), kStore, 2, 3)[0]));
  for (std::size_t line = 0; line < lines.size(); ++line)
    for (std::size_t at = 2; at < lines[line].size(); ++at) {
      if (lines[line][at] == ' ') continue;
      for (char c : std::string_view("0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U!?\x80.")) {
        if (c == lines[line][at]) continue;
        auto changed = lines;
        changed[line][at] = c;

        auto read = parse_share(joined(changed));

        ASSERT_FALSE(read) << changed[line];
        EXPECT_EQ(read.error().code, Code::invalid);
        EXPECT_EQ(read.error().field.text(), "line[" + std::to_string(line + 1) + "]");
      }
    }
}

TEST(ShareText, names_the_line_where_two_characters_changed_places) {
  auto lines = numbered_lines(format_share(split(Secret::random(32), kStore, 2, 3)[0]));
  for (std::size_t line = 0; line < lines.size(); ++line)
    for (std::size_t at = 3; at + 1 < lines[line].size(); ++at) {
      auto changed = lines;
      std::swap(changed[line][at], changed[line][at + 1]);
      if (changed == lines || lines[line][at] == ' ' || lines[line][at + 1] == ' ') continue;

      auto read = parse_share(joined(changed));

      ASSERT_FALSE(read);
      EXPECT_EQ(read.error().field.text(), "line[" + std::to_string(line + 1) + "]");
    }
}

TEST(ShareText, names_lines_that_are_missing_doubled_or_out_of_place) {
  auto lines = numbered_lines(format_share(split(Secret::random(32), kStore, 2, 3)[0]));
  auto field = [](const std::vector<std::string>& changed) {
    auto read = parse_share(joined(changed));
    return read ? std::string("read") : read.error().field.text();
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto without = lines, twice = lines;
    without.erase(without.begin() + static_cast<long>(i));
    twice.insert(twice.begin() + static_cast<long>(i), lines[i]);

    EXPECT_EQ(field(without), "line[" + std::to_string(i + 1) + "]");
    EXPECT_EQ(field(twice), "line[" + std::to_string(i + 2) + "]");
  }
  auto swapped = lines;
  std::swap(swapped[2], swapped[3]);
  EXPECT_EQ(field(swapped), "line[3]");
  auto relabelled = swapped;
  relabelled[2][0] = '3';
  relabelled[3][0] = '4';
  EXPECT_EQ(field(relabelled), "line[3]") << "the check character knows its line";
  auto longer = lines;
  longer[4] += "X";
  EXPECT_EQ(field(longer), "line[5]");
  auto unlabelled = lines;
  unlabelled[5] = unlabelled[5].substr(2);
  EXPECT_EQ(field(unlabelled), "line[6]");
}

TEST(ShareText, notices_two_mistakes_that_cancel_out_in_the_check_character) {
  // 32 is -5 modulo 37: a step up in one place and a fitting one at its neighbour hide.
  constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  auto lines = numbered_lines(format_share(split(Secret::random(32), kStore, 2, 3)[0]));
  int hidden = 0;
  for (auto line = lines.begin(); line != lines.end(); ++line) {
    auto before = *line;
    auto high = kDigits.find(before[4]), low = kDigits.find(before[5]);
    if (high + 1 < 32 && low + 5 < 32) {
      (*line)[4] = kDigits[high + 1];
      (*line)[5] = kDigits[low + 5];
      auto read = parse_share(joined(lines));
      ASSERT_FALSE(read);
      hidden += read.error().field.empty() || read.error().text.starts_with("this is not a share");
      *line = before;
    }
  }
  EXPECT_GT(hidden, 0);
}

TEST(ShareText, refuses_other_texts) {
  for (std::string_view text :
       {"", "\n\n", "# only a comment\n", "hello\n", "1:\n", "1: \n", "99: AB\n", ":", "1",
        "0: 0000 0000 0000 0000 0000 0\n", "-----BEGIN-----"}) {
    auto read = parse_share(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::invalid);
  }
  EXPECT_EQ(parse_share(std::string(8193, '\n')).error().code, Code::too_large);
}

TEST(ShareFiles, lie_side_by_side_for_their_owner_only) {
  TempDir dir;
  auto secret = Secret::random(32);

  auto files = write_shares(dir / "shares", split(secret, kStore, 2, 3));

  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 3u);
  EXPECT_EQ((*files)[1], dir / "shares/recovery-share-2-of-3.txt");
  auto everyday = write_shares(dir / "shares", split(secret, kStore, 2, 3), "everyday");
  ASSERT_TRUE(everyday);
  EXPECT_EQ((*everyday)[1], dir / "shares/everyday-share-2-of-3.txt");
  std::vector<Share> read;
  for (const auto& file : *files) {
    struct stat found{};
    ASSERT_EQ(::stat(file.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600u);
    std::ifstream in(file);
    auto share = parse_share(std::string(std::istreambuf_iterator<char>(in), {}));
    ASSERT_TRUE(share);
    read.push_back(std::move(*share));
  }
  EXPECT_TRUE(combine(read)->matches(secret.expose()));
}

TEST(ShareFiles, are_never_overwritten_and_written_all_or_none) {
  TempDir dir;
  auto shares = split(Secret::random(32), kStore, 2, 3);
  std::ofstream(dir / "recovery-share-3-of-3.txt") << "older";

  auto files = write_shares(dir.path(), shares);

  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::conflict);
  EXPECT_FALSE(fs::exists(dir / "recovery-share-1-of-3.txt"));
  EXPECT_EQ(fs::file_size(dir / "recovery-share-3-of-3.txt"), 5u);
}

}  // namespace
}  // namespace holdfast::crypto
