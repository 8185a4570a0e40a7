#include "journal/entry.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/secret.h"
#include "crypto/merkle.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kSalt = 16;
constexpr std::uint8_t kHasSubject = 1, kHasDigest = 2, kHasWas = 4, kUnopened = 8;

/// OCSF activity: 1 create, 2 read, 3 update, 4 delete, 99 other.
int activity_of(std::string_view operation) {
  auto dot = operation.rfind('.');
  auto verb = operation.substr(dot == std::string_view::npos ? 0 : dot + 1);
  if (verb == "create" || verb == "put") return 1;
  if (verb == "reveal" || verb == "get" || verb == "list" || verb == "verify" ||
      verb == "reveal_batch" || verb == "accesses" || verb == "search" || verb == "export")
    return 2;
  if (verb == "update" || verb == "rotate" || verb == "restrict" || verb == "rectify") return 3;
  if (verb == "delete" || verb == "erase" || verb == "revoke") return 4;
  return 99;
}

void append_key(std::string& out, std::string_view key) {
  if (out.back() != '{' && out.back() != '[') out += ',';
  append_json_string(out, key);
  out += ':';
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
  append_key(out, key);
  append_json_string(out, value);
}

void append_member(std::string& out, std::string_view key, std::int64_t value) {
  append_key(out, key);
  out += std::to_string(value);
}

/// Members in the order of RFC 8785, as everywhere in this file.
void append_touch(std::string& out, const Touch& touch) {
  out += '{';
  append_member(out, "kind", touch.kind);
  if (touch.left) append_member(out, "left", base64url(*touch.left));
  append_member(out, "row", base64url(touch.row));
  if (touch.subject) append_member(out, "subject", touch.subject->text());
  if (touch.was) append_member(out, "was", base64url(*touch.was));
  out += '}';
}

void append_unmapped(std::string& out, const Event& event,
                     const std::optional<crypto::Digest>& root) {
  out += '{';
  if (!event.collection.empty()) append_member(out, "collection", event.collection);
  if (!event.facts.empty()) {
    auto facts = event.facts;
    std::ranges::sort(facts, {}, [](const auto& fact) { return fact.first; });
    append_key(out, "facts");
    out += '{';
    for (const auto& [key, value] : facts)
      std::visit([&](const auto& v) { append_member(out, key, v); }, value);
    out += '}';
  }
  if (!event.fields.empty()) {
    append_key(out, "fields");
    out += '[';
    for (const auto& field : event.fields) {
      if (out.back() != '[') out += ',';
      append_json_string(out, field);
    }
    out += ']';
  }
  if (event.opened) {
    append_key(out, "opened");
    out += "true";
  }
  if (!event.purpose.empty()) append_member(out, "purpose", event.purpose);
  if (root) {
    append_member(out, "root", base64url(*root));
  } else if (!event.touches.empty()) {
    append_key(out, "touch");
    append_touch(out, event.touches.front());
  }
  if (!event.touches.empty())
    append_member(out, "touched", static_cast<std::int64_t>(event.touches.size()));
  out += '}';
}

const boost::json::value* find(const boost::json::object& object,
                               std::initializer_list<std::string_view> path) {
  const boost::json::object* at = &object;
  const boost::json::value* value = nullptr;
  for (auto key : path) {
    if (!at) return nullptr;
    value = at->if_contains(key);
    if (!value) return nullptr;
    at = value->if_object();
  }
  return value;
}

std::string text_at(const boost::json::object& object,
                    std::initializer_list<std::string_view> path) {
  const auto* value = find(object, path);
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(*text) : std::string();
}

std::optional<crypto::Digest> digest_from(std::string_view text) {
  auto bytes = unbase64url(text);
  if (!bytes || bytes->size() != 32) return std::nullopt;
  crypto::Digest out;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

Error damaged() {
  return {Code::corrupt, "a journal entry cannot be read"};
}

}  // namespace

std::span<const std::string_view> enum_names(Outcome) {
  static constexpr std::string_view kNames[] = {"success", "refused", "failed"};
  return kNames;
}

Bytes encode_leaf(const Touch& touch) {
  Bytes out = random_bytes(kSalt);
  put_u8(out, static_cast<std::uint8_t>((touch.subject ? kHasSubject : 0) |
                                        (touch.left ? kHasDigest : 0) | (touch.was ? kHasWas : 0) |
                                        (touch.unopened ? kUnopened : 0)));
  if (touch.subject) out.insert(out.end(), touch.subject->uuid.begin(), touch.subject->uuid.end());
  put_part(out, touch.kind);
  put_part(out, touch.row);
  if (touch.left) out.insert(out.end(), touch.left->begin(), touch.left->end());
  if (touch.was) out.insert(out.end(), touch.was->begin(), touch.was->end());
  return out;
}

Bytes join_leaves(std::span<const Bytes> leaves) {
  Bytes out;
  for (const auto& leaf : leaves) put_part(out, leaf);
  return out;
}

Result<std::vector<Bytes>> split_leaves(BytesView stored) {
  std::vector<Bytes> out;
  ByteReader reader(stored);
  while (!reader.rest().empty()) {
    auto leaf = reader.part();
    if (!leaf) return damaged();
    out.push_back(to_bytes(*leaf));
  }
  return out;
}

