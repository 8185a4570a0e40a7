// The part of a keys file that says of when it is.
#include <cstdint>
#include <cstdlib>

#include "app/backup_window.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  auto window = app::read_window({reinterpret_cast<const char*>(data), size});
  if (!window) return 0;
  auto end = app::afterlog_of(*window);
  if (!end || !*end) return 0;
  auto again = *window;
  app::put_afterlog(again, **end);
  auto second = app::afterlog_of(again);
  if (!second || !*second || **second != **end) std::abort();
  return 0;
}
