// Fill: the four formats, in pieces of any size, and what is opened, recorded, refused and listed.
#include "vault/fill/service.h"

#include <algorithm>
#include <map>

#include "vault/fill/mail_text.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

using namespace std::string_literals;

const std::string kAnn = "tok_01j0000000e0000000000000aa";
const std::string kBob = "tok_01j0000000e0000000000000bb";
const std::string kOff = "tok_01j0000000e0000000000000ff";  // nobody's

/// One format with values from a table, fed in pieces of a size.
struct Bench {
  FillFormat format;
  std::map<std::string, std::string> values;
  WholeToken whole = {};
  std::vector<std::string> left = {};  // tokens that could not be put where they stand
  std::string failed = {};

  std::string fill(std::string_view text, std::size_t piece) {
    auto made = make_format(format, whole);
    std::string out;
    Pieces pieces;
    left.clear();
    failed.clear();
    auto write = [&] {
      std::string_view rest = pieces.bytes;
      for (const auto& one : pieces.list) {
        auto bytes = rest.substr(0, one.size);
        rest.remove_prefix(one.size);
        auto found = values.find(std::string(bytes));
        std::optional<std::string_view> value;
        if ((one.part == Part::token || one.part == Part::maybe) && found != values.end())
          value = found->second;
        const bool fits = made->write(one, bytes, value, out);
        if (!fits || one.part == Part::outside || (one.part == Part::token && !value))
          left.emplace_back(bytes);
      }
      pieces.clear();
    };
    for (Result<void> read; !text.empty();) {
      read = made->read(text.substr(0, piece), pieces);
      text.remove_prefix(std::min(piece, text.size()));
      if (!read) return failed = read.error().field.text(), std::string(read.error().text);
      write();
    }
    auto ended = made->finish(pieces);
    if (!ended) return failed = ended.error().field.text(), std::string(ended.error().text);
    write();
    return out;
  }
  /// The same whatever the pieces are.
  std::string operator()(std::string_view text) {
    auto whole_text = fill(text, text.size() + 1);
    auto all_left = left;
    for (std::size_t piece : {1u, 2u, 3u, 7u, 29u, 31u, 64u}) {
      EXPECT_EQ(fill(text, piece), whole_text) << "in pieces of " << piece;
      EXPECT_EQ(left, all_left) << "in pieces of " << piece;
    }
    return whole_text;
  }
};

Bench bench_of(FillFormat format, std::string ann, std::string bob = "Bob") {
  return {.format = format, .values = {{kAnn, std::move(ann)}, {kBob, std::move(bob)}}};
}

// ── what a token is

TEST(FillTokens, are_found_anywhere_but_not_inside_of_something_longer) {
  EXPECT_EQ(find_token("x" + kAnn + "-")->at, 1u);
  const std::string address = "abcdefgh23456777@tokens.invalid";
  EXPECT_EQ(find_token("<" + address + ">")->at, 1u);
  EXPECT_EQ(find_token("x" + kAnn + " " + address, 31)->size, address.size());
  EXPECT_FALSE(find_token("x" + address));
  EXPECT_FALSE(find_token(address + "x"));
  EXPECT_EQ(token_tail(". " + address), address.size());
  EXPECT_FALSE(find_token(kAnn + "a"));
  EXPECT_FALSE(find_token(kAnn.substr(0, 29)));
  EXPECT_FALSE(find_token("tok_01J0000000E0000000000000AA"));
  EXPECT_EQ(find_token("tok_" + kAnn)->at, 4u);
  EXPECT_EQ(token_tail("abc to"), 2u);
  EXPECT_EQ(token_tail(kAnn), 30u);
  EXPECT_EQ(token_tail("none, "), 0u);
}

// ── CSV

