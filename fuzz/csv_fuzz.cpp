// Any bytes, in chunks of two sizes, give the same rows and refusals; rows are what csv.h promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "vault/import/csv.h"
#include "vault/import/row_source.h"

namespace {

using namespace std::string_view_literals;
namespace vault = holdfast::vault;
using vault::ReadEvent;

void require(bool good) {
  if (!good) std::abort();
}

std::string place(vault::Place at) {
  require(at.line > 0 && at.column > 0);
  return std::to_string(at.line) + ':' + std::to_string(at.column) + ' ';
}

std::string rows(std::string_view file, std::size_t chunk) {
  vault::CsvReader reader;
  std::string out;
  for (auto event = reader.next(); event != ReadEvent::end; event = reader.next()) {
    if (event == ReadEvent::more) {
      if (file.empty()) reader.finish();
      reader.feed(file.substr(0, chunk));
      file.remove_prefix(std::min(chunk, file.size()));
      continue;
    }
    if (event == ReadEvent::row) {
      require(reader.fields().size() == reader.header().size());
      for (std::size_t i = 0; i < reader.fields().size(); ++i) {
        auto field = reader.fields()[i];
        require(holdfast::valid_utf8(field) && field.find('\0') == field.npos);
        out.append(place(reader.place(i))).append(field);
      }
    } else {
      out.append(place(reader.refusal().place)).append(reader.refusal().reason);
      if (event == ReadEvent::failed) break;
    }
    out += '\n';
  }
  return out;
}

void import(vault::Preset preset, std::string_view file) {
  auto source = vault::RowSource::of(preset);
  source.feed(file);
  source.finish();
  for (auto event = source.next(); event != ReadEvent::end && event != ReadEvent::failed;
       event = source.next()) {
    if (event != ReadEvent::row) continue;
    require(!source.row().external_id.empty());
    require(source.row().external_id.size() <= vault::kMaxExternalId);
    for (const auto& record : source.row().records) {
      require(!record.values.empty() && record.values.size() == record.places.size());
      require(record.key.size() <= vault::kMaxRecordKey);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view file(reinterpret_cast<const char*>(data) + 2, size - 2);

  require(rows(file, 1 + data[0]) == rows(file, file.size() + 1));
  import(static_cast<vault::Preset>(data[1] % 3), file);

  constexpr std::string_view kHeaders[] = {"Customer ID,First Name,Email,Phone,Tax Exempt\n"sv,
                                           "_website,_email,_entity_id,street,country_id\n"sv,
                                           "ID,user_email,billing_city,shipping_phone\n"sv};
  import(static_cast<vault::Preset>(data[1] % 3), std::string(kHeaders[data[1] % 3]).append(file));
  return 0;
}
