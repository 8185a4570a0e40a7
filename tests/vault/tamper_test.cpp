// Values moved, changed and put back in the database: never a wrong plaintext, and
// `journal check --state` names the row.
#include <algorithm>
#include <set>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultTamper : public Vault {
 protected:
  std::string of(RecordId record) { return " where id = " + bench_.raw().literal(record.bytes()); }
  Bytes sealed(RecordId record) {
    return bench_.raw().bytes("select sealed from vault_records" + of(record));
  }
  void put(RecordId record, BytesView row) {
    auto raw = bench_.raw();
    raw.run("update vault_records set sealed = " + raw.literal(row) + of(record));
  }
  /// What the state check says of a record: "changed", "unrecorded", "missing" or nothing.
  std::string finding(RecordId record) {
    auto report = bench_.state();
    auto names = [&](const std::vector<journal::StateRow>& rows) {
      return std::ranges::any_of(
          rows, [&](const auto& row) { return row.row == to_bytes(record.bytes()); });
    };
    return names(report.changed)      ? "changed"
           : names(report.unrecorded) ? "unrecorded"
           : names(report.missing)    ? "missing"
                                      : "";
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultTamper, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultTamper, a_row_of_another_record_does_not_open) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto again = bench_.create("ext:1", {{"email", "ann@example.net"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto of_ann = sealed(ann.record), of_again = sealed(again.record), of_bob = sealed(bob.record);

  put(ann.record, of_again);
  EXPECT_EQ(bench_.opened(ann.record, "email"), "corrupt") << "of the same customer";
  put(ann.record, of_bob);
  EXPECT_EQ(bench_.opened(ann.record, "email"), "corrupt") << "of another customer";
  EXPECT_EQ(finding(ann.record), "changed");
  put(ann.record, of_ann);
  EXPECT_EQ(bench_.opened(ann.record, "email"), "ann@example.org");
  EXPECT_EQ(finding(ann.record), "");
}

TEST_P(VaultTamper, a_value_moved_to_another_field_does_not_open) {
  auto made = bench_.create("ext:1", {{"first_name", "Ann"}, {"last_name", "Lee"}});
  auto fields = must(unpack(sealed(made.record)));
  ASSERT_EQ(fields.size(), 2u);
  std::swap(fields[0].sealed, fields[1].sealed);
  put(made.record, pack(fields));

  EXPECT_EQ(bench_.opened(made.record, "first_name"), "corrupt");
  EXPECT_EQ(bench_.opened(made.record, "last_name"), "corrupt");
}

TEST_P(VaultTamper, a_value_of_another_schema_version_does_not_open) {
  auto made = bench_.create("ext:1", {{"first_name", "Ann"}});
  auto fields = must(unpack(sealed(made.record)));
  fields[0].since += 1;
  put(made.record, pack(fields));

  EXPECT_EQ(bench_.opened(made.record, "first_name"), "corrupt");
}

TEST_P(VaultTamper, a_record_moved_to_another_customer_does_not_open) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  raw.run("update vault_records set subject = " + raw.literal(bob.subject.bytes()) +
          of(ann.record));

  EXPECT_EQ(bench_.opened(ann.record, "email"), "corrupt");
  EXPECT_EQ(finding(ann.record), "changed");
}

TEST_P(VaultTamper, keys_of_another_customer_open_nothing) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  raw.run(
      "update vault_subject_keys set wrapped = (select wrapped from vault_subject_keys where "
      "subject = " +
      raw.literal(bob.subject.bytes()) + ") where subject = " + raw.literal(ann.subject.bytes()));

  EXPECT_EQ(bench_.opened(ann.record, "email"), "corrupt");
}

TEST_P(VaultTamper, an_older_value_put_back_is_named) {
  auto made = bench_.create("ext:1", {{"phone", "030 1111111"}});
  auto older = sealed(made.record);
  bench_(bench_.records().update({}, {made.record, values({{"phone", "030 2222222"}}), {}, {}}));
  ASSERT_EQ(finding(made.record), "");

  put(made.record, older);

  EXPECT_EQ(finding(made.record), "changed");
}

