#include "base/described_limits.h"

#include <mutex>
#include <set>
#include <string>

namespace holdfast {
namespace {

constexpr std::size_t kMostNames = 20;

/// A member, or what a list or dict of it holds.
struct Spot {
  const Type* type;
  Limits limits{};
};

const Type* inside(const Type* type) {
  while (type->kind == Kind::optional) type = type->element;
  return type;
}

/// Goes down one step of a field path; false where the tables know no such place.
bool step(Spot& at, std::string_view name) {
  const auto* type = inside(at.type);
  if (type->kind == Kind::object) {
    for (const auto& member : type->members()) {
      if (member.name != name) continue;
      at = {member.type, member.limits};
      return true;
    }
    return false;
  }
  if (type->kind != Kind::list && type->kind != Kind::dict) return type->kind == Kind::values;
  at.type = type->element;
  return true;
}

/// `records[3].values.email`, step by step.
bool find(Spot& at, std::string_view path) {
  while (!path.empty()) {
    if (path.front() == '.' || path.front() == '[') path.remove_prefix(1);
    auto end = std::min(path.find_first_of(".[]"), path.size());
    if (!step(at, path.substr(0, end))) return false;
    path.remove_prefix(end);
    if (path.starts_with(']')) path.remove_prefix(1);
  }
  return true;
}

/// Error::text is a view, so what is made must stay. There are no more texts than rows in tables.
std::string_view kept(std::string text) {
  static std::mutex mutex;
  static std::set<std::string> texts;
  std::scoped_lock lock(mutex);
  return *texts.insert(std::move(text)).first;
}

std::string names_of(const Type& type) {
  std::string out;
  std::size_t count = 0;
  for (auto name : type.names()) {
    if (count > 0) out += ", ";
    if (++count > kMostNames) return out + "...";
    out += name;
  }
  return out;
}

/// What the place allows, for the text that says that it was not kept to; empty for another text.
std::string allowed(const Spot& at, std::string_view text) {
  const auto* type = inside(at.type);
  if (text == "more elements than allowed" || text == "more entries than allowed")
    return "at most " + std::to_string(at.limits.count);
  if (text == "longer than allowed") return "at most " + std::to_string(at.limits.bytes) + " bytes";
  while (type->kind == Kind::list) type = inside(type->element);
  if (text == "not one of the allowed values" && type->kind == Kind::enumeration)
    return names_of(*type);
  if (text == "not an id of this kind" && type->kind == Kind::id)
    return std::string(type->name) + "_...";
  if (text.ends_with("out of range") && type->kind == Kind::integer)
    return std::to_string(at.limits.min) + " to " + std::to_string(at.limits.max);
  return {};
}

void say(const Type& type, Error& error) {
  Spot at{&type};
  if (error.code != Code::invalid || error.field.empty() || !find(at, error.field.text())) return;
  auto more = allowed(at, error.text);
  if (!more.empty()) error.text = kept(std::string(error.text) + ": " + more);
}

}  // namespace

Error with_limits(const Type& type, Error error) {
  say(type, error);
  for (auto& one : error.also) say(type, one);
  return error;
}

}  // namespace holdfast