TEST(FillCsv, puts_values_into_quotes_where_they_need_them) {
  auto fill = bench_of(FillFormat::csv, "Ann \"A\", Smith\r\nLine");

  EXPECT_EQ(fill("a,b\r\n" + kAnn + "," + kBob + "\r\n"),
            "a,b\r\n\"Ann \"\"A\"\", Smith\r\nLine\",Bob\r\n");
  EXPECT_EQ(fill("a;b\n\"Dear \"\"" + kAnn + "\"\"\";2"),
            "a;b\n\"Dear \"\"Ann \"\"A\"\", Smith\r\nLine\"\"\";2");
  EXPECT_EQ(fill("\xef\xbb\xbf\"" + kBob + "\"\r"), "\xef\xbb\xbf\"Bob\"\r");
  EXPECT_EQ(fill("sep=;\na;" + kBob), "sep=;\na;Bob");
}

TEST(FillCsv, leaves_everything_else_as_it_is) {
  auto fill = bench_of(FillFormat::csv, "Ann");
  const std::string broken = "a,\"b\"\"c\",\r\n\0\xff,=1+1,'x\n\n,\"\"\n"s;

  EXPECT_EQ(fill(broken), broken);
  EXPECT_EQ(fill(""), "");
  EXPECT_EQ(fill("a," + kOff), "a," + kOff);
  EXPECT_EQ(fill.left, std::vector{kOff});
  EXPECT_EQ(fill("a,\"x\"" + kAnn + ",c"), "a,\"x\"" + kAnn + ",c");
  EXPECT_EQ(fill.left, std::vector{kAnn}) << "behind a closing quote there is no place for a value";
}

TEST(FillCsv, lets_no_value_become_a_formula) {
  auto filled = [](std::string value, std::string before = "") {
    auto fill = bench_of(FillFormat::csv, std::move(value));
    return fill.fill("x," + before + kAnn, 100).substr(2);
  };

  EXPECT_EQ(filled("=1+1"), "'=1+1");
  EXPECT_EQ(filled("=HYPERLINK(\"x\",1)"), "\"'=HYPERLINK(\"\"x\"\",1)\"");
  EXPECT_EQ(filled("@SUM(A1)"), "'@SUM(A1)");
  EXPECT_EQ(filled("-cmd|x"), "\"'-cmd|x\"");
  EXPECT_EQ(filled("+49 (0)30 123-45"), "+49 (0)30 123-45") << "a phone number stays what it is";
  EXPECT_EQ(filled("A1", "="), "'=A1") << "nor in a formula of the shop's own";
  EXPECT_EQ(filled("Ann=1"), "Ann=1");
}

TEST(FillCsv, keeps_a_value_in_its_cell_whatever_the_delimiter_is) {
  auto fill = bench_of(FillFormat::csv, "x^=cmd", "x+y");

  EXPECT_EQ(fill("sep=^\n1^" + kAnn + "^2"), "sep=^\n1^\"x^=cmd\"^2");
  EXPECT_EQ(fill("sep=+\n1+" + kBob + "+" + kAnn), "sep=+\n1+\"x+y\"+x^=cmd");
  EXPECT_EQ(fill("sep=|\n" + kBob), "sep=|\nx+y");
}

TEST(FillCsv, takes_no_delimiter_that_values_are_made_of) {
  auto fill = bench_of(FillFormat::csv, "Ann");

  for (char c : "\"'aZ5_@.- \x01\x7f\xa7"s) {
    EXPECT_TRUE(fill("sep="s + c + "\n" + kAnn).starts_with("`sep=` names no delimiter"));
    EXPECT_EQ(fill.failed, "line[1]");
  }
  EXPECT_EQ(fill("sep=\t\nx\t" + kAnn), "sep=\t\nx\tAnn");
}

