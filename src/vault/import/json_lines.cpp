#include "vault/import/json_lines.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kSpaces = " \t\r";

std::string_view without_spaces(std::string_view text) {
  auto from = text.find_first_not_of(kSpaces);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kSpaces) + 1 - from);
}

}  // namespace

JsonLinesReader::JsonLinesReader() : value_(std::make_unique<boost::json::value>()) {}
JsonLinesReader::~JsonLinesReader() = default;
JsonLinesReader::JsonLinesReader(JsonLinesReader&&) noexcept = default;

const boost::json::object& JsonLinesReader::object() const {
  return value_->get_object();
}

void JsonLinesReader::feed(std::string_view bytes) {
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    at_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(bytes);
}

ReadEvent JsonLinesReader::next() {
  if (failed_) return ReadEvent::failed;
  if (!started_) {
    auto event = start();
    if (event != ReadEvent::row) return event;
  }
  for (;;) {
    at_ = std::min(buffer_.find('\n', at_), buffer_.size());
    bool whole = at_ < buffer_.size();
    if (skipping_) {
      if (!whole) {
        begin_ = at_;
        return finished_ ? ReadEvent::end : ReadEvent::more;
      }
      skipping_ = false;
      begin_ = ++at_;
      continue;
    }
    if (at_ - begin_ > kMaxJsonLine) {
      ++line_;
      skipping_ = true;
      return refuse("a line longer than 1 MiB");
    }
    if (!whole && !finished_) return ReadEvent::more;
    if (!whole && at_ == begin_) return ReadEvent::end;
    auto line = without_spaces(std::string_view(buffer_).substr(begin_, at_ - begin_));
    if (whole) ++at_;
    begin_ = at_;
    ++line_;
    if (!line.empty()) return read(line);
  }
}

/// Gives `row` when the first line can be read.
ReadEvent JsonLinesReader::start() {
  if (buffer_.size() < 3 && !finished_) return ReadEvent::more;
  using namespace std::string_view_literals;
  started_ = true;
  for (auto mark : {"\xFF\xFE"sv, "\xFE\xFF"sv, "\0{"sv, "{\0"sv})
    if (buffer_.starts_with(mark)) {
      line_ = 1;
      return refuse("UTF-16 or UTF-32: save the file as UTF-8", ReadEvent::failed);
    }
  if (buffer_.starts_with("\xEF\xBB\xBF")) begin_ = at_ = 3;
  return ReadEvent::row;
}

ReadEvent JsonLinesReader::read(std::string_view line) {
  if (line_ == 1 && line.front() == '[')
    return refuse("a JSON array: write one object a line, without brackets around them",
                  ReadEvent::failed);
  if (line_ == 1 && line.front() != '{')
    return refuse("not JSON lines: the first line is no object", ReadEvent::failed);
  if (!valid_utf8(line)) return refuse("not valid UTF-8: save the file as UTF-8");
  auto parsed = parse_json(line);
  if (!parsed) {
    auto event = refuse(parsed.error().text);
    refusal_.field = std::move(parsed.error().field);
    return event;
  }
  if (!parsed->is_object()) return refuse("not a JSON object");
  value_ = std::make_unique<boost::json::value>(std::move(*parsed));
  return ReadEvent::row;
}

ReadEvent JsonLinesReader::refuse(std::string_view reason, ReadEvent event) {
  refusal_ = {.place = place(), .last_line = line_, .reason = reason};
  failed_ = event == ReadEvent::failed;
  return event;
}

}  // namespace holdfast::vault
