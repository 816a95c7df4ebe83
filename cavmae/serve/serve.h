// A library over HTTP: the API, the page, and what answers both. Where 'cavmae serve' begins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/models/pretrained.h"

namespace cavmae {

struct ServeOptions {
  std::string host = "127.0.0.1";
  int port = 8765;                                // 0: any that is free
  std::filesystem::path token_file = {};          // needed for a host that others can reach
  std::vector<std::string> allow_host = {};       // names besides localhost and addresses, as a proxy's
  std::vector<std::filesystem::path> roots = {};  // folders that may be served, besides the library's own
  std::filesystem::path decoder = {};             // cavmae-decode; empty: beside the program

  int64_t max_connections = 64;  // each has a thread; media may take half of them
  int64_t max_batch = 8;         // queries in one forward pass
  double batch_ms = 10;          // that a query waits for others
  int64_t max_waiting = 64;      // queries; one more is answered 503
  int64_t decoders = 2;
  int64_t max_upload_mb = 256;
  double max_media_seconds = 3600;  // length of an uploaded file
  int64_t max_megapixels = 100;     // of a picture
  double decode_seconds = 30;       // that decoding one file may take
  int64_t cache_mb = 256;           // of pictures and clips, in memory

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("max_connections", o.max_connections, "connections at once, a thread each; one more is answered 503");
    v("max_batch", o.max_batch, "queries that share one forward pass");
    v("batch_ms", o.batch_ms, "milliseconds that a query waits for others to share it with");
    v("max_waiting", o.max_waiting, "queries that may wait for the model; one more is answered 503");
    v("decoders", o.decoders, "processes that decode files");
    v("max_upload_mb", o.max_upload_mb, "largest file that is taken");
    v("max_media_seconds", o.max_media_seconds, "longest file that is taken as a query");
    v("max_megapixels", o.max_megapixels, "largest picture that is decoded");
    v("decode_seconds", o.decode_seconds, "seconds that decoding one file may take");
    v("cache_mb", o.cache_mb, "memory for pictures and clips that were made");
  }
  // One ConfigError listing every bad field.
  void validate() const;
};

// A library that is being served. The model is the one that the library was made with.
class ServedLibrary {
 public:
  // Binds, and starts the decoders. Throws ConfigError: another model, an address that is taken, a host that
  // others can reach without tokens.
  ServedLibrary(const std::string& library, const Pretrained& model, const ServeOptions& options,
                const std::shared_ptr<Log>& log);
  ~ServedLibrary();

  int port() const;
  // Until stop(), which any thread may call; what is being answered is finished.
  void run();
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cavmae
