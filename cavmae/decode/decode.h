// Decoding files as DecodeJobs ask. What it is given is not trusted, so that it belongs into a process that
// can do nothing else (confinement.h), and knows nothing of LibTorch.
#pragma once

#include <memory>
#include <vector>

#include "cavmae/decode/decode_job.h"

namespace cavmae {

// One owner, one thread.
class FileDecoder {
 public:
  // Decodes a sound and pictures of its own, so that what is opened or loaded on first use is.
  FileDecoder();
  ~FileDecoder();

  // `descriptors`: of the file and, where the job names one, of its sound; read by offset, and left open.
  // What is wrong with the file is the answer's error. What it holds is remembered until another file comes.
  DecodeAnswer decode(const DecodeJob& job, const std::vector<int>& descriptors);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
