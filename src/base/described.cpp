#include "base/described.h"

#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "base/json.h"

namespace holdfast {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostViolations = 20;
constexpr std::size_t kLongestName = 128;  // of a dict's or Values' entry

/// The way from the request to the value at hand; made into a FieldPath only for an error.
struct At {
  const At* up = nullptr;
  std::string_view name{};  // empty: an element
  std::size_t index = 0;

  FieldPath path() const {
    if (!up) return {};
    return name.empty() ? up->path()[index] : up->path() / name;
  }
};

class Reader {
 public:
  void body(const Type& type, void* object, const json::value& value) {
    read(type, object, value, Limits{}, At{});
  }

  /// One path or query part: `value` as text. Lists take one element per part.
  void part(const Member& member, void* object, std::string_view text) {
    At at{&root_, member.name};
    void* to = member.in_mut(object);
    const Type* type = member.type;
    if (type->kind == Kind::optional) {
      to = type->emplace(to);
      type = type->element;
    } else if (type->kind == Kind::list) {
      if (type->size(to) >= member.limits.count) return wrong(at, "more elements than allowed");
      to = type->append(to);
      type = type->element;
    }
    text_part(*type, to, text, member.limits, at);
  }

  void wrong(const At& at, Literal text) {
    if (found_.size() < kMostViolations) found_.push_back(Error(Code::invalid, text).at(at.path()));
  }
  void wrong(std::string_view name, Literal text) { wrong(At{&root_, name}, text); }

  Result<void> result() {
    if (found_.empty()) return {};
    Error first = std::move(found_.front());
    first.also.assign(std::make_move_iterator(found_.begin() + 1),
                      std::make_move_iterator(found_.end()));
    return first;
  }

 private:
  void read(const Type& type, void* to, const json::value& from, const Limits& limits,
            const At& at) {
    if (from.is_null() && type.kind != Kind::json) return wrong(at, "must not be null");
    switch (type.kind) {
      case Kind::integer:
        return read_integer(to, from, limits, at);
      case Kind::boolean:
        if (!from.is_bool()) return wrong(at, "must be true or false");
        *static_cast<bool*>(to) = from.get_bool();
        return;
      case Kind::string:
      case Kind::time:
      case Kind::id:
      case Kind::enumeration:
      case Kind::secret:
        if (!from.is_string()) return wrong(at, "must be a string");
        return read_text(type, to, from.get_string(), limits, at);
      case Kind::object:
        return read_object(type, to, from, at);
      case Kind::list:
        return read_list(type, to, from, limits, at);
      case Kind::dict:
        return read_dict(type, to, from, limits, at);
      case Kind::values:
        return read_values(to, from, limits, at);
      case Kind::optional:
        return read(*type.element, type.emplace(to), from, limits, at);
      case Kind::json: {
        auto& text = static_cast<JsonText*>(to)->text;
        append_canonical_json(text, from);
        if (text.size() > limits.bytes) wrong(at, "longer than allowed");
        return;
      }
    }
  }

  void read_integer(void* to, const json::value& from, const Limits& limits, const At& at) {
    std::int64_t value = 0;
    if (from.is_int64()) {
      value = from.get_int64();
    } else if (from.is_double() && std::trunc(from.get_double()) == from.get_double()) {
      value = static_cast<std::int64_t>(from.get_double());  // 1.0 and 1e3 are integers too
    } else {
      return wrong(at, "must be an integer");
    }
    if (value < limits.min || value > limits.max) return wrong(at, "out of range");
    *static_cast<std::int64_t*>(to) = value;
  }

  /// What is a string on the wire.
  void read_text(const Type& type, void* to, std::string_view text, const Limits& limits,
                 const At& at) {
    switch (type.kind) {
      case Kind::time: {
        auto time = parse_rfc3339(text);
        if (!time) return wrong(at, "not an RFC 3339 time, as in 2026-11-20T09:00:00Z");
        *static_cast<Time*>(to) = *time;
        return;
      }
      case Kind::id:
        if (!type.parse(to, text)) wrong(at, "not an id of this kind");
        return;
      case Kind::enumeration: {
        auto names = type.names();
        for (std::size_t i = 0; i < names.size(); ++i)
          if (names[i] == text) return type.assign(to, static_cast<std::int64_t>(i));
        return wrong(at, "not one of the allowed values");
      }
      default:
        break;
    }
    if (text.size() > limits.bytes) return wrong(at, "longer than allowed");
    if (text.find('\0') != std::string_view::npos) return wrong(at, "has a NUL character");
    if (type.kind == Kind::secret)
      *static_cast<Secret*>(to) = Secret::copy(text);
    else
      static_cast<std::string*>(to)->assign(text);
  }

