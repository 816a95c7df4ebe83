// The vectors of one file's moments while its pieces come back from the network. Private to this folder; one
// owner.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cavmae/search/file_moments.h"
#include "cavmae/search/moment_rows.h"

namespace cavmae {

class FileAccumulator {
 public:
  FileAccumulator(LibraryFile file, std::vector<FileMoments::Span> moments)
      : file_(std::move(file)),
        moments_(std::move(moments)),
        audio_(moments_.size()),
        video_(moments_.size()) {}

  // vector: float [D]
  void add(const FileMoments::Piece& piece, const torch::Tensor& vector);

  // Those that have a vector, as the library keeps them.
  std::vector<NewMoment> finish(torch::ScalarType type);
  // Leaves out by what the file would be known again, so that it counts as changed.
  void forget_content() { file_.stamp = file_.content = std::string(); }
  // What finish() has seen.
  const LibraryFile& file() const { return file_; }

 private:
  struct Picture {
    int64_t at_ms = 0;
    torch::Tensor vector;
  };
  torch::Tensor picture_of(size_t moment) const;

  LibraryFile file_;
  std::vector<FileMoments::Span> moments_;
  std::vector<torch::Tensor> audio_, video_;  // by moment; undefined where there is none
  std::vector<Picture> pictures_;             // of the grid, in the order of time
};

}  // namespace cavmae
