// From a run's folder and its model to the content of its report. Free functions; the model is read, not
// changed.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "cavmae/eval/report_examples.h"
#include "cavmae/report/report.h"

namespace cavmae {

// What the run's files tell without its model: RUN/config.json, RUN/metrics.jsonl and, of a classifier,
// RUN/evaluation.json. A file that is missing
// and lines that cannot be read (the last one of a run that was killed) become notes.
ReportContent read_run(const std::filesystem::path& run);

// Turns tensors into pictures and adds them with the scores and the clips that failed.
void add_showcase(ReportContent& content, const ReportExamples& examples,
                  const ReportExampleOptions& options);

// Both: what write_report() takes. Without clips the report has curves and settings alone.
ReportContent collect_report(const std::filesystem::path& run, CavMae& model, const InputSpec& spec,
                             const std::vector<ClipSource>& clips, const ReportExampleOptions& options,
                             std::shared_ptr<Log> log);

}  // namespace cavmae