Result<Touch> decode_leaf(BytesView leaf) {
  Touch out;
  ByteReader reader(leaf);
  auto salt = reader.take(kSalt);
  auto flags = reader.u8();
  if (!salt || !flags) return damaged();
  if (*flags & kHasSubject) {
    auto subject = reader.take(16);
    if (!subject) return damaged();
    out.subject = SubjectId::from(*subject);
  }
  auto kind = reader.part();
  auto row = reader.part();
  if (!kind || !row) return damaged();
  out.kind = as_text(*kind);
  out.row = to_bytes(*row);
  for (auto [flag, to] : {std::pair(kHasDigest, &out.left), std::pair(kHasWas, &out.was)}) {
    if (!(*flags & flag)) continue;
    auto digest = reader.take(32);
    if (!digest) return damaged();
    to->emplace();
    std::copy(digest->begin(), digest->end(), (*to)->begin());
  }
  if (!reader.done()) return damaged();
  out.unopened = *flags & kUnopened;
  return out;
}

crypto::Digest leaves_root(std::span<const Bytes> leaves) {
  std::vector<crypto::Digest> hashes;
  hashes.reserve(leaves.size());
  for (const auto& leaf : leaves) hashes.push_back(crypto::leaf_hash(leaf));
  return crypto::root_of(hashes);
}

Result<std::string> encode_entry(const Event& event, const Stamp& stamp,
                                 const std::optional<crypto::Digest>& root) {
  std::string out;
  out.reserve(640);
  int activity = activity_of(event.activity);
  out += '{';
  append_member(out, "activity_id", activity);
  append_key(out, "actor");
  out += '{';
  append_member(out, "app_uid", stamp.principal);
  append_key(out, "user");
  out += '{';
  append_member(out, "uid", stamp.person.empty() ? stamp.principal : stamp.person);
  out += "}}";
  append_key(out, "api");
  out += '{';
  append_member(out, "operation", event.activity);
  if (!stamp.request_id.empty()) {
    append_key(out, "request");
    out += '{';
    append_member(out, "uid", stamp.request_id);
    out += '}';
  }
  out += '}';
  append_member(out, "category_uid", 6);
  append_member(out, "class_uid", 6003);
  if (stamp.note) append_member(out, "comment", base64url(*stamp.note));
  append_key(out, "metadata");
  out += R"({"product":{"name":"Holdfast","vendor_name":"Holdfast"})";
  append_member(out, "uid", stamp.id.text());
  append_member(out, "version", "1.3.0");
  out += '}';
  append_member(out, "severity_id", event.alarm ? 5 : event.outcome == Outcome::success ? 1 : 2);
  append_key(out, "src_endpoint");
  out += '{';
  append_member(out, "uid", stamp.context ? base64url(*stamp.context) : "local");
  out += '}';
  append_member(out, "status", enum_names(event.outcome)[static_cast<std::size_t>(event.outcome)]);
  if (!event.reason.empty()) append_member(out, "status_code", event.reason);
  append_member(out, "status_id", event.outcome == Outcome::success ? 1 : 2);
  append_member(out, "time", to_ms(stamp.at));
  append_member(out, "type_uid", 600'300 + activity);
  append_key(out, "unmapped");
  append_unmapped(out, event, root);
  out += '}';
  if (out.size() > kLongestEntry)
    return Error(Code::too_large, "a journal entry is over 65,535 bytes");
  return out;
}

Result<Entry> decode_entry(std::string_view json) {
  auto parsed = parse_json(json);
  if (!parsed || !parsed->is_object()) return damaged();
  const auto& object = parsed->get_object();
  Entry out;
  out.id = text_at(object, {"metadata", "uid"});
  out.operation = text_at(object, {"api", "operation"});
  out.request_id = text_at(object, {"api", "request", "uid"});
  out.principal = text_at(object, {"actor", "app_uid"});
  out.actor = text_at(object, {"actor", "user", "uid"});
  out.outcome = text_at(object, {"status"});
  out.reason = text_at(object, {"status_code"});
  out.purpose = text_at(object, {"unmapped", "purpose"});
  out.collection = text_at(object, {"unmapped", "collection"});
  const auto* time = find(object, {"time"});
  if (!time || !time->is_int64() || out.id.empty() || out.operation.empty()) return damaged();
  out.at = from_ms(time->get_int64());
  const auto* opened = find(object, {"unmapped", "opened"});
  out.opened = opened && opened->is_bool() && opened->get_bool();
  if (const auto* fields = find(object, {"unmapped", "fields"}); fields && fields->is_array())
    for (const auto& field : fields->get_array())
      if (field.is_string()) out.fields.emplace_back(field.get_string());
  if (const auto* touched = find(object, {"unmapped", "touched"}); touched && touched->is_int64())
    out.touched = touched->get_int64();
  if (auto root = text_at(object, {"unmapped", "root"}); !root.empty()) {
    out.root = digest_from(root);
    if (!out.root) return damaged();
  }
  out.context = digest_from(text_at(object, {"src_endpoint", "uid"}));
  out.note = digest_from(text_at(object, {"comment"}));
  if (const auto* touch = find(object, {"unmapped", "touch"}); touch && touch->is_object()) {
    const auto& one = touch->get_object();
    Touch read;
    out.kind_text = text_at(one, {"kind"});
    auto row = unbase64url(text_at(one, {"row"}));
    if (!row) return damaged();
    read.row = std::move(*row);
    if (auto subject = text_at(one, {"subject"}); !subject.empty()) {
      read.subject = SubjectId::parse(subject);
      if (!read.subject) return damaged();
    }
    if (auto left = text_at(one, {"left"}); !left.empty()) {
      read.left = digest_from(left);
      if (!read.left) return damaged();
    }
    if (auto was = text_at(one, {"was"}); !was.empty()) {
      read.was = digest_from(was);
      if (!read.was) return damaged();
    }
    out.touches.push_back(std::move(read));
  }
  return out;
}

}  // namespace holdfast::journal