TEST(FillCsv, stops_where_a_quote_is_not_closed) {
  auto fill = bench_of(FillFormat::csv, "Ann");

  EXPECT_EQ(fill("a\n\"b" + kAnn + "\nc"), "a quote is not closed before the end");
  EXPECT_EQ(fill.failed, "line[2]");
  EXPECT_TRUE(fill.fill("a\n\"" + std::string(70'000, 'x'), 16'384).starts_with("a cell is over"));
  EXPECT_TRUE(fill("\xff\xfe"
                   "a")
                  .starts_with("the text is UTF-16"));
}

// ── JSON

TEST(FillJson, escapes_values_in_strings) {
  auto fill = bench_of(FillFormat::json, "Ann \"A\" \\ Sm\nith ü");

  EXPECT_EQ(fill(R"({"a":")" + kAnn + R"(","b\n)" + kBob + R"(":[1,{"\tok_":"\\)" + kBob + "\"}]}"),
            R"({"a":"Ann \"A\" \\ Sm\nith ü","b\nBob":[1,{"\tok_":"\\Bob"}]})");
  EXPECT_EQ(fill("[\"" + kOff + "\"]\n[\"x" + kBob + "y\"]"),
            "[\"" + kOff + "\"]\n[\"x" + kBob + "y\"]")
      << "what goes on with a letter is no token";
  EXPECT_EQ(fill("\"\\u00e4" + kBob + "\\\"\""), "\"\\u00e4Bob\\\"\"");
}

