// Reading a file once, front to back, for its moments: windows of its sound, and pictures on one grid of the
// file, which overlapping moments share. Private to this folder. One owner.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "cavmae/data/windows.h"
#include "cavmae/search/library_file.h"

namespace cavmae {

// Note [Moments]: a moment is a window of the file, `hop_seconds` after the one before; the last ends where
// the file ends. Pictures lie window_seconds / num_frames apart from the file's begin on, where a window that
// starts on this grid has them, and behind the last whole window as the window that ends the file has them. A
// moment's picture vector is the mean over the pictures that are shown within it, so that each picture is
// embedded once. Where sound is aligned with pictures (InputSpec::alignment), each picture of the grid is a
// moment with the segment of sound that belongs to it; in a file that is shorter than the window both are
// spread over the file.
class FileMoments {
 public:
  // One input of the network.
  struct Piece {
    ClipSide side = ClipSide::audio;
    torch::Tensor input;  // float [T, F] or [3, S, S]
    int64_t moment = -1;  // whose sound it is, or whose picture alone; -1: of all that show it
    int64_t at_ms = 0;    // of a picture: when it is shown
  };
  struct Span {
    int64_t start_ms = 0, end_ms = 0;
  };

  // Opens the file. Throws MediaError when it cannot be opened, or has neither sound nor pictures.
  FileMoments(const ClipSource& file, std::shared_ptr<const ClipReader> reader, double hop_seconds,
              double window_timeout_seconds);

  const std::vector<Span>& moments() const { return moments_; }
  int64_t end_ms() const { return moments_.empty() ? 0 : moments_.back().end_ms; }

  // The next piece, in the order of time, or nothing at the end. What cannot be read is left out and told in
  // failures().
  std::optional<Piece> next();
  // How far reading has come, 0 to 1.
  double share_done() const;

  // A side of which some or all could not be read: the first reason. A side that the file lacks is none.
  const std::vector<BadClip>& failures() const { return failures_; }

 private:
  // The windows of one side, read in turn.
  struct Side {
    ClipSide side;
    ClipWindows windows;
    size_t next = 0;
    int64_t until_ms = -1;  // pictures before this one have been taken
  };
  struct GridPicture {
    int64_t at_ms = 0;
    int64_t position = 0;  // among the window's pictures
  };
  double length_of(const ClipSource& window) const;
  std::vector<GridPicture> grid_of(const ClipSource& window, int64_t& until_ms) const;
  void plan_aligned(const std::vector<ClipSource>& tiles);
  void read_window(std::optional<Side>& side);
  void take(Side& side, const ClipSource& window, const Sample& sample);
  void leave_out(Side& side, const ClipSource& window);
  void note_failure(ClipSide side, const std::string& reason);

  std::string name_;
  InputSpec spec_;
  double timeout_seconds_;
  int64_t file_end_ms_ = 0;  // 0: not known, or a picture
  std::vector<Span> moments_;
  std::optional<Side> audio_, video_;
  std::deque<Piece> ready_;
  int64_t next_aligned_[2] = {0, 0};  // moments whose sound, whose picture was taken
  std::vector<BadClip> failures_;
};

}  // namespace cavmae
