#include "http/tls.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "http/certificate.h"

namespace holdfast::http {
namespace {

using std::chrono::days;
using namespace std::chrono_literals;

class TempDirectory {
 public:
  TempDirectory() {
    char name[] = "/tmp/holdfast-tls-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~TempDirectory() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

unsigned mode_of(const std::filesystem::path& file) {
  struct stat status{};
  ::stat(file.c_str(), &status);
  return status.st_mode & 0777;
}

const Time kNow = from_ms(1'795'000'000'000);

TEST(LocalCertificate, is_made_once_and_trusted_by_its_authority) {
  TempDirectory directory;

  auto files = ensure_local_certificate(directory.path / "tls",
                                        {"vault.example", "192.0.2.7", "*.shop.example"}, kNow);
  ASSERT_TRUE(files) << files.error().text;
  auto first = certificate_fingerprint(files->chain);
  auto again = ensure_local_certificate(
      directory.path / "tls", {"vault.example", "192.0.2.7", "*.shop.example"}, kNow + days(300));

  ASSERT_TRUE(again);
  EXPECT_EQ(certificate_fingerprint(again->chain), first);
  EXPECT_EQ(mode_of(files->key), 0600u);
  EXPECT_EQ(mode_of(directory.path / "tls" / "ca.key"), 0600u);
  auto certificate = read_certificate(files->chain);
  auto authority = read_certificate(directory.path / "tls" / "ca.pem");
  ASSERT_TRUE(certificate && authority);
  EXPECT_TRUE(issued_by(certificate->get(), authority->get()));
  EXPECT_EQ(valid_until(certificate->get()), kNow + days(397));
  EXPECT_GT(valid_until(authority->get()), kNow + days(3650));
  auto names = alternative_names(certificate->get());
  for (auto name : {"DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1",
                    "DNS:vault.example", "IP Address:192.0.2.7", "DNS:*.shop.example"})
    EXPECT_NE(names.find(name), std::string::npos) << names;
  EXPECT_TRUE(server_context(*files));
}

TEST(LocalCertificate, is_renewed_when_due_or_when_its_names_change) {
  TempDirectory directory;
  auto files = ensure_local_certificate(directory.path, {}, kNow);
  ASSERT_TRUE(files);
  auto first = certificate_fingerprint(files->chain);
  auto authority = certificate_fingerprint(directory.path / "ca.pem");

  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow + days(366)));
  EXPECT_EQ(certificate_fingerprint(files->chain), first);
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow + days(368)));
  auto renewed = certificate_fingerprint(files->chain);
  EXPECT_NE(renewed, first);
  ASSERT_TRUE(ensure_local_certificate(directory.path, {"vault.example"}, kNow + days(368)));
  EXPECT_NE(certificate_fingerprint(files->chain), renewed);
  EXPECT_EQ(certificate_fingerprint(directory.path / "ca.pem"), authority);
}

TEST(LocalCertificate, survives_a_first_start_that_was_cut_off) {
  TempDirectory directory;
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));

  std::filesystem::remove(directory.path / "server.pem");
  EXPECT_TRUE(ensure_local_certificate(directory.path, {}, kNow));
  std::filesystem::remove(directory.path / "ca.pem");
  EXPECT_TRUE(ensure_local_certificate(directory.path, {}, kNow));

  EXPECT_TRUE(server_context({directory.path / "server.pem", directory.path / "server.key"}));
}

TEST(LocalCertificate, says_what_is_wrong_with_its_files) {
  struct Case {
    void (*damage)(const std::filesystem::path&);
    std::string_view text;
  };
  const Case cases[] = {
      {[](const auto& d) { std::ofstream(d / "ca.pem") << "x"; }, "a certificate file is not PEM"},
      {[](const auto& d) { std::ofstream(d / "ca.key") << "x"; },
       "a key file is not PEM, or asks for a passphrase"},
      {[](const auto& d) { std::filesystem::remove(d / "ca.key"); },
       "a certificate or key file is missing"},
      {[](const auto& d) {
         std::filesystem::copy_file(d / "server.key", d / "ca.key",
                                    std::filesystem::copy_options::overwrite_existing);
       },
       "ca.pem and ca.key do not belong together"},
      {[](const auto& d) { ::chmod((d / "ca.key").c_str(), 0644); },
       "ca.key can be read by others than its owner: chmod 600 ca.key"}};

  for (const auto& test : cases) {
    TempDirectory directory;
    ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));
    test.damage(directory.path);

    auto files = ensure_local_certificate(directory.path, {}, kNow);

    ASSERT_FALSE(files);
    EXPECT_EQ(files.error().text, test.text);
  }
}

