// From a run's files, and examples of what its model does, to the content of its report. Free functions; no
// model is run.
#pragma once

#include <filesystem>

#include "cavmae/eval/report_examples.h"
#include "cavmae/report/report.h"

namespace cavmae {

// What the run's files say: RUN/config.json, RUN/metrics.jsonl and, of a classifier, RUN/evaluation.json. A
// file that is missing, and lines that cannot be read (the last one of a run that was killed), become notes.
ReportContent read_run(const std::filesystem::path& run);

// Adds what make_report_examples() made with these options: tensors become pictures, clips that failed notes.
void add_examples(ReportContent& content, const ReportExamples& examples,
                  const ReportExampleOptions& options);

}  // namespace cavmae
