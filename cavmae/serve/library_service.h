// What the routes of the API answer. Private to this folder; safe from several threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/decode/decode_job.h"
#include "cavmae/search/library_reader.h"
#include "cavmae/search/search.h"
#include "cavmae/serve/auth.h"
#include "cavmae/serve/batching.h"
#include "cavmae/serve/bounded_worker.h"
#include "cavmae/serve/decode_pool.h"
#include "cavmae/serve/http.h"
#include "cavmae/serve/index_job.h"
#include "cavmae/serve/media_paths.h"
#include "cavmae/serve/metrics_text.h"
#include "cavmae/serve/render_cache.h"
#include "cavmae/serve/serve.h"
#include "cavmae/serve/upload.h"

namespace cavmae {

class HttpServer;

class LibraryService : public HttpHandler {
 public:
  LibraryService(const std::string& library, const Pretrained& model, const ServeOptions& options,
                 const std::shared_ptr<Log>& log);

  // The server that asks, for what it counts.
  void begin(const HttpServer& server);
  void drain() { draining_ = true; }

  HttpAnswer answer(const HttpRequest& request, HttpBody& body) override;
  HttpAnswer refuse(const HttpError& error) override;

 private:
  struct Call {
    const HttpRequest& request;
    HttpBody& body;
    int64_t id = 0;  // of the path, where its pattern has one
    Access access = Access::open;
  };
  struct Route {
    const char* method;
    const char* pattern;  // "/v1/moments/{id}/clip"
    Access access;
    bool is_media;  // may take half of the connections
    HttpAnswer (LibraryService::*answer)(const Call&);
  };
  static const std::vector<Route>& routes();
  static const Route& find_route(const HttpRequest& request, int64_t& id);
  HttpAnswer answer_route(const Route& route, const HttpRequest& request, HttpBody& body, int64_t id);
  void add_headers(HttpAnswer& answer) const;

  // routes_page.cpp
  HttpAnswer page(const Call& call);
  HttpAnswer healthz(const Call& call);
  HttpAnswer readyz(const Call& call);
  HttpAnswer metrics(const Call& call);
  HttpAnswer session(const Call& call);
  HttpAnswer library_facts(const Call& call);
  HttpAnswer index_status(const Call& call);
  HttpAnswer begin_index(const Call& call);

  // routes_search.cpp
  HttpAnswer search_moments(const Call& call);
  HttpAnswer embed_file(const Call& call);
  ClipVectors vectors_of(const Upload& upload, const std::string& by);
  ClipVectors query_of(const Upload& upload, const std::string& by);
  Json to_json(const LibraryFile& file) const;

  // routes_media.cpp
  HttpAnswer moment(const Call& call);
  HttpAnswer media(const Call& call);
  HttpAnswer thumbnail(const Call& call);
  HttpAnswer spectrogram(const Call& call);
  HttpAnswer clip(const Call& call);
  struct Found {
    Moment moment;
    LibraryFile file;
  };
  Found find_moment(int64_t id);
  HttpAnswer rendered(const Call& call, const Found& found, const std::string& what,
                      const std::function<Rendering()>& render);
  DecodeAnswer decode_of_library(const LibraryFile& file, DecodeJob job);

  // What is in the library now; throws HttpError 503 where it cannot be read.
  std::shared_ptr<const LibrarySnapshot> snapshot();
  // The same, with the model that the server has; throws HttpError 503 where it was made anew with another.
  std::shared_ptr<const LibrarySnapshot> snapshot_of_our_model();
  std::shared_ptr<const MediaPaths> paths();
  Json with_library(Json json) const;
  std::string etag_of(const std::string& key) const;

  ServeOptions options_;
  std::shared_ptr<Log> log_;
  std::unique_ptr<LibraryReader> library_;
  LibraryModel model_;
  bool has_audio_, has_video_;  // which sides the network takes
  Auth auth_;
  ServerMetrics metrics_;
  DecodePool decoders_;
  RenderCache cache_;
  Batching batching_;
  BoundedWorker searching_;
  BoundedCount media_, uploads_;
  BackgroundIndexing indexing_;
  std::atomic<bool> draining_ = false;
  std::atomic<int64_t> generation_ = 0;  // that was seen last
  std::atomic<const HttpServer*> server_ = nullptr;
  std::mutex mutex_;  // of what follows
  std::vector<std::string> data_;
  std::shared_ptr<const MediaPaths> paths_;
};

// A field of a query, or `otherwise`. Throws HttpError 400 that names it.
template <class T>
T field_or(const Json& fields, const std::string& name, T otherwise) {
  const auto found = fields.find(name);
  if (found == fields.end() || found->is_null()) return otherwise;
  try {
    return found->get<T>();
  } catch (const Json::exception&) {
    throw HttpError(400, "bad_request", "the field " + name + " is of another kind", "see /openapi.json");
  }
}

}  // namespace cavmae
