#include "cavmae/core/log.h"

#include <mutex>
#include <vector>

#include <spdlog/details/log_msg_buffer.h>
#include <spdlog/sinks/base_sink.h>
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

class WaitingFileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void open(const std::filesystem::path& file) {
    const std::lock_guard lock(mutex_);
    file_ = file_sink(file);
    for (const auto& line : waiting_) file_->log(line);
    file_->flush();
    waiting_.clear();
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& line) override {
    if (file_)
      file_->log(line);
    else
      waiting_.emplace_back(line);
  }
  void flush_() override {
    if (file_) file_->flush();
  }

 private:
  spdlog::sink_ptr file_;
  std::vector<spdlog::details::log_msg_buffer> waiting_;
};

FileLog::FileLog(const Log& log) : sink_(std::make_shared<WaitingFileSink>()) {
  std::vector<spdlog::sink_ptr> sinks = log.sinks();
  sinks.push_back(sink_);
  log_ = std::make_shared<Log>(log.name(), sinks.begin(), sinks.end());
  log_->set_level(log.level());
  log_->flush_on(spdlog::level::info);
}

void FileLog::open(const std::filesystem::path& file) {
  sink_->open(file);
}

std::shared_ptr<Log> null_log() {
  return std::make_shared<Log>("null", std::make_shared<spdlog::sinks::null_sink_mt>());
}

}  // namespace cavmae
