#include "base/id.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <type_traits>
#include <unordered_set>

namespace holdfast {
namespace {

constexpr Time kNow = Time(Millis(1'795'426'200'000));

static_assert(!std::is_convertible_v<SubjectId, RecordId>);

TEST(Id, is_written_as_prefix_and_26_characters) {
  auto id = SubjectId::make(kNow);

  EXPECT_EQ(id.text().size(), 4u + 26);
  EXPECT_TRUE(id.text().starts_with("sub_"));
  EXPECT_EQ(SubjectId::parse(id.text()), id);
  EXPECT_EQ(SubjectId::from(id.bytes()), id);
}

TEST(Id, is_a_uuid_of_version_7) {
  auto uuid = make_uuid7(kNow);

  EXPECT_EQ(uuid[6] >> 4, 7);
  EXPECT_EQ(uuid[8] >> 6, 2);
  EXPECT_EQ(Bytes(uuid.begin(), uuid.begin() + 6), (Bytes{0x01, 0xa2, 0x07, 0xbd, 0xa9, 0xc0}));
  EXPECT_EQ(time_of(uuid), kNow);
}

TEST(Id, sorts_by_time_as_bytes_and_as_text) {
  auto early = RecordId::make(kNow), late = RecordId::make(kNow + Millis(1));

  EXPECT_LT(early, late);
  EXPECT_LT(early.text(), late.text());
}

TEST(Id, made_one_after_another_in_a_millisecond_sort_in_that_order) {
  std::vector<RecordId> ids;
  for (int i = 0; i < 10'000; ++i) ids.push_back(RecordId::make(kNow));

  EXPECT_TRUE(std::ranges::is_sorted(ids));
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
  EXPECT_EQ(make_uuid7(kNow)[8] >> 6, 2) << "the variant, after many steps";
}

TEST(Id, of_another_millisecond_begins_anew_at_random) {
  auto tail = [](Millis after) {
    auto uuid = make_uuid7(kNow + after);
    return Bytes(uuid.begin() + 8, uuid.end());
  };

  EXPECT_NE(tail(Millis(1)), tail(Millis(2)));
  EXPECT_NE(tail(Millis(1)), tail(Millis(1)));
}

TEST(Id, of_one_kind_is_not_read_as_another) {
  auto id = SubjectId::make(kNow);

  EXPECT_EQ(RecordId::parse(id.text()), std::nullopt);
  EXPECT_EQ(RecordId::parse("rec_" + id.text().substr(4))->uuid, id.uuid);
}

TEST(Id, gives_the_known_answers_of_typeid) {
  // From the TypeID specification's valid.json.
  auto uuid = [](std::string_view text) {
    auto bytes = unhex(text).value();
    Uuid out{};
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return out;
  };

  EXPECT_EQ(base32(uuid("00000000000000000000000000000000")), "00000000000000000000000000");
  EXPECT_EQ(base32(uuid("00000000000000000000000000000001")), "00000000000000000000000001");
  EXPECT_EQ(base32(uuid("00000000000000000000000000000020")), "00000000000000000000000010");
  EXPECT_EQ(base32(uuid("ffffffffffffffffffffffffffffffff")), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
  EXPECT_EQ(base32(uuid("0110c8531d0952d8d73e1194e95b5f19")), "0123456789abcdefghjkmnpqrs");
  EXPECT_EQ(unbase32("0123456789abcdefghjkmnpqrs"), uuid("0110c8531d0952d8d73e1194e95b5f19"));
}

TEST(Id, refuses_what_it_would_not_have_written) {
  for (std::string text :
       {"", "sub", "sub_", "sub_0123456789abcdefghjkmnpqr", "sub_0123456789abcdefghjkmnpqrst",
        "sub_0123456789ABCDEFGHJKMNPQRS", "sub_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "sub_0123456789abcdefghijkmnpqr", "sub_0123456789abcdefghjkmnpqru",
        "Sub_0123456789abcdefghjkmnpqrs", "sub-0123456789abcdefghjkmnpqrs",
        " sub_0123456789abcdefghjkmnpqrs", "sub_0123456789abcdefghjkmnpqrs "})
    EXPECT_EQ(SubjectId::parse(text), std::nullopt) << text;
  EXPECT_EQ(SubjectId::parse("sub_" + std::string(26, '\0')), std::nullopt);
  EXPECT_EQ(SubjectId::from(Bytes(15)), std::nullopt);
  EXPECT_EQ(SubjectId::from(Bytes(17)), std::nullopt);
}

TEST(Id, is_never_given_twice_even_in_one_millisecond_by_several_threads) {
  constexpr std::size_t kEach = 20'000;
  std::vector<RecordId> one, other;

  std::thread a([&] {
    for (std::size_t i = 0; i < kEach; ++i) one.push_back(RecordId::make(kNow));
  });
  std::thread b([&] {
    for (std::size_t i = 0; i < kEach; ++i) other.push_back(RecordId::make(kNow));
  });
  a.join();
  b.join();
  std::unordered_set<RecordId> all(one.begin(), one.end());
  all.insert(other.begin(), other.end());

  EXPECT_EQ(all.size(), 2 * kEach);
}

}  // namespace
}  // namespace holdfast
