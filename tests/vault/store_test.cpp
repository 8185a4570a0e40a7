#include "vault/store.h"

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "db/sql.h"
#include "vault/keys/rotation_rows.h"
#include "vault/keys/rotation_walk.h"
#include "vault/keys/unlock_state.h"
#include "vault/records/wrong_values.h"
#include "vault/reports/counts.h"
#include "vault/search/compaction.h"
#include "vault/search/postings.h"
#include "vault/tokens/rows.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

std::vector<const db::Sql*> all_statements() {
  std::vector<const db::Sql*> out;
  for (auto list : {statements(),
                    wrong_value_statements(),
                    token_statements(),
                    subject_statements(),
                    request_statements(),
                    rights_statements(),
                    rotation_rights_statements(),
                    state_statements(),
                    rotation_row_statements(),
                    rotation_statements(),
                    rotation_value_statements(),
                    walk::statements(),
                    token_row_statements(),
                    engagement_row_statements(),
                    engagement_statements(),
                    canary_statements(),
                    engagement_rotation_statements(),
                    canary_rotation_statements(),
                    hold_statements(),
                    hold_row_statements(),
                    sweep_statements(),
                    past_engagement_statements(),
                    count_statements(),
                    unlock_statements(),
                    search_statements(),
                    posting_statements(),
                    rebuild_statements(),
                    compaction_statements(),
                    distribution_statements(),
                    index_rotation_statements()})
    out.insert(out.end(), list.begin(), list.end());
  return out;
}

/// Names as they stand in the sources.
std::set<std::string> written_statements() {
  std::set<std::string> out;
  const std::regex name(R"re(db::Sql k\w+\{\s*"([a-z_.]+)")re");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::filesystem::path(HOLDFAST_SOURCE_DIR) / "src/vault")) {
    if (entry.path().extension() != ".h" && entry.path().extension() != ".cpp") continue;
    std::ifstream file(entry.path());
    std::string text(std::istreambuf_iterator<char>(file), {});
    for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at)
      out.insert((*at)[1]);
  }
  return out;
}

class VaultStore : public Vault {};
INSTANTIATE_TEST_SUITE_P(Databases, VaultStore, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultStore, statements_fit_the_schema) {
  auto raw = bench_.raw();
  auto dialect =
      bench_.kind() == db::Database::Kind::sqlite ? db::Dialect::sqlite : db::Dialect::postgres;

  for (const auto* sql : all_statements()) {
    auto translated = must(db::translate(dialect, sql->text)).text;
    // The function that unpacks lists is the server's own.
    translated = std::regex_replace(
        translated, std::regex(R"(select value from holdfast_list\((\?\d+)\))"), "select $1");
    EXPECT_NO_THROW(raw.prepare(translated)) << sql->name << ": " << translated;
    if (dialect == db::Dialect::sqlite) continue;
    if (auto arrays = test::as_arrays(*sql); !arrays.empty())
      EXPECT_NO_THROW(raw.prepare(arrays)) << sql->name << ": " << arrays;
  }
}

TEST(VaultStatements, are_all_listed_and_named_once) {
  std::set<std::string> listed;
  for (const auto* sql : all_statements())
    EXPECT_TRUE(listed.insert(std::string(sql->name)).second) << sql->name;

  EXPECT_EQ(listed, written_statements());
}

TEST(VaultStatements, touch_no_other_rooms_tables) {
  const std::regex foreign(R"(\b(access|journal|identity|scratch|sqlite|pg)_\w+)");

  for (const auto* sql : all_statements()) {
    EXPECT_TRUE(sql->name.starts_with("vault.")) << sql->name;
    EXPECT_FALSE(std::regex_search(std::string(sql->text), foreign)) << sql->name;
  }
}

}  // namespace
}  // namespace holdfast::vault
