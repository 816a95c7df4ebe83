// Parts of files on web servers and in object stores as sources of media. Free functions; safe from several
// threads.
#pragma once

#include <memory>
#include <string>

#include "cavmae/media/media_source.h"
#include "cavmae/storage/remote_client.h"

namespace cavmae {

struct RemotePart {
  std::string file;  // what is_remote() takes
  RemoteFacts facts;
  int64_t offset = 0, size = 0;
  std::string name;  // see MediaOrigin::name()
};

// Bytes are fetched when they are read, in pieces of some size, of which the last few are kept. Reading
// throws MediaError where the server refuses, and StorageError, which ends a run, where it cannot be reached
// for long.
MediaSource part_of_remote(std::shared_ptr<const RemoteClient> client, RemotePart part);

}  // namespace cavmae
