#include "db/database.h"

#include <cstdio>

namespace holdfast::db {

void print_bug(std::string_view statement, std::string_view message) {
  std::fprintf(stderr, "holdfast: statement %.*s: %.*s\n", static_cast<int>(statement.size()),
               statement.data(), static_cast<int>(message.size()), message.data());
}

}  // namespace holdfast::db
