// Decoding one file as a DecodeJob asks. A free function; what it is given is not trusted, so that it belongs
// into a process that can do nothing else (confinement.h).
#pragma once

#include <vector>

#include "cavmae/decode/decode_job.h"

namespace cavmae {

// `descriptors`: of the file and, where the job names one, of its sound; read by offset, and left open. What
// is wrong with the file is the answer's error.
DecodeAnswer decode(const DecodeJob& job, const std::vector<int>& descriptors);

// Decodes a sound and a picture of its own, so that what is opened or loaded on first use is.
void warm_up_decoding();

}  // namespace cavmae
