// How the commands print what a classifier is worth; shared by finetune and evaluate.
#pragma once

#include "cavmae/metrics/classification.h"

namespace cavmae::apps {

// Its metrics, and how many classes enter the means.
void print_classification(const ClassificationResult& result);

}  // namespace cavmae::apps
