#include "cavmae/media/media_io.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <new>

#include "cavmae/core/time_limit.h"

namespace cavmae {
namespace {

constexpr int kBufferBytes = 32 * 1024;  // as FFmpeg's own for files

}  // namespace

void MediaIo::FreeContext::operator()(AVIOContext* context) const {
  av_freep(&context->buffer);  // FFmpeg may have put another in the place of ours
  avio_context_free(&context);
}

AVIOContext* MediaIo::begin() {
  context_.reset();
  position_ = 0;
  auto* buffer = static_cast<unsigned char*>(av_malloc(kBufferBytes));
  if (buffer == nullptr) throw std::bad_alloc();
  context_.reset(avio_alloc_context(buffer, kBufferBytes, 0, this, read, nullptr, seek));
  if (context_ == nullptr) {
    av_free(buffer);
    throw std::bad_alloc();
  }
  return context_.get();
}

size_t MediaIo::read_at(int64_t offset, void* out, size_t count) const {
  return offset < 0 || offset >= size() ? 0 : bytes_->read_at(offset, out, count);
}

bool MediaIo::holds(int64_t offset, std::string_view text) const {
  std::array<char, 16> found{};
  const size_t count = std::min(text.size(), found.size());
  return read_at(offset, found.data(), count) == text.size() && std::string_view(found.data(), count) == text;
}

void MediaIo::throw_if_failed() const {
  if (failure_) std::rethrow_exception(failure_);
}

int MediaIo::read(void* self, uint8_t* out, int count) {
  auto& io = *static_cast<MediaIo*>(self);
  if (is_interrupted(self) != 0) return AVERROR_EXIT;
  try {
    const size_t n = io.bytes_->read_at(io.position_, out, static_cast<size_t>(count));
    io.position_ += static_cast<int64_t>(n);
    return n > 0 ? static_cast<int>(n) : AVERROR_EOF;
  } catch (...) {  // nothing may be thrown through FFmpeg
    if (!io.failure_) io.failure_ = std::current_exception();
    return AVERROR(EIO);
  }
}

int MediaIo::is_interrupted(void* self) {
  auto& io = *static_cast<MediaIo*>(self);
  try {
    TimeLimit::check(io.name_);
    return 0;
  } catch (...) {
    if (!io.failure_) io.failure_ = std::current_exception();
    return 1;
  }
}

int64_t MediaIo::seek(void* self, int64_t offset, int whence) {
  auto& io = *static_cast<MediaIo*>(self);
  const int64_t size = io.bytes_->size();
  if ((whence & AVSEEK_SIZE) != 0) return size;
  const int from = whence & ~AVSEEK_FORCE;
  if (from != SEEK_SET && from != SEEK_CUR && from != SEEK_END) return AVERROR(EINVAL);
  const int64_t base = from == SEEK_CUR ? io.position_ : from == SEEK_END ? size : 0;
  if (offset < -base || offset > INT64_MAX - base) return AVERROR(EINVAL);
  io.position_ = base + offset;
  return io.position_;
}

}  // namespace cavmae
