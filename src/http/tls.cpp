#include "http/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "http/certificate.h"

namespace holdfast::http {

namespace ssl = boost::asio::ssl;

namespace {

constexpr unsigned char kHttp11[] = "\x08http/1.1";

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11 - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301: no_application_protocol
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<TlsContext> server_context(const CertificateFiles& files) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  auto* raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(raw, TLS1_3_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                               SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  bool set = SSL_CTX_set_cipher_list(raw,
                                     "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305") &&
             SSL_CTX_set_ciphersuites(raw,
                                      "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256") &&
             SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384");
  if (!set) return Error(Code::internal, "OpenSSL lacks the ciphers that TLS 1.2 and 1.3 need");
  SSL_CTX_set_alpn_select_cb(raw, select_protocol, nullptr);

  if (SSL_CTX_use_certificate_chain_file(raw, files.chain.c_str()) != 1)
    return Error(Code::invalid,
                 "the certificate file cannot be read or is not PEM (server.certificate)");
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return Error(Code::invalid,
                 "the certificate's key file cannot be read, is not PEM, or does not belong to the "
                 "certificate (server.certificate_key)");
  return context;
}

std::string certificate_fingerprint(const std::filesystem::path& chain) {
  auto certificate = read_certificate(chain);
  if (!certificate) return {};
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate->get(), EVP_sha256(), digest, &size) != 1) return {};
  return hex({digest, size});
}

}  // namespace holdfast::http
