// Certificates and TLS settings. At the first start a local authority is made, and from it the
// server's certificate; clients trust `ca.pem`. An own certificate is given by its two paths.
// All files are PEM; keys are ECDSA P-256, PKCS #8, mode 0600.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace holdfast::http {

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

struct CertificateFiles {
  std::filesystem::path chain;  // the server's certificate first
  std::filesystem::path key;
};

/// Makes in `directory` what is missing or due: `ca.pem` and `ca.key` (10 years), `server.pem` and
/// `server.key` (397 days) for localhost, 127.0.0.1, ::1 and `names` (host names or addresses). The
/// server's ends with the authority at the latest, and is made anew when it has less than 30 days
/// of that left, is not valid yet although its authority is, its names changed, or it does not
/// belong to this authority. Errors: invalid (a name that is none; a file that does not parse, or
/// whose halves do not match; an authority that has ended), unavailable (the disk).
Result<CertificateFiles> ensure_local_certificate(const std::filesystem::path& directory,
                                                  const std::vector<std::string>& names, Time now);

/// TLS 1.2 and 1.3 with forward secrecy and AEAD ciphers, HTTP/1.1 by ALPN, no tickets, no
/// renegotiation, plaintext wiped inside OpenSSL too. For a reload, make a new one and hand it to
/// the server. Errors: invalid (unreadable, not PEM, or not a pair).
Result<TlsContext> server_context(const CertificateFiles& files);

/// SHA-256 over the certificate in `chain`, in hexadecimal; empty when unreadable.
std::string certificate_fingerprint(const std::filesystem::path& chain);

}  // namespace holdfast::http
