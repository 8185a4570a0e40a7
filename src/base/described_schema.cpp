// The schema maker of described.h.
#include <stdexcept>

#include "base/described.h"
#include "base/json.h"

namespace holdfast {

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string number(auto value) {
  return std::to_string(value);
}

std::string ref(const Type& type, Schemas& schemas) {
  std::string name(type.name);
  for (const auto& entry : schemas.entries) {
    if (entry.name != name) continue;
    if (entry.type != &type) throw std::logic_error("two described types are named " + name);
    return R"({"$ref":"#/components/schemas/)" + name + "\"}";
  }
  auto at = schemas.entries.size();  // reserved before going in: types may refer to each other
  schemas.entries.push_back({name, &type, {}});
  auto made = json_schema_object(type, std::nullopt, schemas);
  schemas.entries[at].json = std::move(made);
  return R"({"$ref":"#/components/schemas/)" + name + "\"}";
}

}  // namespace

/// The schema with the member's own words in it. A `$ref` may have siblings since OpenAPI 3.1.
std::string json_schema_member(const Member& member, Schemas& schemas) {
  const Type* type = member.type;
  if (type->kind == Kind::optional) type = type->element;
  auto out = json_schema(*type, member.limits, schemas);
  out.pop_back();
  if (out.size() > 1) out += ',';
  out += "\"description\":" + quoted(member.doc);
  if (member.sensitivity == Sensitivity::personal) out += R"(,"x-sensitivity":"personal")";
  if (member.sensitivity == Sensitivity::secret) out += R"(,"x-sensitivity":"secret")";
  return out + '}';
}

std::string json_schema_object(const Type& type, std::optional<Place> place, Schemas& schemas) {
  std::string properties, required;
  for (const auto& member : type.members()) {
    if (place && member.place != *place) continue;
    if (!properties.empty()) properties += ',';
    properties += quoted(member.name) + ':' + json_schema_member(member, schemas);
    if (!member.required()) continue;
    if (!required.empty()) required += ',';
    required += quoted(member.name);
  }
  std::string out = R"({"type":"object","properties":{)" + properties + '}';
  if (!required.empty()) out += R"(,"required":[)" + required + ']';
  return out + R"(,"additionalProperties":false})";
}

std::string json_schema(const Type& type, const Limits& limits, Schemas& schemas) {
  switch (type.kind) {
    case Kind::string:
      return R"({"type":"string","maxLength":)" + number(limits.bytes) + '}';
    case Kind::secret:
      return R"({"type":"string","format":"password","maxLength":)" + number(limits.bytes) + '}';
    case Kind::integer:
      return R"({"type":"integer","minimum":)" + number(limits.min) + R"(,"maximum":)" +
             number(limits.max) + '}';
    case Kind::boolean:
      return R"({"type":"boolean"})";
    case Kind::time:
      return R"({"type":"string","format":"date-time"})";
    case Kind::id:
      return R"({"type":"string","pattern":)" +
             quoted("^" + std::string(type.name) + "_[0-7][0-9a-hjkmnp-tv-z]{25}$") + '}';
    case Kind::enumeration: {
      std::string names;
      for (auto name : type.names()) names += (names.empty() ? "" : ",") + quoted(name);
      return R"({"type":"string","enum":[)" + names + "]}";
    }
    case Kind::optional:
      return json_schema(*type.element, limits, schemas);
    case Kind::list:
      return R"({"type":"array","maxItems":)" + number(limits.count) + R"(,"items":)" +
             json_schema(*type.element, limits, schemas) + '}';
    case Kind::dict:
      return R"({"type":"object","maxProperties":)" + number(limits.count) +
             R"(,"additionalProperties":)" + json_schema(*type.element, limits, schemas) + '}';
    case Kind::values:
      return R"({"type":"object","maxProperties":)" + number(limits.count) +
             R"(,"additionalProperties":true})";
    case Kind::json:
      return "{}";
    case Kind::object:
      return ref(type, schemas);
  }
  return "{}";
}

}  // namespace holdfast