TEST(LocalCertificate, refuses_names_that_are_none) {
  TempDirectory directory;
  for (std::string name : {"", "a b", "a,DNS:b", "x:y", "http://x", ".a", "a\nb", "email:copy"})
    EXPECT_FALSE(ensure_local_certificate(directory.path, {name}, kNow)) << name;
}

TEST(LocalCertificate, of_the_future_is_made_anew) {
  TempDirectory directory;
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));
  auto files = ensure_local_certificate(directory.path, {}, kNow + days(1095));
  ASSERT_TRUE(files);

  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));

  auto renewed = read_certificate(files->chain);
  ASSERT_TRUE(renewed);
  EXPECT_EQ(valid_from(renewed->get()), kNow - days(1));
  EXPECT_EQ(valid_until(renewed->get()), kNow + days(397));
}

TEST(LocalCertificate, stays_when_the_clock_was_off_by_less_than_a_day) {
  TempDirectory directory;
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));
  auto files = ensure_local_certificate(directory.path, {"vault.example"}, kNow + 23h);
  ASSERT_TRUE(files);
  auto first = certificate_fingerprint(files->chain);

  ASSERT_TRUE(ensure_local_certificate(directory.path, {"vault.example"}, kNow));

  EXPECT_EQ(certificate_fingerprint(files->chain), first);
}

TEST(LocalCertificate, stays_when_the_clock_is_from_before_its_authority) {
  TempDirectory directory;
  auto files = ensure_local_certificate(directory.path, {}, kNow);
  ASSERT_TRUE(files);
  auto first = certificate_fingerprint(files->chain);

  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow - days(400)));

  EXPECT_EQ(certificate_fingerprint(files->chain), first)
      << "one of that day would have ended when the clock is put right";
}

TEST(LocalCertificate, ends_with_its_authority_at_the_latest) {
  TempDirectory directory;
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));

  auto late = ensure_local_certificate(directory.path, {}, kNow + days(3640));

  ASSERT_TRUE(late) << late.error().text;
  auto certificate = read_certificate(late->chain);
  auto authority = read_certificate(directory.path / "ca.pem");
  ASSERT_TRUE(certificate && authority);
  EXPECT_EQ(valid_until(certificate->get()), valid_until(authority->get()));
  auto first = certificate_fingerprint(late->chain);
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow + days(3641)));
  EXPECT_EQ(certificate_fingerprint(late->chain), first) << "a new one would not last longer";
}

TEST(LocalCertificate, is_refused_with_the_clock_named_when_its_authority_has_ended) {
  TempDirectory directory;
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));
  auto authority = certificate_fingerprint(directory.path / "ca.pem");
  auto refused = [&](Time now) {
    auto files = ensure_local_certificate(directory.path, {}, now);
    return files ? std::string_view() : files.error().text;
  };

  EXPECT_EQ(refused(kNow - days(400)), "") << "a clock that is behind stops no start";
  EXPECT_EQ(refused(kNow + days(3653) - 1s), "");
  auto late = refused(kNow + days(3653));

  EXPECT_TRUE(late.starts_with("if this machine's clock is right, the local CA (ca.pem) has ended"))
      << late;
  EXPECT_EQ(certificate_fingerprint(directory.path / "ca.pem"), authority);
}

TEST(LocalCertificate, is_good_under_its_authority_before_and_after_that_was_renewed) {
  TempDirectory directory;
  ASSERT_TRUE(ensure_local_certificate(directory.path, {}, kNow));
  const auto later = kNow + days(3600);
  std::filesystem::rename(directory.path / "ca.pem", directory.path / "old.pem");

  auto files = ensure_local_certificate(directory.path, {}, later);

  ASSERT_TRUE(files);
  auto certificate = read_certificate(files->chain);
  auto before = read_certificate(directory.path / "old.pem");
  auto after = read_certificate(directory.path / "ca.pem");
  ASSERT_TRUE(certificate && before && after);
  EXPECT_TRUE(issued_by(certificate->get(), before->get()));
  EXPECT_TRUE(issued_by(certificate->get(), after->get()));
  EXPECT_EQ(valid_until(after->get()), later + days(3653));
}

TEST(ServerContext, refuses_files_that_do_not_fit) {
  TempDirectory directory;
  auto files = ensure_local_certificate(directory.path, {}, kNow);
  ASSERT_TRUE(files);

  EXPECT_FALSE(server_context({directory.path / "none.pem", files->key}));
  EXPECT_FALSE(server_context({files->chain, directory.path / "none.key"}));
  EXPECT_FALSE(server_context({files->chain, directory.path / "ca.key"}));
  EXPECT_FALSE(server_context({files->key, files->key}));
}

}  // namespace
}  // namespace holdfast::http
