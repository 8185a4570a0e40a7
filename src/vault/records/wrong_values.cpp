#include "vault/records/wrong_values.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kCountWrong{"vault.count_wrong",
                                     "insert into vault_wrong_values (subject, collection, field, "
                                     "day, wrong) values ($1, $2, $3, $4, $5) "
                                     "on conflict (subject, collection, field, day) do update set "
                                     "wrong = vault_wrong_values.wrong + excluded.wrong "
                                     "where vault_wrong_values.wrong < $6"};
inline constexpr db::Sql kDropWrong{"vault.drop_wrong",
                                    "delete from vault_wrong_values where day < $1"};
inline constexpr db::Sql kReadSpent{"vault.read_spent",
                                    "select subject, field from vault_wrong_values where subject "
                                    "{{in $1}} and collection = $2 and day = $3 and wrong >= 5"};
inline constexpr db::Sql kReadWrong{"vault.read_wrong",
                                    "select collection, field, wrong from vault_wrong_values "
                                    "where subject = $1 and day = $2"};

std::int64_t day_of(Time now) {
  return to_ms(now) / 86'400'000;
}

}  // namespace

Error values_used_up() {
  return {Code::exhausted,
          "five wrong values were offered for this field today: it can be compared again tomorrow "
          "(UTC)"};
}

Task<Result<std::set<Compared>>> used_up(db::Reader& reader, const std::vector<SubjectId>& subjects,
                                         std::uint32_t collection, Time now, MonoTime deadline) {
  db::List list;
  for (auto subject : subjects) list.cells.emplace_back(to_bytes(subject.bytes()));
  auto rows = co_await reader.read(
      kReadSpent, {std::move(list), std::int64_t{collection}, day_of(now)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::set<Compared> out;
  for (std::size_t i = 0; i < rows->size(); ++i)
    out.insert({SubjectId::from((*rows)[i].bytes(0)).value_or(SubjectId{}),
                static_cast<std::uint32_t>((*rows)[i].integer(1))});
  co_return out;
}

Task<Result<std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t>>> wrong_today(
    db::Reader& reader, SubjectId whose, Time now, MonoTime deadline) {
  auto rows = co_await reader.read(kReadWrong, {to_bytes(whose.bytes()), day_of(now)}, deadline);
  if (!rows) co_return std::move(rows).error();
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::int64_t> out;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto& row = (*rows)[i];
    out.emplace(std::pair(static_cast<std::uint32_t>(row.integer(0)),
                          static_cast<std::uint32_t>(row.integer(1))),
                row.integer(2));
  }
  co_return out;
}

void count_wrong(db::Changes& changes, std::uint32_t collection,
                 const std::map<Compared, bool>& wrong, Time now, db::Expect expect) {
  if (wrong.empty()) return;
  changes.write(kDropWrong, {day_of(now)});
  for (const auto& [one, is_wrong] : wrong)
    changes.write(kCountWrong,
                  {to_bytes(one.subject.bytes()), std::int64_t{collection}, std::int64_t{one.field},
                   day_of(now), std::int64_t{is_wrong}, kWrongValues},
                  expect, values_used_up());
}

Error guesses_used_up() {
  return {Code::exhausted,
          "too many searches today compared values that you may not see and missed: these fields "
          "can be searched together with others again tomorrow (UTC)"};
}

SubjectId place_of_tries(const crypto::KeySet& keys, std::string_view what,
                         std::string_view caller) {
  Bytes input;
  put_part(input, what);
  put_part(input, caller);
  auto mac = keys.digest.mac(input);
  return SubjectId::from(BytesView(mac).first(16)).value_or(SubjectId{});
}

void count_guessing(db::Changes& changes, SubjectId guesser, std::uint32_t collection,
                    const std::set<std::uint32_t>& fields, Time now) {
  for (auto field : fields)
    changes.write(kCountWrong,
                  {to_bytes(guesser.bytes()), std::int64_t{collection}, std::int64_t{field},
                   day_of(now), std::int64_t{1}, kGuessingSearches},
                  db::Expect::exactly(1), guesses_used_up());
}

std::span<const db::Sql* const> wrong_value_statements() {
  static constexpr const db::Sql* kAll[] = {&kCountWrong, &kDropWrong, &kReadSpent, &kReadWrong};
  return kAll;
}

}  // namespace holdfast::vault
