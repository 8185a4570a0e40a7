#include "journal/scan.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "journal/entry.h"

namespace holdfast::journal {
namespace {

Stamp stamp() {
  return {.id = EventId::make(from_ms(1'000)),
          .at = from_ms(1'795'426'200'123),
          .principal = "key_abc",
          .person = "per_xyz",
          .request_id = "req_1",
          .context = crypto::Digest{1},
          .note = crypto::Digest{2}};
}

Event event() {
  return {.activity = "records.reveal",
          .opened = true,
          .purpose = "support",
          .collection = "customers",
          .fields = {"email", "phone"},
          .facts = {{"zeta", std::int64_t{-3}}, {"alpha", "ü\n\"\x01"}}};
}

TEST(Entry, is_canonical_json_whatever_it_holds) {
  SubjectId subject;
  subject.uuid.fill(7);
  auto one = event();
  one.touches = {
      {.subject = subject, .kind = "records", .row = {1, 2, 3}, .left = crypto::Digest{9}}};
  auto batch = event();
  batch.touches = {one.touches[0], one.touches[0]};
  auto refused = event();
  refused.outcome = Outcome::refused;
  refused.reason = "forbidden";
  for (const auto& [made, root] :
       {std::pair(one, std::optional<crypto::Digest>()),
        std::pair(batch, std::optional(crypto::Digest{5})),
        std::pair(refused, std::optional<crypto::Digest>()),
        std::pair(Event{.activity = "a.b"}, std::optional<crypto::Digest>())}) {
    auto text = encode_entry(made, stamp(), root);

    ASSERT_TRUE(text);
    auto parsed = parse_json(*text);
    ASSERT_TRUE(parsed) << *text;
    EXPECT_EQ(*text, canonical_json(*parsed));
    EXPECT_TRUE(scan_entry(*text)) << *text;
  }
}

TEST(Entry, is_an_ocsf_api_activity_event) {
  auto text = encode_entry(event(), stamp(), {});

  auto parsed = parse_json(*text);
  const auto& object = parsed->get_object();
  EXPECT_EQ(object.at("class_uid").as_int64(), 6003);
  EXPECT_EQ(object.at("category_uid").as_int64(), 6);
  EXPECT_EQ(object.at("activity_id").as_int64(), 2);
  EXPECT_EQ(object.at("type_uid").as_int64(), 600302);
  EXPECT_EQ(object.at("severity_id").as_int64(), 1);
  EXPECT_EQ(object.at("time").as_int64(), 1'795'426'200'123);
  EXPECT_EQ(object.at("api").at("operation").as_string(), "records.reveal");
  EXPECT_EQ(object.at("metadata").at("version").as_string(), "1.3.0");
  EXPECT_EQ(object.at("metadata").at("product").at("name").as_string(), "Holdfast");
  EXPECT_TRUE(object.contains("actor"));
  EXPECT_TRUE(object.contains("src_endpoint"));
}

TEST(Entry, decodes_to_what_was_encoded) {
  SubjectId subject;
  subject.uuid.fill(7);
  auto made = event();
  made.touches = {
      {.subject = subject, .kind = "records", .row = {1, 2, 3}, .left = crypto::Digest{9}}};

  auto entry = decode_entry(*encode_entry(made, stamp(), {}));

  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->operation, "records.reveal");
  EXPECT_EQ(entry->actor, "per_xyz");
  EXPECT_EQ(entry->principal, "key_abc");
  EXPECT_TRUE(entry->opened);
  EXPECT_EQ(entry->fields, (std::vector<std::string>{"email", "phone"}));
  ASSERT_EQ(entry->touches.size(), 1u);
  EXPECT_EQ(entry->touches[0].subject, subject);
  EXPECT_EQ(entry->touches[0].row, (Bytes{1, 2, 3}));
  EXPECT_EQ(entry->touches[0].left, crypto::Digest{9});
  EXPECT_EQ(entry->kind_text, "records");
  EXPECT_EQ(entry->context, crypto::Digest{1});
  EXPECT_EQ(entry->note, crypto::Digest{2});
}

TEST(Entry, that_is_too_long_is_refused) {
  auto long_event = event();
  long_event.facts = {{"text", std::string(70'000, 'x')}};

  auto text = encode_entry(long_event, stamp(), {});

  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, Code::too_large);
}

TEST(Scan, finds_what_the_decoder_finds) {
  SubjectId subject;
  subject.uuid.fill(7);
  auto made = event();
  made.touches = {
      {.subject = subject, .kind = "records", .row = {1, 2, 3}, .left = crypto::Digest{9}}};
  auto text = *encode_entry(made, stamp(), {});

  auto view = scan_entry(text);
  auto entry = decode_entry(text);

  ASSERT_TRUE(view);
  EXPECT_EQ(view->id, entry->id);
  EXPECT_EQ(view->operation, entry->operation);
  EXPECT_EQ(view->principal, entry->principal);
  EXPECT_EQ(view->actor, entry->actor);
  EXPECT_EQ(view->outcome, entry->outcome);
  EXPECT_EQ(view->subject, subject.text());
  EXPECT_EQ(view->kind, "records");
  EXPECT_EQ(view->row, base64url(Bytes{1, 2, 3}));
  EXPECT_EQ(view->at_ms, to_ms(entry->at));
  EXPECT_EQ(view->touched, 1);
  EXPECT_TRUE(view->opened);
}

TEST(Scan, refuses_what_is_not_canonical) {
  const std::string good = R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5})";
  ASSERT_TRUE(scan_entry(good));
  for (
      std::string_view bad :
      {R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5} )",
       R"( {"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5})",
       R"({"api": {"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5})",
       R"({"metadata":{"uid":"evt_1"},"api":{"operation":"a.b"},"time":5})",
       R"({"api":{"operation":"a.b"},"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":05})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":-0})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5.0})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5e1})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":9007199254740993})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":"5"})",
       R"({"api":{"operation":"a\u002eb"},"metadata":{"uid":"evt_1"},"time":5})",
       R"({"api":{"operation":"a\/b"},"metadata":{"uid":"evt_1"},"time":5})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5,})",
       R"({"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5)",
       R"({"api":{"operation":"a.b"},"time":5})",
       R"([])",
       "",
       "{",
       "{}",
       "null",
       R"({"a":[[[[[[[[[[1]]]]]]]]]],"api":{"operation":"a.b"},"metadata":{"uid":"evt_1"},"time":5})",
       "{\"api\":{\"operation\":\"a\xff\"},\"metadata\":{\"uid\":\"evt_1\"},\"time\":5}",
       "{\"api\":{\"operation\":\"a\tb\"},\"metadata\":{\"uid\":\"evt_1\"},\"time\":5}"})
    EXPECT_FALSE(scan_entry(bad)) << bad;
}

TEST(Scan, refuses_every_entry_that_is_cut_off) {
  const auto good = *encode_entry(event(), stamp(), {});
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(scan_entry(std::string_view(good).substr(0, size)));
}

TEST(Leaf, comes_back_as_it_went_in) {
  SubjectId subject;
  subject.uuid.fill(7);
  for (const Touch& touch :
       {Touch{.subject = subject, .kind = "records", .row = {1}, .left = crypto::Digest{3}},
        Touch{.kind = "records", .row = {2}, .left = crypto::Digest{3}, .was = crypto::Digest{4}},
        Touch{.kind = "collections", .row = {}}}) {
    auto leaf = encode_leaf(touch);

    auto read = decode_leaf(leaf);

    ASSERT_TRUE(read);
    EXPECT_EQ(read->subject, touch.subject);
    EXPECT_EQ(read->kind, touch.kind);
    EXPECT_EQ(read->row, touch.row);
    EXPECT_EQ(read->left, touch.left);
    EXPECT_EQ(read->was, touch.was);
    for (std::size_t size = 0; size < leaf.size(); ++size)
      EXPECT_FALSE(decode_leaf(BytesView(leaf).first(size)));
  }
}

}  // namespace
}  // namespace holdfast::journal
