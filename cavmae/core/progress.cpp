#include "cavmae/core/progress.h"

#include <cmath>
#include <cstdio>
#include <limits>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cavmae/core/text.h"

namespace cavmae {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A line longer than the terminal is wide would wrap, and a wrapped line cannot be drawn over.
void cut_to_terminal(std::string& line) {
  struct winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && line.size() >= size.ws_col)
    line.resize(size.ws_col - 1u);
}

}  // namespace

Progress::Progress(ProgressOptions options)
    : options_(std::move(options)),
      terminal_(::isatty(STDERR_FILENO) == 1),
      done_(options_.already_done),
      start_(std::chrono::steady_clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  finish();
}

double Progress::rate() const {
  const double elapsed = seconds_since(start_);
  return elapsed > 0 ? static_cast<double>(done_ - options_.already_done) / elapsed : 0.0;
}

double Progress::eta_seconds() const {
  const double current = rate();
  if (options_.total <= 0 || current <= 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(options_.total - done_) / current;
}

void Progress::update(int64_t done, const std::string& details) {
  done_ = done;
  const double interval = terminal_ ? 0.1 : options_.line_interval_seconds;
  if (options_.quiet || seconds_since(last_draw_) < interval) return;
  draw(details, /*last=*/false);
}

void Progress::draw(const std::string& details, bool last) {
  last_draw_ = std::chrono::steady_clock::now();
  std::string line = options_.title + " ";
  if (options_.total > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(options_.total));
    if (terminal_) {
      constexpr int kWidth = 24;
      const int filled = static_cast<int>(share * kWidth);
      line += fmt::format("[{}{}] ", std::string(filled, '#'), std::string(kWidth - filled, '.'));
    }
    line += fmt::format("{}/{} {} ({:.0f} %)", done_, options_.total, options_.unit, 100 * share);
  } else {
    line += fmt::format("{} {}", done_, options_.unit);
  }
  line += fmt::format(", {:.3g} {}/s", rate(), options_.unit);
  if (last) {
    line += fmt::format(", took {}", human_duration(seconds_since(start_)));
  } else if (options_.total > 0) {
    line += fmt::format(", ETA {}", human_duration(eta_seconds()));
  }
  if (!details.empty()) line += ", " + details;
  if (terminal_) cut_to_terminal(line);
  std::fprintf(stderr, terminal_ ? (last ? "\r\033[K%s\n" : "\r\033[K%s") : "%s\n", line.c_str());
  std::fflush(stderr);
}

void Progress::clear() {
  if (terminal_ && !finished_ && !options_.quiet) std::fputs("\r\033[K", stderr);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!options_.quiet) draw("", /*last=*/true);
}

}  // namespace cavmae
