// How the commands print retrieval; shared by retrieve and evaluate.
#pragma once

#include "cavmae/metrics/retrieval.h"

namespace cavmae::apps {

// Both directions and chance.
void print_retrieval(const RetrievalResult& r);

}  // namespace cavmae::apps
