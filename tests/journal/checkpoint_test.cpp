#include "journal/checkpoint.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace holdfast::journal {
namespace {

const crypto::Signer& signer() {
  static const crypto::Signer kSigner(Bytes(32, 7));
  return kSigner;
}
const Checkpoint kHead{"holdfast/abc", 1234, crypto::Digest{1, 2, 3}};

TEST(Checkpoint, opens_as_it_was_signed) {
  auto note = sign_checkpoint(kHead, signer());

  auto opened = open_checkpoint(note, signer().public_key());

  ASSERT_TRUE(opened);
  EXPECT_EQ(*opened, kHead);
  EXPECT_TRUE(note.starts_with("holdfast/abc\n1234\n"));
}

TEST(Checkpoint, with_any_byte_changed_or_cut_off_is_refused) {
  const auto note = sign_checkpoint(kHead, signer());
  for (std::size_t i = 0; i < note.size(); ++i) {
    for (char flip : {1, 2, 32}) {
      auto bad = note;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      auto opened = open_checkpoint(bad, signer().public_key());
      EXPECT_FALSE(opened) << i;
    }
    EXPECT_FALSE(open_checkpoint(note.substr(0, i), signer().public_key()));
  }
  EXPECT_FALSE(open_checkpoint(note + "x", signer().public_key()));
}

TEST(Checkpoint, of_another_key_is_refused_by_name) {
  crypto::Signer other(Bytes(32, 8));

  auto opened = open_checkpoint(sign_checkpoint(kHead, other), signer().public_key());

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text, "the checkpoint was signed by another key");
}

TEST(VerifierKey, that_is_another_is_told_by_its_origin) {
  const Verifier brought{"holdfast/abc", signer().public_key()};
  crypto::Signer older(Bytes(32, 8));

  auto rotated = another_key(verifier_key("holdfast/abc", older.public_key()), brought);
  auto foreign = another_key(verifier_key("holdfast/xyz", older.public_key()), brought);

  EXPECT_EQ(rotated.code, Code::corrupt);
  EXPECT_TRUE(rotated.text.contains("journal.key_rolled")) << rotated.text;
  EXPECT_EQ(foreign.code, Code::corrupt);
  EXPECT_TRUE(foreign.text.contains("of another log")) << foreign.text;
}

TEST(VerifierKey, comes_back_and_is_refused_when_changed) {
  const auto text = verifier_key("holdfast/abc", signer().public_key());

  auto read = parse_verifier_key(text);

  ASSERT_TRUE(read);
  EXPECT_EQ(read->origin, "holdfast/abc");
  EXPECT_EQ(read->key, signer().public_key());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto bad = text;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(parse_verifier_key(bad)) << bad;
  }
}

}  // namespace
}  // namespace holdfast::journal
