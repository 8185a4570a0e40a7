// Signatures of TLS certificates are OpenSSL's to check. The one that this machine links does it
// as strictly as Wycheproof asks.
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

#include "cases.h"

namespace holdfast::crypto {
namespace {

bool verifies(BytesView key_der, BytesView message, BytesView signature) {
  const auto* at = key_der.data();
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      d2i_PUBKEY(nullptr, &at, static_cast<long>(key_der.size())), EVP_PKEY_free);
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  return key &&
         EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

class TlsSignatures : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Wycheproof, TlsSignatures,
                         testing::Values("ecdsa_secp256r1_sha256_test.json",
                                         "rsa_signature_2048_sha256_test.json"),
                         [](const auto& info) { return info.index == 0 ? "ecdsa" : "rsa"; });

TEST_P(TlsSignatures, are_checked_as_wycheproof_asks) {
  auto file = test::wycheproof(GetParam());
  if (!file) GTEST_SKIP() << "../shared/vectors is not there";
  int seen = 0;
  for (const auto& group : file->at("testGroups").as_array()) {
    auto key = test::hex_member(group, "publicKeyDer");
    for (const auto& known : group.at("tests").as_array()) {
      ++seen;
      if (known.at("result") == "acceptable") continue;  // either answer is right

      bool ok = verifies(key, test::hex_member(known, "msg"), test::hex_member(known, "sig"));

      EXPECT_EQ(ok, known.at("result") == "valid")
          << "tcId " << known.at("tcId") << ": " << known.at("comment");
    }
  }
  EXPECT_GT(seen, 200);
}

}  // namespace
}  // namespace holdfast::crypto
