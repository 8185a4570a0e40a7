#include "http/certificate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/secret.h"

namespace holdfast::http {
namespace {

using std::chrono::days;

constexpr days kAuthorityLife{3653};
constexpr days kServerLife{397};  // browsers and curl's peers refuse more than 398

struct FreeBio {
  void operator()(BIO* at) const { BIO_free_all(at); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  if (!extension) return false;
  bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

/// Version, serial number, subject and dates. The start lies a day back, for clocks that are off.
bool fill(X509* certificate, EVP_PKEY* key, std::string_view name, Time now, Time until) {
  std::uint8_t serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return false;
  serial[0] = static_cast<std::uint8_t>(0x40 | (serial[0] & 0x3f));  // positive, never short
  std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_bin2bn(serial, sizeof serial, nullptr),
                                                     BN_free);
  auto* subject = X509_get_subject_name(certificate);
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) &&
         X509_set_version(certificate, X509_VERSION_3) == 1 &&
         X509_set_pubkey(certificate, key) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>("Holdfast"), -1, -1,
                                    0) == 1 &&
         X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), to_ms(now - days(1)) / 1000) &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), to_ms(until) / 1000);
}

bool is_address(const std::string& name) {
  std::uint8_t bytes[16];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

/// A host name, perhaps with a `*` as its first label: also keeps OpenSSL's own syntax out.
bool is_host_name(const std::string& name) {
  auto rest = name.starts_with("*.") ? name.substr(2) : name;
  if (rest.empty() || rest.size() > 253 || rest.front() == '.' || rest.back() == '.') return false;
  return std::ranges::all_of(
      rest, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.' || c == '_'; });
}

Result<void> replace_file(const std::filesystem::path& file, std::string_view bytes, int mode) {
  auto beside = file;
  beside += ".new";
  ::unlink(beside.c_str());
  int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return Error(Code::unavailable, "a certificate file cannot be created");
  while (!bytes.empty()) {
    auto wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  bool good = bytes.empty() && ::fsync(fd) == 0;
  good &= ::close(fd) == 0;
  if (!good || ::rename(beside.c_str(), file.c_str()) != 0) {
    ::unlink(beside.c_str());
    return Error(Code::unavailable, "a certificate file cannot be written");
  }
  return {};
}

Result<Bio> open_file(const std::filesystem::path& file) {
  Bio bio(BIO_new_file(file.c_str(), "r"));
  if (!bio) {
    if (errno == ENOENT) return Error(Code::not_found, "a certificate or key file is missing");
    return Error(Code::unavailable, "a certificate or key file cannot be opened");
  }
  return bio;
}

std::string_view text_of(BIO* bio) {
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

/// 1970 where it cannot be read.
Time time_of(const ASN1_TIME* at) {
  tm parts{};
  if (ASN1_TIME_to_tm(at, &parts) != 1) return Time{};
  return from_ms(static_cast<std::int64_t>(timegm(&parts)) * 1000);
}

}  // namespace

Result<PrivateKey> make_key() {
  PrivateKey key(EVP_EC_gen("P-256"));
  if (!key) return Error(Code::internal, "OpenSSL cannot make a P-256 key");
  return key;
}

Result<Certificate> make_authority(EVP_PKEY* key, Time now) {
  Certificate made(X509_new());
  bool good =
      made && fill(made.get(), key, "Holdfast local authority", now, now + kAuthorityLife) &&
      X509_set_issuer_name(made.get(), X509_get_subject_name(made.get())) == 1 &&
      add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(made.get(), made.get(), NID_subject_key_identifier, "hash") &&
      X509_sign(made.get(), key, EVP_sha256()) > 0;
  if (!good) return Error(Code::internal, "OpenSSL cannot make the authority's certificate");
  return made;
}

Result<Certificate> make_server_certificate(EVP_PKEY* key, X509* authority, EVP_PKEY* authority_key,
                                            const std::vector<std::string>& names, Time now) {
  std::string alternatives;
  for (const auto& name : names) {
    if (!alternatives.empty()) alternatives += ',';
    if (is_address(name))
      alternatives += "IP:" + name;
    else if (is_host_name(name))
      alternatives += "DNS:" + name;
    else
      return Error(
          Code::invalid,
          "a name for the certificate is neither a host name nor an address (server.names)");
  }
  const auto until = std::min(now + kServerLife, valid_until(authority));
  Certificate made(X509_new());
  bool good = made && fill(made.get(), key, "Holdfast", now, until) &&
              X509_set_issuer_name(made.get(), X509_get_subject_name(authority)) == 1 &&
              add_extension(made.get(), authority, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(made.get(), authority, NID_key_usage, "critical,digitalSignature") &&
              add_extension(made.get(), authority, NID_ext_key_usage, "serverAuth") &&
              add_extension(made.get(), authority, NID_subject_key_identifier, "hash") &&
              add_extension(made.get(), authority, NID_authority_key_identifier, "keyid:always") &&
              add_extension(made.get(), authority, NID_subject_alt_name, alternatives.c_str()) &&
              X509_sign(made.get(), authority_key, EVP_sha256()) > 0;
  if (!good) return Error(Code::internal, "OpenSSL cannot make the server's certificate");
  return made;
}

std::string alternative_names(X509* certificate) {
  int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  Bio out(BIO_new(BIO_s_mem()));
  if (at < 0 || !out || !X509V3_EXT_print(out.get(), X509_get_ext(certificate, at), 0, 0))
    return {};
  return std::string(text_of(out.get()));
}

Time valid_from(X509* certificate) {
  return time_of(X509_get0_notBefore(certificate));
}

Time valid_until(X509* certificate) {
  return time_of(X509_get0_notAfter(certificate));
}

bool issued_by(X509* certificate, X509* authority) {
  auto* key = X509_get0_pubkey(authority);
  return key && X509_check_issued(authority, certificate) == X509_V_OK &&
         X509_verify(certificate, key) == 1;
}

bool matches(X509* certificate, EVP_PKEY* key) {
  return X509_check_private_key(certificate, key) == 1;
}

Result<Certificate> read_certificate(const std::filesystem::path& file) {
  auto bio = open_file(file);
  if (!bio) return std::move(bio).error();
  Certificate out(PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr));
  if (!out) return Error(Code::invalid, "a certificate file is not PEM");
  return out;
}

Result<PrivateKey> read_key(const std::filesystem::path& file) {
  auto bio = open_file(file);
  if (!bio) return std::move(bio).error();
  auto no_passphrase = [](char*, int, int, void*) { return 0; };
  PrivateKey out(PEM_read_bio_PrivateKey(bio->get(), nullptr, no_passphrase, nullptr));
  if (!out) return Error(Code::invalid, "a key file is not PEM, or asks for a passphrase");
  return out;
}

Result<void> write_certificate(const std::filesystem::path& file, X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
    return Error(Code::internal, "OpenSSL cannot write a certificate");
  return replace_file(file, text_of(bio.get()), 0644);
}

Result<void> write_key(const std::filesystem::path& file, EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return Error(Code::internal, "OpenSSL cannot write a key");
  return replace_file(file, text_of(bio.get()), 0600);
}

}  // namespace holdfast::http
