// An opened source as FFmpeg reads it: by callbacks, for itself alone. Private to this folder; belongs to one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "cavmae/media/ffmpeg.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

class MediaIo {
 public:
  // Opens the source. Throws MediaError.
  explicit MediaIo(const MediaSource& source) : name_(source.name()), bytes_(source.open()) {}
  MediaIo(const MediaIo&) = delete;  // FFmpeg keeps its address
  MediaIo& operator=(const MediaIo&) = delete;

  // A context at the first byte. The one before is freed and must not be in use any more.
  AVIOContext* begin();

  int64_t size() const { return bytes_->size(); }
  // As MediaBytes::read_at(); 0 bytes for an offset below 0.
  size_t read_at(int64_t offset, void* out, size_t count) const;
  const MediaBytes& bytes() const { return *bytes_; }
  // Whether the source has `text` at `offset`.
  bool holds(int64_t offset, std::string_view text) const;

  // FFmpeg knows only that reading failed, and takes that for the end: throws what the source threw, if it
  // did, or that the thread's TimeLimit has run out.
  void throw_if_failed() const;

  // Makes FFmpeg's own loops obey the TimeLimit.
  AVIOInterruptCB interrupt_callback() { return {.callback = is_interrupted, .opaque = this}; }

 private:
  struct FreeContext {
    void operator()(AVIOContext* context) const;
  };

  static int read(void* self, uint8_t* out, int count);
  static int is_interrupted(void* self);
  static int64_t seek(void* self, int64_t offset, int whence);

  std::string name_;
  std::unique_ptr<MediaBytes> bytes_;
  int64_t position_ = 0;
  std::exception_ptr failure_;
  std::unique_ptr<AVIOContext, FreeContext> context_;
};

}  // namespace cavmae
