// Any bytes as JSON lines: the same from chunks of two sizes, and through a preset and a mapping.
#include <algorithm>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "vault/import/json_lines.h"
#include "vault/import/row_source.h"

namespace {

namespace vault = holdfast::vault;
using vault::ReadEvent;

void require(bool good) {
  if (!good) std::abort();
}

std::string lines(std::string_view file, std::size_t chunk) {
  vault::JsonLinesReader reader;
  std::string out;
  for (auto event = reader.next(); event != ReadEvent::end; event = reader.next()) {
    if (event == ReadEvent::more) {
      if (file.empty()) reader.finish();
      reader.feed(file.substr(0, chunk));
      file.remove_prefix(std::min(chunk, file.size()));
      continue;
    }
    out += std::to_string(reader.place().line);
    if (event == ReadEvent::row)
      out += holdfast::canonical_json(reader.object());
    else
      out += reader.refusal().reason;
    out += '\n';
    if (event == ReadEvent::failed) break;
  }
  return out;
}

void import(vault::RowSource source, std::string_view file) {
  source.feed(file);
  source.finish();
  for (auto event = source.next(); event != ReadEvent::end && event != ReadEvent::failed;
       event = source.next())
    if (event == ReadEvent::row)
      require(!source.row().external_id.empty() &&
              source.row().external_id.size() <= vault::kMaxExternalId);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view file(reinterpret_cast<const char*>(data) + 1, size - 1);

  require(lines(file, 1 + data[0]) == lines(file, file.size() + 1));
  import(vault::RowSource::of(vault::Preset::vendure), file);
  import(vault::RowSource::of(vault::Preset::medusa), file);

  vault::Mapping mapping{.external_id = "id",
                         .collection = "customers",
                         .fields = {{"a", "a"}, {"b", "b.c"}, {"d", "d.e.f"}},
                         .key = "k"};
  auto own = vault::RowSource::of(mapping, vault::ImportFormat::json_lines);
  require(own.has_value());
  import(std::move(*own), file);
  return 0;
}
