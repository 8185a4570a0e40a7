// Any bytes as CSV that is filled: a value is one cell's, whatever it holds.
#include "fill_check.h"
#include "vault/import/csv.h"

namespace {

namespace vault = holdfast::vault;

/// Rows as the importer reads them, refused ones left out: how many, and of how many cells.
std::vector<std::size_t> shape(std::string_view text) {
  vault::CsvReader reader(',');
  reader.feed(text);
  reader.finish();
  std::vector<std::size_t> out;
  for (auto event = reader.next(); event != vault::ReadEvent::end; event = reader.next()) {
    if (event == vault::ReadEvent::failed || event == vault::ReadEvent::refused) return {};
    if (event == vault::ReadEvent::row) out.push_back(reader.fields().size());
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fuzz = vault::fuzz;
  (void)fuzz::check(vault::FillFormat::csv, data, size, true);
  if (size < 1) return 0;
  // A table that is read as one without values has the same rows and cells with them.
  const auto text = "a,b,c,d,e\n" + fuzz::with_tokens(data + 1, size - 1);
  const auto before = shape(text);
  const auto filled = fuzz::fill(vault::FillFormat::csv, text, 1 + data[0], fuzz::kHostile);
  if (!before.empty() && filled.failed.empty()) fuzz::require(shape(filled.text) == before);
  return 0;
}
