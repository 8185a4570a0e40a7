#include "db/changes.h"

#include <iterator>
#include <utility>

namespace holdfast::db {

Changes& Changes::write(const Sql& sql, Args args, Expect expect, Error error) {
  std::vector<Args> rows;
  rows.push_back(std::move(args));
  return bulk(sql, std::move(rows), expect, std::move(error));
}

Changes& Changes::bulk(const Sql& sql, std::vector<Args> rows, Expect expect, Error error) {
  writes_.push_back(
      {.sql = &sql, .rows = std::move(rows), .expect = expect, .error = std::move(error)});
  return *this;
}

Changes& Changes::guard(const Sql& sql, Args args, Error error) {
  return write(sql, std::move(args), {Expect::Kind::guard, 0}, std::move(error));
}

Changes& Changes::script(std::string text) {
  writes_.push_back({.error = changed(), .script = std::move(text)});
  return *this;
}

Changes& Changes::append(Changes other) {
  writes_.insert(writes_.end(), std::make_move_iterator(other.writes_.begin()),
                 std::make_move_iterator(other.writes_.end()));
  growing_ |= other.growing_;
  return *this;
}

}  // namespace holdfast::db
