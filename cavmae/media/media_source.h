// Where the bytes of a sound, video or picture lie: a file, a part of a file (a member of a tar shard),
// memory, or what a class derived from MediaOrigin adds. To name a source opens nothing. Immutable; safe from
// several threads.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>

namespace cavmae {

// An opened source. Several threads may read from it at once.
class MediaBytes {
 public:
  virtual ~MediaBytes() = default;
  virtual int64_t size() const = 0;
  // Copies up to `count` bytes from `offset` on to `out` and returns how many: fewer than asked for only at
  // the end. Throws MediaError that names the source.
  virtual size_t read_at(int64_t offset, void* out, size_t count) const = 0;
};

class MediaDecoding;

// One kind of place. Derive from it to add another; nothing else in media/ has to change.
class MediaOrigin {
 public:
  virtual ~MediaOrigin() = default;
  // As errors show it. Its extension says what kind of media it is: "clips.tar: 12.mp4".
  virtual const std::string& name() const = 0;
  // What keeps it apart from all other sources, for as long as the stamp stays the same.
  virtual std::string identity() const { return name(); }
  // Another text whenever the bytes may have changed: a size and a time, an etag, a checksum. "missing" when
  // there is nothing.
  virtual std::string stamp() const = 0;
  virtual bool exists() const { return true; }
  // The file whose whole content this is, or an empty path.
  virtual std::filesystem::path path() const { return {}; }
  // Throws MediaError: not there, not readable.
  virtual std::unique_ptr<MediaBytes> open() const = 0;
  // What decodes it in another process (media_decoding.h); nullptr: this process does.
  virtual const MediaDecoding* decoding() const { return nullptr; }
};

// A handle that is cheap to keep and to copy: millions of them open no file.
class MediaSource {
 public:
  MediaSource() = default;  // none
  explicit MediaSource(std::shared_ptr<const MediaOrigin> origin) : origin_(std::move(origin)) {}
  // A file. A path says so by itself; an empty one is no source.
  template <class Path>
  requires std::convertible_to<const Path&, std::filesystem::path> MediaSource(const Path& path)
      : MediaSource(of_file(path)) {}

  bool empty() const { return origin_ == nullptr; }
  const std::string& name() const;  // "" of none
  // The others need a source that is not empty.
  std::string identity() const { return origin().identity(); }
  std::string stamp() const { return origin().stamp(); }
  bool exists() const { return origin().exists(); }
  std::filesystem::path path() const { return origin().path(); }
  const MediaDecoding* decoding() const { return origin().decoding(); }
  // Throws MediaError also when it has no bytes at all. What was opened is closed with the result.
  std::unique_ptr<MediaBytes> open() const;

  // Whether both are the same bytes of the same place.
  bool operator==(const MediaSource& other) const;
  // The name.
  friend std::ostream& operator<<(std::ostream& out, const MediaSource& source);

 private:
  static MediaSource of_file(const std::filesystem::path& path);
  const MediaOrigin& origin() const;

  std::shared_ptr<const MediaOrigin> origin_;
};

struct FilePart {
  std::filesystem::path file;
  int64_t offset = 0;
  int64_t size = 0;
  std::string name;  // see MediaOrigin::name()
};
MediaSource part_of_file(FilePart part);

// Shares the bytes, which must not change.
MediaSource media_in_memory(std::shared_ptr<const std::string> bytes, std::string name);
MediaSource media_in_memory(std::string bytes, std::string name);

}  // namespace cavmae
