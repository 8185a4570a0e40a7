#include "vault/standing.h"

#include <gtest/gtest.h>

#include "vault/subjects/afterlog.h"

namespace holdfast::vault {
namespace {

Purpose purpose(std::string name, LegalBasis basis) {
  return {.name = std::move(name), .legal_basis = basis, .doc = {}, .version = 1};
}
Standing decided(std::string name, Consent consent, std::int64_t at, bool objected = false) {
  Standing out;
  out.purposes.push_back({std::move(name), consent, from_ms(at), objected, from_ms(at)});
  return out;
}
Standing restricted(Standing standing, std::int64_t since) {
  standing.restricted = {Ground::accuracy_contested, from_ms(since)};
  return standing;
}

TEST(Standing, opens_and_closes_purposes_by_their_basis) {
  using enum LegalBasis;
  const Standing silent;
  const auto agreed = decided("p", Consent::given, 10);
  const auto withdrawn = decided("p", Consent::withdrawn, 10);
  const auto objected = decided("p", Consent::none, 10, true);
  struct Case {
    Standing standing;
    std::string name;
    LegalBasis basis;
    Closed expected;
    bool erased = false;
  };
  const Case cases[] = {
      {silent, "p", contract, Closed::open},
      {silent, "p", legitimate_interests, Closed::open},
      {silent, "p", consent, Closed::no_consent},
      {agreed, "p", consent, Closed::open},
      {agreed, "q", consent, Closed::no_consent},
      {withdrawn, "p", consent, Closed::no_consent},
      {withdrawn, "p", contract, Closed::open},
      {objected, "p", legitimate_interests, Closed::objected},
      {objected, "p", public_task, Closed::objected},
      {objected, "p", legal_obligation, Closed::open},
      {restricted(silent, 20), "p", contract, Closed::restricted},
      {restricted(silent, 20), "p", vital_interests, Closed::restricted},
      {restricted(silent, 20), "p", legal_obligation, Closed::open},
      {restricted(silent, 20), "legal_claims", legitimate_interests, Closed::open},
      {restricted(silent, 20), "self_service", contract, Closed::open},
      {restricted(agreed, 20), "p", contract, Closed::restricted},
      {restricted(agreed, 10), "p", contract, Closed::open},
      {restricted(agreed, 5), "p", consent, Closed::open},
      {silent, "p", contract, Closed::restricted, true},
      {silent, "self_service", contract, Closed::restricted, true},
      {agreed, "p", consent, Closed::restricted, true},
      {silent, "p", legal_obligation, Closed::open, true},
      {silent, "legal_claims", legitimate_interests, Closed::open, true}};

  for (const auto& one : cases)
    EXPECT_EQ(closed_for(one.standing, one.erased, purpose(one.name, one.basis)), one.expected)
        << one.name << ' ' << enum_names(one.basis)[static_cast<std::size_t>(one.basis)] << ' '
        << reason_of(one.expected) << " erased " << one.erased;
}

TEST(Standing, is_read_back_as_it_was_written) {
  auto standing = restricted(decided("marketing", Consent::given, 7), 9);
  standing.of("fraud_check").objected = true;
  standing.of("fraud_check").objected_at = from_ms(11);

  auto read = decode_standing(encode_standing(standing));

  ASSERT_TRUE(read);
  EXPECT_EQ(*read, standing);
  EXPECT_EQ(read->purposes.front().purpose, "fraud_check") << "sorted";
}

TEST(Standing, refuses_what_it_would_not_have_written) {
  auto good = encode_standing(restricted(decided("marketing", Consent::given, 7), 9));

  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_standing(BytesView(good).first(size))) << size;
  auto longer = good;
  longer.push_back(0);
  EXPECT_FALSE(decode_standing(longer));
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto flipped = good;
    flipped[at] ^= 0x80;
    if (auto read = decode_standing(flipped)) {
      EXPECT_EQ(encode_standing(*read), flipped) << at;
    }
  }
}

TEST(Standing, of_two_accounts_keeps_what_opens_less) {
  auto a = decided("marketing", Consent::given, 10);
  auto b = restricted(decided("marketing", Consent::withdrawn, 5), 3);
  b.of("fraud_check").objected = true;

  auto both = strictest(a, b);

  EXPECT_TRUE(both.restricted);
  EXPECT_EQ(both.find("marketing")->consent, Consent::withdrawn);
  EXPECT_TRUE(both.find("fraud_check")->objected);
  EXPECT_EQ(strictest(b, a), both);
  EXPECT_EQ(strictest(a, Standing()).find("marketing")->consent, Consent::none)
      << "a consent that one does not know of";
}

TEST(Standing, of_two_customers_has_the_later_word) {
  auto account = decided("marketing", Consent::withdrawn, 10);
  auto guest = decided("marketing", Consent::given, 20);

  EXPECT_EQ(merged(account, guest).find("marketing")->consent, Consent::given);
  EXPECT_EQ(merged(guest, account).find("marketing")->consent, Consent::given);

  guest = decided("marketing", Consent::none, 0);
  guest.of("marketing").objected = true;
  guest.of("marketing").objected_at = from_ms(30);
  auto agreed = decided("marketing", Consent::given, 20);
  agreed.of("marketing").objected_at = {};
  EXPECT_TRUE(merged(agreed, guest).find("marketing")->objected);
  EXPECT_NE(merged(agreed, guest).find("marketing")->consent, Consent::given);
  EXPECT_TRUE(merged(restricted({}, 5), restricted({}, 3)).restricted);
  EXPECT_EQ(merged({}, restricted({}, 3)).restricted->since, from_ms(3));
}

TEST(Standing, lines_of_the_afterlog_are_read_back_or_refused) {
  Subject subject{.id = SubjectId::make(from_ms(1)),
                  .external_term = {},
                  .external_sealed = {},
                  .erased = {},
                  .version = 7,
                  .merged_into = {},
                  .standing = encode_standing(decided("marketing", Consent::withdrawn, 3)),
                  .mac = {}};
  auto other = SubjectId::make(from_ms(2));

  auto standing = read_standing_line(standing_line(subject));
  auto merge = read_merged_line(merged_line(subject.id, other));
  auto erased = read_erased_line(erased_line({subject.id, 8, {"account", "legal"}}));

  ASSERT_TRUE(standing && merge && erased);
  EXPECT_EQ(standing->subject, subject.id);
  EXPECT_EQ(standing->version, 7);
  EXPECT_EQ(encode_standing(standing->standing), subject.standing);
  EXPECT_EQ(merge->from, subject.id);
  EXPECT_EQ(merge->into, other);
  EXPECT_EQ(erased->version, 8);
  EXPECT_EQ(erased->groups, (std::vector<std::string>{"account", "legal"}));
  for (std::size_t size = 0; size < 32; ++size)
    EXPECT_FALSE(read_merged_line(BytesView(merged_line(subject.id, other)).first(size)));
  EXPECT_FALSE(read_standing_line(merged_line(subject.id, other)));
}

}  // namespace
}  // namespace holdfast::vault
