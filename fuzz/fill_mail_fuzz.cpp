// Any bytes as a mail that is filled: a value adds no field and ends no part.
#include "fill_check.h"
#include "vault/fill/mail_text.h"

namespace {

namespace vault = holdfast::vault;

/// Lines of the first header: as many fields, whatever their values hold.
std::size_t fields(std::string_view text) {
  std::size_t out = 0;
  while (!text.empty() && !text.starts_with("\n") && !text.starts_with("\r\n")) {
    out += text[0] != ' ' && text[0] != '\t';
    auto end = text.find('\n');
    if (end == text.npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fuzz = vault::fuzz;
  if (size < 1) return 0;
  const auto filled = fuzz::check(vault::FillFormat::mail, data, size, false);
  const auto text = fuzz::with_tokens(data + 1, size - 1);
  if (!filled.empty()) fuzz::require(fields(filled) == fields(text));

  // What was encoded is decoded again.
  for (auto coding : {vault::BodyCoding::quoted_printable, vault::BodyCoding::base64}) {
    std::string coded, decoded;
    vault::BodyEncoder encoder;
    vault::BodyDecoder decoder;
    std::string plain;
    for (char c : text)
      if (c != '\r' && c != '\n') plain += c;
    encoder.write(coding, plain, "\n", coded);
    encoder.finish("\n", coded);
    for (std::size_t at = 0; at < coded.size();) {
      auto end = std::min(coded.find('\n', at), coded.size());
      fuzz::require(end - at <= 76);
      auto line = std::string_view(coded).substr(at, end - at);
      if (coding == vault::BodyCoding::quoted_printable && end < coded.size())
        line.remove_suffix(1);  // its soft break
      decoder.decode(coding, line, decoded);
      at = end + 1;
    }
    fuzz::require(decoded == plain);
  }
  return 0;
}
