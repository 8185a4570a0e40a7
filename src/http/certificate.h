// X.509 certificates of the local authority (RFC 5280), through OpenSSL. Used by tls.cpp.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace holdfast::http {

struct FreeOpenssl {
  void operator()(X509* at) const { X509_free(at); }
  void operator()(EVP_PKEY* at) const { EVP_PKEY_free(at); }
};
using Certificate = std::unique_ptr<X509, FreeOpenssl>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeOpenssl>;

Result<PrivateKey> make_key();
Result<Certificate> make_authority(EVP_PKEY* key, Time now);
/// Ends with `authority` at the latest. `names` as in ensure_local_certificate. Errors: invalid (a
/// name that is none).
Result<Certificate> make_server_certificate(EVP_PKEY* key, X509* authority, EVP_PKEY* authority_key,
                                            const std::vector<std::string>& names, Time now);

/// The subject alternative names as "DNS:a,IP Address:b,...", as OpenSSL prints them.
std::string alternative_names(X509* certificate);
Time valid_from(X509* certificate);
Time valid_until(X509* certificate);
bool issued_by(X509* certificate, X509* authority);
bool matches(X509* certificate, EVP_PKEY* key);

/// The first certificate of a PEM file. Errors: not_found, invalid.
Result<Certificate> read_certificate(const std::filesystem::path& file);
Result<PrivateKey> read_key(const std::filesystem::path& file);
/// Written beside and renamed over, so that no half of a file is ever seen. Errors: unavailable.
Result<void> write_certificate(const std::filesystem::path& file, X509* certificate);
/// Mode 0600 from the first byte.
Result<void> write_key(const std::filesystem::path& file, EVP_PKEY* key);

}  // namespace holdfast::http
