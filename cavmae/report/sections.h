// The parts of the report's page, each a piece of HTML ("" when there is nothing to show). Free functions;
// safe from several threads.
#pragma once

#include <string>
#include <vector>

#include "cavmae/report/charts.h"
#include "cavmae/report/report.h"

namespace cavmae {

std::string key_numbers_html(const ReportContent& content);
std::string charts_html(const std::vector<Chart>& charts);
std::string retrieval_html(const Json& retrieval);
// `evaluation`: what finetune() wrote to evaluation.json.
std::string classification_html(const Json& evaluation);
std::string queries_html(const ReportContent& content);
std::string reconstructions_html(const ReportContent& content);
std::string settings_html(const Json& config);
std::string notes_html(const std::vector<std::string>& notes);

// A number of a nested object ("audio_to_video", "r1"), NaN when it is not there.
double json_number(const Json& object, const std::vector<std::string>& path);

}  // namespace cavmae
