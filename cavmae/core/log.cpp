#include "cavmae/core/log.h"

#include <vector>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

namespace cavmae {
namespace {

spdlog::sink_ptr file_sink(const std::filesystem::path& file) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  sink->set_pattern("%Y-%m-%d %H:%M:%S %l: %v");
  return sink;
}

}  // namespace

std::shared_ptr<Log> make_log(Verbosity verbosity, const std::filesystem::path& file) {
  auto terminal = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  terminal->set_pattern("%^%v%$");
  terminal->set_level(verbosity == Verbosity::quiet   ? spdlog::level::warn
                      : verbosity == Verbosity::debug ? spdlog::level::debug
                                                      : spdlog::level::info);
  std::vector<spdlog::sink_ptr> sinks{terminal};
  if (!file.empty()) sinks.push_back(file_sink(file));
  auto log = std::make_shared<Log>("cavmae", sinks.begin(), sinks.end());
  log->set_level(spdlog::level::debug);
  log->flush_on(spdlog::level::info);
  return log;
}

std::shared_ptr<Log> also_to_file(const Log& log, const std::filesystem::path& file) {
  std::vector<spdlog::sink_ptr> sinks = log.sinks();
  sinks.push_back(file_sink(file));
  auto both = std::make_shared<Log>(log.name(), sinks.begin(), sinks.end());
  both->set_level(log.level());
  both->flush_on(spdlog::level::info);
  return both;
}

std::shared_ptr<Log> null_log() {
  return std::make_shared<Log>("null", std::make_shared<spdlog::sinks::null_sink_mt>());
}

}  // namespace cavmae