TEST_P(VaultTamper, a_row_added_or_taken_away_is_named) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  auto forged = RecordId::make(bench_.clock().now());
  raw.run(
      "insert into vault_records (id, subject, collection, slot, version, created_ms, updated_ms, "
      "sealed) select " +
      raw.literal(forged.bytes()) +
      ", subject, collection, slot, version, created_ms, updated_ms, sealed "
      "from vault_records" +
      of(ann.record));
  raw.run("delete from vault_records" + of(bob.record));

  EXPECT_EQ(finding(forged), "unrecorded");
  EXPECT_EQ(finding(bob.record), "missing");
  EXPECT_EQ(bench_.opened(forged, "email"), "corrupt");
}

TEST_P(VaultTamper, an_erased_customer_put_back_is_named) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}});
  must(bench_.erase("ext:1"));
  auto raw = bench_.raw();
  raw.run("update vault_subjects set erased_ms = null where id = " +
          raw.literal(made.subject.bytes()));

  auto report = bench_.state();

  ASSERT_EQ(report.changed.size(), 1u);
  EXPECT_EQ(report.changed[0].kind, "subjects");
}

TEST_P(VaultTamper, a_stored_date_changed_is_named) {
  auto made = bench_.create("ext:1", {{"last_ip", "203.0.113.9"}});
  auto raw = bench_.raw();
  raw.run("update vault_records set updated_ms = updated_ms + 86400000000" + of(made.record));

  EXPECT_EQ(finding(made.record), "changed") << "it would put off the end of its keep time";
}

TEST_P(VaultTamper, an_index_row_bent_to_another_record_finds_nothing_wrong) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  raw.run("delete from vault_index where record = " + raw.literal(bob.record.bytes()));
  raw.run("update vault_index set record = " + raw.literal(bob.record.bytes()) +
          " where record = " + raw.literal(ann.record.bytes()));

  auto found = must(bench_.find({{"email", "ann@example.org"}}));

  EXPECT_TRUE(found.records.empty()) << "candidates are opened and compared";
}

TEST_P(VaultTamper, index_rows_that_were_taken_out_keep_nothing_from_being_erased) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  bench_.raw().run("delete from vault_index");

  bench_(bench_.records().update({}, {ann.record, values({{"email", "new@example.org"}}), {}, {}}));
  EXPECT_EQ(must(bench_.find({{"email", "new@example.org"}})).records.size(), 1u);
  must(bench_.erase("ext:1"));
  EXPECT_EQ(bench_.opened(ann.record, "email"), "not_found");
  bench_(bench_.records().remove({}, {bob.record, "1"}));
}

TEST_P(VaultTamper, a_trigger_that_keeps_keys_makes_no_erasure) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto raw = bench_.raw();
  const bool sqlite = GetParam() == db::Database::Kind::sqlite;
  if (sqlite) {
    raw.run(
        "create trigger kept before delete on vault_subject_keys begin select raise(ignore); end");
  } else {
    raw.run(
        "create function kept() returns trigger language plpgsql as $$begin return null; end$$");
    raw.run(
        "create trigger kept before delete on vault_subject_keys for each row execute function "
        "kept()");
  }

  auto erased = bench_.erase("ext:1");

  if (sqlite) {
    EXPECT_TRUE(erased) << "triggers are off";
    EXPECT_EQ(bench_.opened(ann.record, "email"), "not_found");
  } else {
    EXPECT_EQ(code_of(erased), Code::corrupt) << "not said to be done";
    EXPECT_EQ(bench_.opened(ann.record, "email"), "ann@example.org");
  }
}

