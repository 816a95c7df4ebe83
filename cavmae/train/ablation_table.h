// The results of an ablation as a table in the paper's form. Free functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/train/ablation.h"

namespace cavmae {

// Markdown: a column an axis, then the metrics that are compared; one that no cell has gets no column.
std::string ablation_table(const std::vector<AblationRow>& rows);

// OUT/table.md and OUT/table.json.
void write_ablation_table(const std::filesystem::path& out, const std::vector<AblationRow>& rows);

}  // namespace cavmae
