// ensure_local_certificate of tls.h.
#include <algorithm>
#include <system_error>

#include "http/certificate.h"
#include "http/tls.h"

namespace holdfast::http {
namespace {

constexpr std::chrono::days kRenewBefore{30};

struct Pair {
  Certificate certificate;
  PrivateKey key;
};

bool private_to_owner(const std::filesystem::path& file) {
  using std::filesystem::perms;
  std::error_code bad;
  auto status = std::filesystem::status(file, bad);
  return (status.permissions() & (perms::group_all | perms::others_all)) == perms::none;
}

/// A key without its certificate is a first start that was cut off, or an authority that is
/// renewed: the new certificate has the same key and name, so what was issued is good under both.
Result<Pair> ensure_authority(const std::filesystem::path& directory, Time now) {
  auto chain = directory / "ca.pem", key_file = directory / "ca.key";
  auto key = read_key(key_file);
  auto certificate = read_certificate(chain);
  if (key && !private_to_owner(key_file))
    return Error(Code::invalid, "ca.key can be read by others than its owner: chmod 600 ca.key");
  if (key && certificate) {
    if (!matches(certificate->get(), key->get()))
      return Error(Code::invalid, "ca.pem and ca.key do not belong together");
    if (valid_until(certificate->get()) <= now)
      return Error(Code::invalid,
                   "if this machine's clock is right, the local CA (ca.pem) has ended: move ca.pem "
                   "away, but not ca.key, start again, and give the new ca.pem to the clients; if "
                   "the clock is wrong, only put it right");
    return Pair{std::move(*certificate), std::move(*key)};
  }
  if (!certificate && certificate.error().code != Code::not_found)
    return std::move(certificate).error();
  if (!key && (certificate || key.error().code != Code::not_found)) return std::move(key).error();

  if (!key) {
    key = make_key();
    if (!key) return std::move(key).error();
    auto wrote = write_key(key_file, key->get());
    if (!wrote) return std::move(wrote).error();
  }
  certificate = make_authority(key->get(), now);
  if (!certificate) return std::move(certificate).error();
  auto wrote = write_certificate(chain, certificate->get());
  if (!wrote) return std::move(wrote).error();
  return Pair{std::move(*certificate), std::move(*key)};
}

/// Still good for `wanted`, a certificate made just now.
bool still_good(const CertificateFiles& files, X509* authority, X509* wanted, Time now) {
  auto certificate = read_certificate(files.chain);
  auto key = read_key(files.key);
  return certificate && key && matches(certificate->get(), key->get()) &&
         (valid_from(certificate->get()) <= now || valid_from(authority) > now) &&
         valid_until(certificate->get()) >= std::min(now + kRenewBefore, valid_until(wanted)) &&
         issued_by(certificate->get(), authority) &&
         alternative_names(certificate->get()) == alternative_names(wanted);
}

}  // namespace

Result<CertificateFiles> ensure_local_certificate(const std::filesystem::path& directory,
                                                  const std::vector<std::string>& names, Time now) {
  std::error_code bad;
  std::filesystem::create_directories(directory, bad);
  if (bad) return Error(Code::unavailable, "the directory for certificates cannot be made");
  auto authority = ensure_authority(directory, now);
  if (!authority) return std::move(authority).error();

  std::vector<std::string> all{"localhost", "127.0.0.1", "::1"};
  all.insert(all.end(), names.begin(), names.end());
  auto key = make_key();
  if (!key) return std::move(key).error();
  auto fresh = make_server_certificate(key->get(), authority->certificate.get(),
                                       authority->key.get(), all, now);
  if (!fresh) return std::move(fresh).error();

  CertificateFiles files{directory / "server.pem", directory / "server.key"};
  if (still_good(files, authority->certificate.get(), fresh->get(), now)) return files;
  auto wrote = write_key(files.key, key->get());
  if (wrote) wrote = write_certificate(files.chain, fresh->get());
  if (!wrote) return std::move(wrote).error();
  return files;
}

}  // namespace holdfast::http
