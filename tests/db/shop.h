// Tables and statements that several tests of this folder share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "db/database.h"
#include "support/database.h"

namespace holdfast::db::shop {

inline constexpr Migration kKnown[] = {
    {"shop", 1, "tables",
     "create table orders (\n"
     "  id {{int}} primary key,\n"
     "  parent {{int}} references orders (id),\n"
     "  name {{text}},\n"
     "  data {{bytes}}\n"
     ") {{strict}};\n"
     "create table counters (id {{int}} primary key, value {{int}} not null) {{strict}};\n"
     "insert into counters (id, value) values (1, 0);\n"},
    {"shop", 2, "lines",
     "create table lines (\n"
     "  orders {{int}} not null references orders (id),\n"
     "  number {{int}} not null,\n"
     "  primary key (orders, number)\n"
     ") {{strict, without rowid}};\n"}};

inline constexpr Sql kInsertOrder{
    "shop.insert_order", "insert into orders (id, parent, name, data) values ($1, $2, $3, $4)"};
inline constexpr Sql kInsertLine{"shop.insert_line",
                                 "insert into lines (orders, number) values ($1, $2)"};
inline constexpr Sql kListOrders{"shop.list_orders",
                                 "select id, parent, name, data from orders order by id"};
inline constexpr Sql kListIds{"shop.list_ids", "select id from orders order by id"};
inline constexpr Sql kCountOrders{"shop.count_orders", "select count(*) from orders"};
inline constexpr Sql kCountLines{"shop.count_lines", "select count(*) from lines"};
inline constexpr Sql kAdd{"shop.add",
                          "update counters set value = value + $1 where id = 1 returning value"};
inline constexpr Sql kValue{"shop.value", "select value from counters where id = 1"};

inline Args order(std::int64_t id, std::size_t bytes = 10) {
  return {id, {}, "order " + std::to_string(id), Bytes(bytes, static_cast<std::uint8_t>(id))};
}
inline Changes insert(std::int64_t id, std::size_t bytes = 10) {
  return Changes().write(kInsertOrder, order(id, bytes), Expect::exactly(1));
}

}  // namespace holdfast::db::shop