TEST(FillJson, passes_what_it_need_not_understand) {
  auto fill = bench_of(FillFormat::json, "Ann");
  const auto deep = std::string(50'000, '[') + "\"" + std::string(100'000, 'x') + "\xff\"";

  EXPECT_EQ(fill.fill(deep, 16'384), deep);
  EXPECT_EQ(fill("{" + kAnn + ":1}"), "{" + kAnn + ":1}");
  EXPECT_EQ(fill.left, std::vector{kAnn});
}

TEST(FillJson, stops_where_a_string_is_not_closed) {
  auto fill = bench_of(FillFormat::json, "Ann");

  EXPECT_TRUE(fill("[\"a\n\"]").starts_with("a control character in a string"));
  EXPECT_EQ(fill("{}\n[\"" + kAnn), "a string is not closed before the end");
  EXPECT_EQ(fill.failed, "line[2]");
}

TEST(FillJson, looks_whole_strings_up_that_may_be_tokens) {
  auto fill = bench_of(FillFormat::json, "Ann");
  fill.values["4711-0815"] = "Carl";
  fill.whole = [](std::string_view text) { return text.size() == 9; };

  EXPECT_EQ(fill(R"(["4711-0815","x4711-0815","123456789"])"),
            R"(["Carl","x4711-0815","123456789"])");
  fill.format = FillFormat::csv;
  EXPECT_EQ(fill("a,4711-0815,\"4711-0815\",x 4711-0815"), "a,Carl,\"Carl\",x 4711-0815");
  fill.format = FillFormat::xml;
  EXPECT_EQ(fill("<a b='4711-0815'>4711-0815<b/>x4711-0815</a>"),
            "<a b='Carl'>Carl<b/>x4711-0815</a>");
}

// ── XML

TEST(FillXml, escapes_values_by_their_place) {
  auto fill = bench_of(FillFormat::xml, "A&B <i> \"q\" 'p'\n]]>");

  EXPECT_EQ(fill("<a b=\"" + kAnn + "\" c='" + kBob + "'>" + kAnn + "</a>"),
            "<a b=\"A&amp;B &lt;i&gt; &quot;q&quot; &#39;p&#39;&#10;]]&gt;\" c='Bob'>"
            "A&amp;B &lt;i&gt; \"q\" 'p'\n]]&gt;</a>");
  EXPECT_EQ(fill("<a><![CDATA[x " + kAnn + "]]></a>"),
            "<a><![CDATA[x A&B <i> \"q\" 'p'\n]]]]><![CDATA[>]]></a>");
  EXPECT_EQ(fill("<a>&amp;" + kBob + ";</a>"), "<a>&amp;Bob;</a>");
}

TEST(FillXml, keeps_a_section_closed_whatever_stands_beside_a_value) {
  auto fill = bench_of(FillFormat::xml, ">", "]]");

  EXPECT_EQ(fill("<![CDATA[]]" + kAnn + "]]>"), "<![CDATA[]]]]><![CDATA[>]]>");
  EXPECT_EQ(fill("<![CDATA[" + kBob + ">]]>"), "<![CDATA[]]]]><![CDATA[>]]>");
}

TEST(FillXml, leaves_comments_names_and_declarations) {
  auto fill = bench_of(FillFormat::xml, "Ann");
  const auto text = "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE a [<!ENTITY e \"" + kAnn +
                    "]>\"><!-- ' -->]><a>&e;<!-- " + kAnn + " --><?p " + kAnn + "?><b " + kAnn +
                    "=\"1\"/></a>\n";

  EXPECT_EQ(fill(text), text);
  EXPECT_EQ(fill.left, (std::vector{kAnn, kAnn, kAnn, kAnn}));
}

TEST(FillXml, stops_where_it_is_broken) {
  auto fill = bench_of(FillFormat::xml, "Ann");

  EXPECT_TRUE(
      fill("<?xml version='1.0' encoding='ISO-8859-1'?><a/>").starts_with("the XML declaration"));
  EXPECT_TRUE(fill("<a>\n<b c=\"" + kAnn + "<d/>").starts_with("a < inside an attribute"));
  EXPECT_EQ(fill.failed, "line[2]");
  EXPECT_TRUE(fill("<a><!-- " + kAnn).starts_with("a tag, comment or section is not closed"));
  EXPECT_TRUE(fill("<!DOCTYPE a [<!ENTITY ").starts_with("the DOCTYPE is not closed"));
  EXPECT_EQ(bench_of(FillFormat::xml, "a\x01z").fill("<a>" + kAnn + "</a>", 99),
            "<a>" + kAnn + "</a>");
}

// ── mail

TEST(FillMail, fills_subject_and_addresses_without_adding_to_them) {
  auto fill = bench_of(FillFormat::mail, "Ann\r\nBcc: eve@example.org", "ann@example.org");

  EXPECT_EQ(fill("Subject: Hello " + kAnn + "!\r\nTo: \"" + kAnn + "\" <" + kBob +
                 ">\r\nX-Id: 1\r\n\r\nHi\r\n"),
            "Subject: Hello Ann Bcc: eve@example.org!\r\n"
            "To: \"Ann Bcc: eve@example.org\" <ann@example.org>\r\nX-Id: 1\r\n\r\nHi\r\n");
  EXPECT_EQ(fill("To: " + kBob + ", " + kAnn + " <a@b>\r\n\r\n"),
            "To: ann@example.org, \"Ann Bcc: eve@example.org\" <a@b>\r\n\r\n");
  EXPECT_EQ(fill("To: <" + kAnn + ">\r\n\r\n"), "To: <" + kAnn + ">\r\n\r\n")
      << "between angles only an address can stand";
  EXPECT_EQ(fill.left, std::vector{kAnn});
}

TEST(FillMail, writes_fields_beyond_ascii_as_encoded_words) {
  auto fill = bench_of(FillFormat::mail, "Jürgen", "Groß, \"Ö\"");

  EXPECT_EQ(fill("Subject: =?utf-8?Q?An_?= =?utf-8?B?"
                 "dG9rXzAxajAwMDAwMDBlMDAwMDAwMDAwMDAwMGFh"
                 "?=\n\n"),
            "Subject: =?UTF-8?B?QW4gSsO8cmdlbg==?=\n\n");
  EXPECT_EQ(fill("To: " + kAnn + " " + kBob + " <a@b>\n\n"),
            "To: =?UTF-8?B?"
            "SsO8cmdlbiBHcm/DnywgIsOWIg=="
            "?= <a@b>\n\n");
  auto text = fill("Subject: " + kAnn + " " + std::string(200, 'x') + "\n\n");
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    EXPECT_LE(end - at, 90u);
    at = end + 1;
  }
}

TEST(FillMail, fills_text_parts_and_leaves_attachments) {
  auto fill = bench_of(FillFormat::mail, "Jürgen <b>", "Bob");
  const auto mail =
      "Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\npreamble\r\n--b 1\r\n"
      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\n"
      "H=C3=A4llo tok_01j0000000e000=\r\n0000000000aa=20\r\n=3D end\r\n--b 1\r\n"
      "Content-Type: text/html; charset=utf-8\r\n\r\n<p>" +
      kAnn +
      "</p>\r\n--b 1\r\n"
      "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
      "SGkgdG9rXzAxajAwMDAwMDBl\r\nMDAwMDAwMDAwMDAwMGJiIQo=\r\n--b 1\r\n"
      "Content-Type: text/csv\r\nContent-Disposition: attachment\r\n\r\n" +
      kBob + "\r\n--b 1--\r\nend\r\n";

  EXPECT_EQ(fill(mail),
            "Content-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\npreamble\r\n--b 1\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
            "quoted-printable\r\n\r\n"
            "H=C3=A4llo J=C3=BCrgen <b>=20\r\n=3D end\r\n--b 1\r\n"
            "Content-Type: text/html; charset=utf-8\r\n\r\n<p>Jürgen &lt;b&gt;</p>\r\n--b 1\r\n"
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            "SGkgQm9iIQo=\r\n--b 1\r\n"
            "Content-Type: text/csv\r\nContent-Disposition: attachment\r\n\r\n" +
                kBob + "\r\n--b 1--\r\nend\r\n");
}

TEST(FillMail, leaves_and_lists_tokens_in_texts_of_other_types) {
  auto fill = bench_of(FillFormat::mail, "Ann\nATTENDEE:mailto:eve@example.org", "Bob");
  for (auto type : {"text/calendar", "text/vcard", "text/xml", "text/csv", "TEXT/Calendar (x)"}) {
    const auto part = "Content-Type: "s + type + "; charset=utf-8\n";

    EXPECT_EQ(fill(part + "\nSUMMARY:" + kAnn + "\n"), part + "\nSUMMARY:" + kAnn + "\n");
    EXPECT_EQ(fill.left, std::vector{kAnn});
    const auto coded = part + "Content-Transfer-Encoding: quoted-printable\n\n";
    EXPECT_EQ(fill(coded + "=C3=A4 tok_01j0000000e000=\n0000000000bb\n"),
              coded + "=C3=A4 " + kBob + "\n");
    EXPECT_EQ(fill.left, std::vector{kBob});
  }
  EXPECT_EQ(fill("To: a@b\n\n" + kBob), "To: a@b\n\nBob") << "without a type it is plain text";
  const auto digest =
      "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: " + kAnn + "\n\nx\n--b--\n";
  EXPECT_EQ(fill(digest), digest) << "there a part without a type is a message";
}

TEST(FillMail, needs_a_part_that_can_hold_the_value) {
  auto fill = bench_of(FillFormat::mail, "Jürgen", "Bob");
  const auto mail = "Content-Type: text/plain; charset=iso-8859-1\n\n" + kAnn + " " + kBob + "\n";

  EXPECT_EQ(fill(mail), "Content-Type: text/plain; charset=iso-8859-1\n\n" + kAnn + " Bob\n");
  EXPECT_EQ(fill.left, std::vector{kAnn});
}

TEST(FillMail, lets_no_value_begin_a_boundary) {
  auto fill = bench_of(FillFormat::mail, "x\n--b--\nmore", "-b--");
  const auto head = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n"s;

  EXPECT_EQ(fill(head + kAnn + "\n--b--\n"), head + "x\n --b--\nmore\n--b--\n");
  EXPECT_EQ(fill(head + "-" + kBob + "\n--b--\n"), head + "- -b--\n--b--\n");
  const auto coded =
      "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\n"s;
  EXPECT_EQ(fill(coded + kAnn + "\n--b--\n"), coded + "x\n=2D-b--\nmore\n--b--\n");
}

TEST(FillMail, leaves_signed_parts_and_other_fields) {
  auto fill = bench_of(FillFormat::mail, "Ann");
  const auto mail = "Message-ID: <" + kAnn +
                    "@x>\nContent-Type: multipart/signed; boundary=s\n\n--s\n\n" + kAnn +
                    "\n--s--\n";

  EXPECT_EQ(fill(mail), mail);
  EXPECT_EQ(fill.left, std::vector{kAnn});
}

// ── through the vault

/// A body in pieces.
class Source final : public http::BodyReader {
 public:
  Source(std::string text, std::string type, std::size_t piece)
      : text_(std::move(text)), type_(std::move(type)), piece_(piece) {}
  Task<Result<std::string_view>> next() override {
    if (fail_at && at_ >= *fail_at) co_return Error(Code::invalid, "the body was cut off");
    auto out = std::string_view(text_).substr(at_, piece_);
    at_ += out.size();
    co_return out;
  }
  std::uint64_t size() const override { return 0; }
  std::string_view type() const override { return type_; }
  std::optional<std::size_t> fail_at;

 private:
  std::string text_, type_;
  std::size_t piece_, at_ = 0;
};

class Target final : public http::BodyWriter {
 public:
  void field(std::string_view name, std::string_view value) override {
    (started ? trailer : head)[std::string(name)] = value;
  }
  Task<Result<void>> start(std::string_view) override {
    started = true;
    co_return Result<void>();
  }
  Task<Result<void>> write(std::string_view bytes) override {
    if (on_write) on_write(bytes);
    text += bytes;
    largest = std::max(largest, bytes.size());
    co_return Result<void>();
  }
  bool closing() const override { return false; }

  std::map<std::string, std::string> head, trailer;
  std::string text;
  std::size_t largest = 0;
  bool started = false;
  std::function<void(std::string_view)> on_write;
};

class VaultFill : public Vault {
 protected:
  std::string token(std::string subject, std::string field, std::string value) {
    CreateTokens request{.subject = std::move(subject),
                         .collection = "customers",
                         .values = values({{field, value}}),
                         .items = {},
                         .idempotency_key = {}};
    return bench_(bench_.tokens().create({}, std::move(request))).items[0].tokens[0].second.token;
  }
  Result<void> fill(std::string text, Caller caller = {}, std::string purpose = "support",
                    std::optional<std::string> engagement = {}, std::size_t piece = 1000) {
    out = {};
    Source source(std::move(text), "text/csv", piece);
    return bench_.run(bench_.fills().fill(
        std::move(caller),
        {.purpose = std::move(purpose), .format = {}, .on_behalf_of = {}, .engagement = engagement},
        source, out));
  }
  FillReport report(Caller caller = {}) {
    return bench_(
        bench_.fills().get(std::move(caller), {*FillId::parse(out.head.at("Holdfast-Report"))}));
  }
  std::vector<journal::Event> events() {
    std::vector<journal::Event> found;
    for (const auto& event : bench_.journal().events)
      if (event.activity == "fill") found.push_back(event);
    return found;
  }
  Target out;
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultFill, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultFill, replaces_tokens_and_records_whom_it_showed) {
  auto ann = token("ext:1", "first_name", "Ann, A"), bob = token("ext:2", "last_name", "Bob");

  must(fill("name\n" + ann + "\n" + bob + "\n" + ann + "\n"));

  EXPECT_EQ(out.text, "name\n\"Ann, A\"\nBob\n\"Ann, A\"\n");
  EXPECT_EQ(out.trailer["Holdfast-Filled"], "3");
  EXPECT_EQ(out.trailer["Holdfast-Refused"], "0");
  ASSERT_EQ(events().size(), 1u);
  auto event = events()[0];
  EXPECT_TRUE(event.opened);
  EXPECT_EQ(event.purpose, "support");
  EXPECT_EQ(event.touches.size(), 2u);
  std::ranges::sort(event.fields);
  EXPECT_EQ(event.fields, (std::vector<std::string>{"first_name", "last_name"}));
  EXPECT_EQ(report().state, FillState::done);
}

TEST_P(VaultFill, replaces_tokens_of_every_shape) {
  auto spec = customers();
  spec.collection = "shaped";
  spec.fields = {field("email", FieldType::email), field("phone", FieldType::phone),
                 field("member", FieldType::text)};
  spec.fields[0].token = TokenSpec{TokenShape::email, {}, {}};
  spec.fields[1].token = TokenSpec{TokenShape::digits, {}, {}};
  spec.fields[2].token = TokenSpec{TokenShape::pattern, "KD-[0-9]{8}", {}};
  bench_(bench_.declarations().put({}, spec));
  CreateTokens request{
      .subject = "ext:1",
      .collection = "shaped",
      .values = values({{"email", "a@example.org"}, {"phone", "030 12345678"}, {"member", "A-7"}}),
      .items = {},
      .idempotency_key = {}};
  auto made = bench_(bench_.tokens().create({}, std::move(request))).items[0].tokens;

  must(fill("a," + made[0].second.token + "," + made[1].second.token + "," + made[2].second.token +
            ",12345678,KD-00000000,see " + made[0].second.token + "."));

  EXPECT_EQ(out.text, "a,a@example.org,030 12345678,A-7,12345678,KD-00000000,see a@example.org.");
  EXPECT_EQ(out.trailer["Holdfast-Refused"], "0") << "what only looks like a token is none";
  must(fill("a,12345678,KD-00000000"));
  EXPECT_EQ(events().size(), 1u) << "and asking for it is recorded of nobody";
}

TEST_P(VaultFill, lists_what_it_leaves) {
  auto gone = token("ext:1", "first_name", "Ann"), kept = token("ext:2", "first_name", "Bob");
  must(bench_.erase("ext:1"));

  must(fill("a\n" + gone + "\n" + kOff + "\n" + kept));

  EXPECT_EQ(out.text, "a\n" + gone + "\n" + kOff + "\nBob");
  EXPECT_EQ(out.trailer["Holdfast-Refused"], "2");
  auto said = report();
  ASSERT_EQ(said.refusals.size(), 2u);
  EXPECT_EQ(said.refusals[0].token, gone);
  EXPECT_EQ(said.refusals[0].line, 2);
  EXPECT_EQ(said.refusals[1].reason, "not_found");
  EXPECT_EQ(said.refusals[1].line, 3);
}

TEST_P(VaultFill, puts_no_masks_and_records_that_nothing_was_open) {
  auto ann = token("ext:1", "email", "ann@example.org");
  bench_.permits().rules = {{.principal = "key_masks", .view = View::masked}};
  Caller caller{.principal = "key_masks"};

  must(fill("a\n" + ann, caller));

  EXPECT_EQ(out.text, "a\n" + ann);
  EXPECT_EQ(report(caller).refusals.at(0).reason, "forbidden");
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(events()[0].outcome, journal::Outcome::refused);
  EXPECT_FALSE(events()[0].opened);
  EXPECT_EQ(
      code_of(bench_.run(bench_.fills().get({}, {*FillId::parse(out.head.at("Holdfast-Report"))}))),
      Code::not_found)
      << "a report is its caller's own";
}

TEST_P(VaultFill, records_before_the_bytes_leave) {
  std::string text = "name\n";
  for (int i = 0; i < 1500; ++i)
    text += token("ext:" + std::to_string(i % 20), "first_name", "Ann") + "\n";
  std::vector<std::size_t> seen;
  Source source(text, "text/csv", 4000);
  out.on_write = [&](std::string_view) { seen.push_back(events().size()); };

  must(bench_.run(bench_.fills().fill(
      {}, {.purpose = "support", .format = {}, .on_behalf_of = {}, .engagement = {}}, source,
      out)));

  EXPECT_EQ(out.trailer["Holdfast-Filled"], "1500");
  EXPECT_EQ(seen, (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(out.text.find("tok_"), std::string::npos);
}

TEST_P(VaultFill, shows_nothing_that_it_cannot_record) {
  auto ann = token("ext:1", "first_name", "Ann");
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(fill("a\n" + ann)), Code::unavailable);

  EXPECT_FALSE(out.started);
  EXPECT_EQ(out.text, "");
}

TEST_P(VaultFill, leaves_what_a_budget_does_not_allow) {
  auto ann = token("ext:1", "first_name", "Ann"), same = token("ext:1", "last_name", "Smith");
  bench_.budgets().counting = true;
  must(fill("a," + ann + "," + same));
  ASSERT_EQ(bench_.budgets().charged.size(), 1u);
  EXPECT_EQ(bench_.budgets().charged[0].size(), 1u) << "a customer counts once";
  bench_.budgets().full = true;

  must(fill("a," + ann));

  EXPECT_EQ(out.text, "a," + ann);
  EXPECT_EQ(out.trailer["Holdfast-Refused-Reasons"], "budget=1");
}

TEST_P(VaultFill, raises_the_alarm_for_an_invented_customer) {
  auto planted = bench_(bench_.canaries().plant({}, {.collection = "customers",
                                                     .external_id = {},
                                                     .email = {},
                                                     .email_domain = "post.example.org",
                                                     .slot = {}}));
  auto trap = token(planted.subject.text(), "first_name", "Ann");

  must(fill("a\n" + trap));

  EXPECT_EQ(bench_.alarms().seen.size(), 1u);
}

TEST_P(VaultFill, decides_again_when_the_policy_changed) {
  auto ann = token("ext:1", "first_name", "Ann");
  auto stale = Caller{.principal = "system"};
  stale.generation = 99;

  must(fill("a\n" + ann, stale));

  EXPECT_EQ(out.text, "a\nAnn");
}

TEST_P(VaultFill, opens_nothing_more_for_a_key_that_ended_between_two_windows) {
  auto ann = token("ext:1", "first_name", "Ann"), bob = token("ext:2", "first_name", "Bob");
  std::string text = "a\n" + ann + "\n";
  for (int i = 0; i < 20'000; ++i) text += "some words that are passed on\n";
  Source source(text + bob, "text/csv", 4000);
  out.on_write = [&](std::string_view) { bench_.permits().ended.insert("system"); };

  auto done = bench_.run(bench_.fills().fill(
      {}, {.purpose = "support", .format = {}, .on_behalf_of = {}, .engagement = {}}, source, out));

  EXPECT_EQ(code_of(done), Code::unauthenticated);
  EXPECT_TRUE(out.text.starts_with("a\nAnn\n"));
  EXPECT_EQ(out.text.find("Bob"), std::string::npos);
  EXPECT_TRUE(out.trailer.empty());
  EXPECT_EQ(events().size(), 1u);
  EXPECT_EQ(report().state, FillState::failed);
}

TEST_P(VaultFill, refuses_what_it_cannot_begin) {
  EXPECT_EQ(code_of(fill("a", {}, "gossip")), Code::invalid);
  EXPECT_EQ(code_of(fill("a", {}, "support", "eng_x")), Code::invalid);
  Source source("a", "text/plain", 1);
  EXPECT_EQ(code_of(bench_.run(bench_.fills().fill(
                {}, {.purpose = "support", .format = {}, .on_behalf_of = {}, .engagement = {}},
                source, out))),
            Code::invalid);
  EXPECT_FALSE(out.started);
}

TEST_P(VaultFill, says_why_it_stopped_in_the_middle) {
  auto ann = token("ext:1", "first_name", "Ann");
  std::string text = "a\n";
  for (int i = 0; i < 20'000; ++i) text += "some words that are passed on\n";

  EXPECT_EQ(code_of(fill(text + "\"" + ann + "\n")), Code::invalid);

  EXPECT_TRUE(out.started);
  EXPECT_TRUE(out.trailer.empty()) << "no word of success";
  EXPECT_EQ(report().state, FillState::failed);
  EXPECT_EQ(report().failure, "a quote is not closed before the end: line[20002]");
  EXPECT_EQ(out.text.find("Ann"), std::string::npos);
  EXPECT_LT(out.largest, 400'000u);
}

}  // namespace
}  // namespace holdfast::vault
