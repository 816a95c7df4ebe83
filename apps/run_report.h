// Writing a run's report; shared by `report` and the end of `pretrain` and `finetune`.
#pragma once

#include <filesystem>
#include <vector>

#include "cavmae/data/clip_reader.h"
#include "cavmae/models/pretrained.h"

#include "apps/list_flags.h"

namespace cavmae::apps {

struct RunReportOptions {
  std::filesystem::path run;                // the run's folder
  std::vector<std::filesystem::path> data;  // clips to show; empty: those the run validated with
  std::filesystem::path cache;
  std::filesystem::path out;  // the page; empty: RUN/report.html
  FrameChoice frames = FrameChoice::middle;
  RuntimeOptions runtime;
  PrecisionChoice precision = PrecisionChoice::fp32;
  InputReading reading;
  ListFlags lists;
};

// Writes the page and prints where it is.
void write_run_report(const RunReportOptions& options, const GlobalOptions& global, std::shared_ptr<Log> log);

// The same at the end of a run, which a build without media libraries does not fail for.
void write_final_report(const RunReportOptions& options, const GlobalOptions& global,
                        std::shared_ptr<Log> log);

}  // namespace cavmae::apps
