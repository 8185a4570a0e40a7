#include "http/access_log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "base/json.h"

namespace holdfast::http {
namespace {

TEST(AccessLog, writes_one_json_line_per_request) {
  std::ostringstream out;
  auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger->set_pattern("%v");
  auto log = access_log(logger);

  log({.request_id = "req_1",
       .operation = "records.get",
       .trace = "0af7651916cd43dd8448eb211c80319c",
       .status = 200,
       .took = std::chrono::microseconds(1234),
       .bytes_in = 5,
       .bytes_out = 6});
  log({.request_id = "req_2",
       .operation = "-",
       .trace = {},
       .status = 500,
       .bug = "St11logic_error"});

  EXPECT_EQ(
      out.str(),
      R"({"request":"req_1","operation":"records.get","status":200,"took_us":1234,"bytes_in":5,)"
      R"("bytes_out":6,"trace":"0af7651916cd43dd8448eb211c80319c"})"
      "\n"
      R"({"request":"req_2","operation":"-","status":500,"took_us":0,"bytes_in":0,"bytes_out":0,)"
      R"("bug":"St11logic_error"})"
      "\n");
}

}  // namespace
}  // namespace holdfast::http
