// The filterbank for every processor: four lanes, which SSE2 and NEON have.
#define CAVMAE_LANES 4
#define CAVMAE_FBANK_FUNCTION compute_fbank_baseline
#include "cavmae/features/fbank_kernel.h"