TEST_P(VaultTamper, every_byte_of_a_sealed_row_counts) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}, {"first_name", "Ann"}});
  const auto row = sealed(made.record);
  auto raw = bench_.raw();
  auto where = of(made.record);

  for (std::size_t at = 0; at < row.size(); ++at) {
    auto flipped = row;
    flipped[at] ^= static_cast<std::uint8_t>(1u << (at % 8));
    raw.run("update vault_records set sealed = " + raw.literal(flipped) + where);

    auto email = bench_.opened(made.record, "email");
    auto name = bench_.opened(made.record, "first_name");

    // A value whose field number was changed is no longer there; whatever is shown is right.
    EXPECT_TRUE(email == "corrupt" || email == "-" || email == "ann@example.org")
        << at << ": " << email;
    EXPECT_TRUE(name == "corrupt" || name == "-" || name == "Ann") << at << ": " << name;
    EXPECT_FALSE(email == "ann@example.org" && name == "Ann") << at << ": nobody noticed";
    bench_.journal().events.clear();
  }
}

TEST_P(VaultTamper, a_row_cut_off_anywhere_does_not_open) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  const auto row = sealed(made.record);
  auto raw = bench_.raw();
  auto where = of(made.record);

  for (std::size_t size = 0; size < row.size(); ++size) {
    raw.run("update vault_records set sealed = " + raw.literal(BytesView(row).first(size)) + where);

    EXPECT_EQ(bench_.opened(made.record, "email"), "corrupt") << size;
  }
}

TEST_P(VaultTamper, one_damaged_record_does_not_hide_the_others) {
  auto ann = bench_.create("ext:1", {{"last_name", "Lee"}});
  bench_.clock().advance(Millis{1});
  bench_.create("ext:2", {{"last_name", "Lee"}});
  auto row = sealed(ann.record);
  row.back() ^= 1;
  put(ann.record, row);

  auto found = must(bench_.find({{"last_name", "Lee"}}));
  auto batch =
      bench_(bench_.opening().reveal_batch({}, {{ann.record}, {"last_name"}, "support", {}}));

  EXPECT_EQ(found.records.size(), 1u);
  EXPECT_EQ(refusal(batch.records.at(0).refused, "last_name"), "corrupt");
}

TEST_P(VaultTamper, a_key_that_is_deleted_or_exchanged_is_told_by_what_it_opened) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto cyd = bench_.create("ext:3", {{"email", "cyd@example.org"}});
  auto raw = bench_.raw();
  auto owned = [&](SubjectId subject) {
    return " where subject = " + raw.literal(subject.bytes());
  };
  ASSERT_TRUE(bench_.state().good());

  raw.run("delete from vault_subject_keys" + owned(ann.subject));
  auto of_cyd = raw.bytes("select wrapped from vault_subject_keys" + owned(cyd.subject));
  raw.run("update vault_subject_keys set wrapped = " + raw.literal(of_cyd) + owned(bob.subject));

  auto report = bench_.state();
  EXPECT_EQ(bench_.opened(ann.record, "email"), "erased");
  EXPECT_EQ(bench_.opened(bob.record, "email"), "corrupt");
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.closed_total, 4);
  std::set<Bytes> named;
  for (const auto& row : report.closed) named.insert(row.row);
  EXPECT_EQ(named, (std::set<Bytes>{to_bytes(ann.record.bytes()), to_bytes(ann.subject.bytes()),
                                    to_bytes(bob.record.bytes()), to_bytes(bob.subject.bytes())}));
}

TEST_P(VaultTamper, a_request_whose_key_is_deleted_is_told) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto ask = [&](std::string whose, std::optional<std::string> text) {
    OpenRequest request{.subject = std::move(whose), .kind = DemandKind::access};
    if (text) request.text = Secret::copy(std::string_view(*text));
    return bench_(bench_.requests().open({}, std::move(request))).request;
  };
  const auto asked = ask("ext:1", "Everything since March, please");
  ask("ext:1", {});
  ask("ext:2", "All of it");
  ASSERT_TRUE(bench_.state().good());

  auto raw = bench_.raw();
  raw.run("delete from vault_subject_keys where keep_group = '@requests' and subject = " +
          raw.literal(ann.subject.bytes()));

  auto report = bench_.state();
  ASSERT_EQ(report.closed_total, 1);
  EXPECT_EQ(report.closed[0].row, to_bytes(asked.bytes()));
}

}  // namespace
}  // namespace holdfast::vault
