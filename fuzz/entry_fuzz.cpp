// Entries and leaves as they come out of a database that somebody may have written to.
#include <boost/json.hpp>
#include <cstdlib>

#include "base/json.h"
#include "journal/access_rows.h"
#include "journal/check.h"
#include "journal/entry.h"
#include "journal/scan.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  BytesView bytes(data, size);
  auto text = as_text(bytes);
  auto view = journal::scan_entry(text);
  auto entry = journal::decode_entry(text);
  if (view) {
    // What the scanner takes is canonical, and reads the same the slow way.
    auto parsed = parse_json(text);
    if (!parsed || canonical_json(*parsed) != text) std::abort();
    if (entry && view->id.find('\\') == std::string_view::npos && view->id != entry->id)
      std::abort();
    if (entry && (view->opened != entry->opened || view->at_ms != to_ms(entry->at))) std::abort();
  }

  if (auto touch = journal::decode_leaf(bytes)) {
    journal::Touch copy = *touch;
    if (journal::encode_leaf(copy).size() != size) std::abort();
  }
  if (auto leaves = journal::split_leaves(bytes)) {
    if (journal::join_leaves(*leaves) != to_bytes(bytes)) std::abort();
    (void)journal::leaves_root(*leaves);
  }
  journal::EntryToCheck one{.seq = 0, .entry = text, .leaves = bytes};
  (void)journal::check_entries({&one, 1});
  journal::EntryWithLeaves with{{0, {}, std::string(text)}, {to_bytes(bytes)}};
  (void)journal::access_rows({&with, 1});
  return 0;
}