  void read_object(const Type& type, void* to, const json::value& from, const At& at) {
    if (!from.is_object()) return wrong(at, "must be an object");
    const auto& object = from.get_object();
    auto members = type.members();
    // Path and query members exist only at the top, where Parts brings them.
    auto inside = [&](const Member& m) { return at.up || m.place == Place::body; };
    for (const auto& [name, value] : object) {
      const Member* found = nullptr;
      for (const auto& member : members)
        if (inside(member) && member.name == std::string_view(name)) found = &member;
      At inner{&at, name};
      if (found)
        read(*found->type, found->in_mut(to), value, found->limits, inner);
      else
        wrong(inner.name.empty() ? At{&at, "?"} : inner, "not a known member");
    }
    for (const auto& member : members)
      if (inside(member) && member.required() && !object.contains(member.name))
        wrong(At{&at, member.name}, "is missing");
  }

  void read_list(const Type& type, void* to, const json::value& from, const Limits& limits,
                 const At& at) {
    if (!from.is_array()) return wrong(at, "must be a list");
    const auto& array = from.get_array();
    if (array.size() > limits.count) return wrong(at, "more elements than allowed");
    for (std::size_t i = 0; i < array.size(); ++i)
      read(*type.element, type.append(to), array[i], limits, At{&at, {}, i});
  }

  bool entry(std::string_view name, const At& at) {
    if (name.empty() || name.size() > kLongestName || name.find('\0') != std::string_view::npos)
      return wrong(At{&at, "?"}, "not a usable name"), false;
    return true;
  }

  void read_dict(const Type& type, void* to, const json::value& from, const Limits& limits,
                 const At& at) {
    if (!from.is_object()) return wrong(at, "must be an object");
    const auto& object = from.get_object();
    if (object.size() > limits.count) return wrong(at, "more entries than allowed");
    for (const auto& [name, value] : object) {
      if (!entry(name, at)) continue;
      void* element = type.append(to);
      type.key(to, type.size(to) - 1)->assign(name);
      read(*type.element, element, value, limits, At{&at, name});
    }
  }

  void read_values(void* to, const json::value& from, const Limits& limits, const At& at) {
    if (!from.is_object()) return wrong(at, "must be an object");
    const auto& object = from.get_object();
    if (object.size() > limits.count) return wrong(at, "more entries than allowed");
    auto& entries = static_cast<Values*>(to)->entries;
    entries.reserve(object.size());
    for (const auto& [name, value] : object) {
      if (!entry(name, at)) continue;
      auto& made = entries.emplace_back();
      made.name = name;
      made.null = value.is_null();
      if (made.null) continue;
      made.json = !value.is_string();
      std::string canonical;
      if (made.json) append_canonical_json(canonical, value);
      std::string_view text = made.json ? std::string_view(canonical) : value.get_string();
      if (text.size() > limits.bytes)
        wrong(At{&at, name}, "longer than allowed");
      else if (text.find('\0') != std::string_view::npos)
        wrong(At{&at, name}, "has a NUL character");
      else
        made.value = Secret::copy(text);
      wipe(canonical);
    }
  }

  void text_part(const Type& type, void* to, std::string_view text, const Limits& limits,
                 const At& at) {
    if (!valid_utf8(text)) return wrong(at, "not valid UTF-8");
    switch (type.kind) {
      case Kind::integer: {
        std::int64_t value = 0;
        auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (bad == std::errc::result_out_of_range) return wrong(at, "out of range");
        if (bad != std::errc() || end != text.data() + text.size())
          return wrong(at, "must be an integer");
        return read_integer(to, json::value(value), limits, at);
      }
      case Kind::boolean:
        if (text != "true" && text != "false") return wrong(at, "must be true or false");
        *static_cast<bool*>(to) = text == "true";
        return;
      case Kind::string:
      case Kind::time:
      case Kind::id:
      case Kind::enumeration:
      case Kind::secret:
        return read_text(type, to, text, limits, at);
      default:
        throw std::logic_error("a member of this kind fits only into the body");
    }
  }

