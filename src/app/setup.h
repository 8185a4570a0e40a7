// What local commands share: configuration from flags, a logger, an opened store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/instance.h"
#include "app/local.h"

namespace holdfast::app {

Result<Config> config_of(const LocalOptions& options);
/// JSON lines on standard error: `{"at":"...","level":"info","log":{...}}`.
std::shared_ptr<spdlog::logger> make_logger(const std::string& level);
/// Errors: unavailable when memory cannot be locked.
Result<void> prepare_process();

}  // namespace holdfast::app
