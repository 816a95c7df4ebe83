// A tar archive whose members are clips' files (WebDataset's shards): which there are and where they lie, so
// that any is read by itself. Immutable; safe from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/data/tar_file.h"
#include "cavmae/media/media_source.h"

namespace cavmae {

class Shard {
 public:
  // The source of some bytes of the tar, under a name.
  using Part = std::function<MediaSource(int64_t offset, int64_t size, std::string name)>;

  // `name`: a path, or where the tar lies on a server. Throws DataError where two members have one name.
  Shard(std::string name, std::vector<TarMember> members, Part part);

  const std::string& name() const { return name_; }
  // The member as a source called "x.tar/clip.mp4"; where there is none, one whose reading fails.
  MediaSource source(std::string_view member) const;

 private:
  // A data set may have tens of millions: their names are one text.
  struct Place {
    int64_t offset, size;
    size_t name_begin;
  };
  std::string_view name_of(size_t i) const;

  std::string name_, names_;
  std::vector<Place> places_;  // by name
  Part part_;
};

}  // namespace cavmae
