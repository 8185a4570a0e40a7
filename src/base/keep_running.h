// Tasks that last as long as the program: one that throws is told of and begun again.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string_view>

#include "base/task.h"

namespace holdfast {

/// How a lasting task is kept up; all that it refers to must outlive the task.
struct KeepRunning {
  std::string_view name;  // a literal
  const std::atomic<bool>& stop;
  /// Called with the name, and the type of what was thrown: never its text, which may hold data.
  std::function<void(std::string_view name, std::string_view type)> tell;
  std::chrono::milliseconds pause{5'000};
};

/// Runs what `make` gives to its end. When that throws: tells, and some time later, or at once when
/// `stop` is set, runs a new one. The one that is begun while `stop` is set is the last, whatever
/// it throws. Throws nothing.
Task<void> keep_running(KeepRunning how, std::function<Task<void>()> make);

}  // namespace holdfast
