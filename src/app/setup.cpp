#include "app/setup.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace holdfast::app {

Result<Config> config_of(const LocalOptions& options) {
  std::vector<std::pair<std::string, std::string>> overrides;
  for (const auto& one : options.set) {
    auto at = one.find('=');
    if (at == std::string::npos)
      return Error(Code::invalid, "--set takes section.name=value").at("set");
    overrides.emplace_back(one.substr(0, at), one.substr(at + 1));
  }
  if (!options.listen.empty()) {
    std::string all;
    for (const auto& one : options.listen) (all += all.empty() ? "" : ",") += one;
    overrides.emplace_back("server.listen", all);
  }
  return Config::load(options.dir, overrides);
}

Result<void> check_log_level(const Config& config) {
  for (auto level : {"debug", "info", "warn", "error"})
    if (config.text("log.level") == level) return {};
  return Error(Code::invalid, "this is debug, info, warn or error").at(FieldPath("log") / "level");
}

std::shared_ptr<spdlog::logger> make_logger(const std::string& level) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("holdfast", sink);
  logger->set_pattern(R"({"at":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","log":%v})",
                      spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  return logger;
}

Result<void> prepare_process() {
  if (!prepare_secret_memory())
    return Error(Code::unavailable,
                 "memory for secrets cannot be locked: raise the limit (`ulimit -l 65536`, or "
                 "LimitMEMLOCK= in systemd)");
  return {};
}

}  // namespace holdfast::app
