#include "cavmae/data/remote_source.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <utility>

#include "cavmae/core/error.h"

namespace cavmae {
namespace {

constexpr int64_t kWholeBytes = 8 << 20;  // what is no longer is fetched by one request
constexpr int64_t kPieceBytes = 2 << 20;
constexpr size_t kKeptPieces = 4;  // a reader goes back and forth between sound and pictures

class RemoteBytes : public MediaBytes {
 public:
  RemoteBytes(std::shared_ptr<const RemoteClient> client, RemotePart part)
      : client_(std::move(client)),
        part_(std::move(part)),
        piece_bytes_(part_.size <= kWholeBytes ? std::max<int64_t>(1, part_.size) : kPieceBytes) {}

  int64_t size() const override { return part_.size; }

  size_t read_at(int64_t offset, void* out, size_t count) const override {
    const int64_t end = std::min(part_.size, offset + static_cast<int64_t>(count));
    size_t have = 0;
    while (offset < end) {
      const std::shared_ptr<const std::string> piece = piece_at(offset / piece_bytes_);
      const int64_t from = offset % piece_bytes_;
      const int64_t n = std::min(end - offset, static_cast<int64_t>(piece->size()) - from);
      if (n <= 0) break;  // the file has become shorter
      std::memcpy(static_cast<char*>(out) + have, piece->data() + from, static_cast<size_t>(n));
      have += static_cast<size_t>(n);
      offset += n;
    }
    return have;
  }

 private:
  std::shared_ptr<const std::string> piece_at(int64_t number) const {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find(pieces_, number, &Piece::first);
    if (known != pieces_.end()) {
      pieces_.splice(pieces_.begin(), pieces_, known);
      return pieces_.front().second;
    }
    const int64_t begin = number * piece_bytes_;
    try {
      auto bytes = std::make_shared<const std::string>(client_->read(
          part_.file, part_.offset + begin, std::min(piece_bytes_, part_.size - begin), &part_.facts));
      pieces_.emplace_front(number, std::move(bytes));
    } catch (const StorageError& error) {
      if (!error.is_refusal()) throw;
      throw MediaError(error.what());
    }
    if (pieces_.size() > kKeptPieces) pieces_.pop_back();
    return pieces_.front().second;
  }

  std::shared_ptr<const RemoteClient> client_;
  RemotePart part_;
  int64_t piece_bytes_;
  using Piece = std::pair<int64_t, std::shared_ptr<const std::string>>;
  mutable std::mutex mutex_;
  mutable std::list<Piece> pieces_;  // the last used first
};

class RemoteOrigin : public MediaOrigin {
 public:
  RemoteOrigin(std::shared_ptr<const RemoteClient> client, RemotePart part)
      : client_(std::move(client)), part_(std::move(part)) {}

  const std::string& name() const override { return part_.name; }
  std::string identity() const override {
    return concat(part_.file, "[", part_.offset, "+", part_.size, "]");
  }
  std::string stamp() const override { return part_.facts.stamp(); }
  std::unique_ptr<MediaBytes> open() const override {
    CAVMAE_CHECK_AS(MediaError,
                    part_.offset <= part_.facts.size && part_.size <= part_.facts.size - part_.offset, "'",
                    part_.name, "': should be ", part_.size, " bytes from byte ", part_.offset,
                    " on of a file of ", part_.facts.size, " bytes; its index belongs to another");
    return std::make_unique<RemoteBytes>(client_, part_);
  }

 private:
  std::shared_ptr<const RemoteClient> client_;
  RemotePart part_;
};

}  // namespace

MediaSource part_of_remote(std::shared_ptr<const RemoteClient> client, RemotePart part) {
  return MediaSource(std::make_shared<const RemoteOrigin>(std::move(client), std::move(part)));
}

}  // namespace cavmae
