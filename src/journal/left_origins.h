// Names under which a store's log went on, and which it left for another: after a restore, and
// after a roll-back that was accepted.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/described.h"
#include "db/changes.h"

namespace holdfast::journal {

struct LeftOrigin {
  std::string origin;
  std::int64_t size = 0;  // entries up to which the database holds the customers' keys of then
  static std::span<const Member> described();
};

/// Notes it (origin, size); of two sizes the larger counts.
const db::Sql& leave_origin_statement();

}  // namespace holdfast::journal