  At root_{};
  std::vector<Error> found_;
};

/// Path and query: each part to its member, then what is missing.
void read_parts(Reader& reader, const Type& type, void* object, Place place,
                std::span<const std::pair<std::string, std::string>> parts) {
  auto members = type.members();
  std::vector<bool> seen(members.size());
  for (const auto& [name, value] : parts) {
    std::size_t i = 0;
    while (i < members.size() && (members[i].place != place || members[i].name != name)) ++i;
    if (i == members.size())
      reader.wrong(name.empty() ? "?" : std::string_view(name), "not a known parameter");
    else if (seen[i] && members[i].type->kind != Kind::list)
      reader.wrong(name, "this name is given twice");
    else
      reader.part(members[i], object, value);
    if (i < members.size()) seen[i] = true;
  }
  for (std::size_t i = 0; i < members.size(); ++i)
    if (members[i].place == place && members[i].required() && !seen[i])
      reader.wrong(members[i].name, "is missing");
}

void append_raw(std::string& out, std::string_view text) {
  reserve_wiping(out, text.size());
  out += text;
}

void write_values(const Values& values, std::string& out) {
  append_raw(out, "{");
  char lead = 0;
  for (const auto& entry : values.entries) {
    if (std::exchange(lead, ',')) append_raw(out, ",");
    append_json_string(out, entry.name);
    append_raw(out, ":");
    if (entry.null)
      append_raw(out, "null");
    else if (entry.json)
      append_raw(out, entry.value.expose_text());
    else
      append_json_string(out, entry.value.expose_text());
  }
  append_raw(out, "}");
}

void write_object(const Type& type, const void* object, std::string& out) {
  append_raw(out, "{");
  char lead = 0;
  for (const auto& member : type.members()) {
    const Type* inner = member.type;
    const void* from = member.in(object);
    if (inner->kind == Kind::optional) {
      from = inner->get(from);
      if (!from) continue;
      inner = inner->element;
    }
    reserve_wiping(out, member.name.size() + 4);
    if (std::exchange(lead, ',')) out += ',';
    ((out += '"') += member.name) += "\":";
    write_described(*inner, from, out);
  }
  append_raw(out, "}");
}

}  // namespace

Result<void> parse_described(const Type& type, void* object, const Parts& parts) {
  Reader reader;
  if (type.kind == Kind::object) {
    read_parts(reader, type, object, Place::path, parts.path);
    read_parts(reader, type, object, Place::query, parts.query);
  }
  if (parts.body.empty() && type.kind == Kind::object) {
    reader.body(type, object, json::value(json::object_kind));
  } else {
    auto body = parse_json(parts.body);
    if (!body) {
      auto error = std::move(body).error();
      return error.field.empty() ? std::move(error).at("body") : std::move(error);
    }
    reader.body(type, object, *body);
  }
  return reader.result();
}

void write_described(const Type& type, const void* object, std::string& out) {
  switch (type.kind) {
    case Kind::string:
      return append_json_string(out, *static_cast<const std::string*>(object));
    case Kind::secret:
      return append_json_string(out, static_cast<const Secret*>(object)->expose_text());
    case Kind::integer:
      return append_raw(out, std::to_string(*static_cast<const std::int64_t*>(object)));
    case Kind::boolean:
      return append_raw(out, *static_cast<const bool*>(object) ? "true" : "false");
    case Kind::time:
      return append_json_string(out, rfc3339(*static_cast<const Time*>(object)));
    case Kind::id:
      return append_json_string(out, type.text(object));
    case Kind::enumeration:
      return append_json_string(out, type.names()[static_cast<std::size_t>(type.ordinal(object))]);
    case Kind::optional: {
      const void* value = type.get(object);
      return value ? write_described(*type.element, value, out) : append_raw(out, "null");
    }
    case Kind::object:
      return write_object(type, object, out);
    case Kind::values:
      return write_values(*static_cast<const Values*>(object), out);
    case Kind::json: {
      const auto& text = static_cast<const JsonText*>(object)->text;
      return append_raw(out, text.empty() ? std::string_view("null") : text);
    }
    case Kind::list:
    case Kind::dict: {
      bool list = type.kind == Kind::list;
      append_raw(out, list ? "[" : "{");
      for (std::size_t i = 0, count = type.size(object); i < count; ++i) {
        if (i > 0) append_raw(out, ",");
        if (!list) {
          append_json_string(out, *type.key(const_cast<void*>(object), i));
          append_raw(out, ":");
        }
        write_described(*type.element, type.at(object, i), out);
      }
      return append_raw(out, list ? "]" : "}");
    }
  }
}

}  // namespace holdfast
