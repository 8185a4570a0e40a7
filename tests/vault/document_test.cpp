#include "vault/subjects/document.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/json.h"

namespace holdfast::vault {
namespace {

std::string html(std::string_view text) {
  std::string out;
  append_html(out, text);
  return out;
}

/// A document with one of everything, each holding the same text.
std::string document(ExportFormat format, std::string_view text) {
  auto made = make_document(format);
  DocumentHead head{.made = from_ms(0),
                    .subject = {},
                    .created = from_ms(0),
                    .external_ids = {},
                    .standing = {},
                    .purposes = {}};
  head.external_ids.push_back(Secret::copy(text));
  head.purposes.push_back({"support", LegalBasis::contract, std::string(text), 1});
  auto out = made->begin(head);
  DocumentRecord record{.record = {},
                        .collection = "customers",
                        .meaning = std::string(text),
                        .slot = "main",
                        .values = {}};
  record.values.push_back({.field = "email",
                           .purposes = {"support"},
                           .keep_group = "account",
                           .kept_until = {},
                           .shown = Shown::clear,
                           .value = Secret::copy(text)});
  out += made->record(record);
  out += made->decision({.decision = {},
                         .at = from_ms(0),
                         .decided = "consent_given",
                         .purpose = "marketing",
                         .evidence = Secret::copy(text)});
  Demand demand{.id = {},
                .subject = {},
                .kind = "access",
                .state = "open",
                .identity = "unchecked",
                .alarmed = {},
                .answered = {},
                .outcome = {},
                .event = {},
                .asked = {},
                .answer = {}};
  out += made->request(demand);
  out += made->engagement({.engagement = {}, .kind = "ticket", .reference = Secret::copy(text)});
  out += made->access({1,
                       "evt",
                       from_ms(0),
                       std::string(text),
                       "key",
                       "records.reveal",
                       "support",
                       {std::string(text)}});
  return out + made->end();
}

TEST(Document, escapes_everything_that_html_could_take_for_its_own) {
  EXPECT_EQ(html(R"(<script>alert("1")</script>)"),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
  EXPECT_EQ(html("a & b ' ` c"), "a &amp; b &#39; &#96; c");
  EXPECT_EQ(html("two\nlines"), "two\nlines");
  EXPECT_EQ(html(std::string_view("a\0b\x1f\x7f", 5)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(html("\xff\xfe<b>"), "\xEF\xBF\xBD") << "not UTF-8";
  EXPECT_EQ(html("Jürgen"), "Jürgen");
}

TEST(Document, of_hostile_values_holds_no_markup_of_theirs) {
  auto out = document(ExportFormat::html, R"("><script>x</script><img src=x onerror=y>&#x3c;`)");

  EXPECT_EQ(out.find("<script"), std::string::npos);
  EXPECT_EQ(out.find("<img"), std::string::npos);
  EXPECT_EQ(out.find("&#x3c;"), std::string::npos);
  EXPECT_NE(out.find("default-src 'none'"), std::string::npos);
  for (auto never : {"<a ", "<form", "<link", "src=\"", "href="})
    EXPECT_EQ(out.find(never), std::string::npos) << never;
}

TEST(Document, in_json_is_strict_json) {
  for (std::string_view text : {"plain", "quo\"te \\ <b>\n", "Jürgen \xF0\x9F\x98\x80"}) {
    auto parsed = parse_json(document(ExportFormat::json, text));

    ASSERT_TRUE(parsed) << text;
    const auto& object = parsed->as_object();
    EXPECT_EQ(object.at("format").as_string(), "holdfast-export-1");
    EXPECT_EQ(object.at("external_ids").as_array().at(0).as_string(), text);
    const auto& value = object.at("records").as_array().at(0).at("values").as_array().at(0);
    EXPECT_EQ(value.at("value").as_string(), text);
    EXPECT_EQ(object.at("decisions").as_array().at(0).at("evidence").as_string(), text);
    EXPECT_EQ(object.at("requests").as_array().size(), 1u);
    EXPECT_EQ(object.at("engagements").as_array().at(0).at("reference").as_string(), text);
    EXPECT_EQ(object.at("accesses").as_array().size(), 1u);
  }
}

TEST(Document, of_nothing_is_whole_too) {
  DocumentHead head{.subject = {}, .external_ids = {}, .standing = {}, .purposes = {}};
  auto json = make_document(ExportFormat::json);
  auto text = json->begin(head);
  text += json->end();
  auto parsed = parse_json(text);

  ASSERT_TRUE(parsed) << text;
  for (auto list : {"records", "decisions", "requests", "engagements", "accesses"})
    EXPECT_TRUE(parsed->as_object().at(list).as_array().empty()) << list;
}

}  // namespace
}  // namespace holdfast::vault
