#include "cavmae/serve/library_service.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include <fmt/format.h>

#include "cavmae/core/own_errors.h"
#include "cavmae/search/open_library.h"
#include "cavmae/serve/http_server.h"

namespace cavmae {
namespace {

// The segments of a path: "/v1/moments/12" has three.
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

// Whether the path is one of the pattern; `id`: the number that stands for {id}.
bool matches(std::string_view path, std::string_view pattern, int64_t& id) {
  const auto have = segments_of(path), want = segments_of(pattern);
  if (have.size() != want.size()) return false;
  for (size_t i = 0; i < have.size(); ++i) {
    if (want[i] != "{id}") {
      if (have[i] != want[i]) return false;
      continue;
    }
    const auto [end, failed] = std::from_chars(have[i].data(), have[i].data() + have[i].size(), id);
    if (failed != std::errc() || end != have[i].data() + have[i].size() || id < 0) return false;
  }
  return true;
}

DecodePoolOptions pool_options(const ServeOptions& options) {
  return {.program = options.decoder.empty() ? decoder_beside_this_program() : options.decoder,
          .decoders = options.decoders,
          .max_waiting = std::max<int64_t>(2 * options.max_waiting, options.max_connections)};
}

}  // namespace

LibraryService::LibraryService(const std::string& library, const Pretrained& model,
                               const ServeOptions& options, const std::shared_ptr<Log>& log)
    : options_(options),
      log_(log),
      library_(open_library(library)),
      model_(library_model(model)),
      has_audio_(model.network()->config().has_audio()),
      has_video_(model.network()->config().has_video()),
      auth_({.token_file = options.token_file, .allowed_hosts = options.allow_host, .port = options.port}),
      decoders_(pool_options(options), log),
      cache_(options.cache_mb * 1'000'000),
      batching_(model.network(), {.max_batch = options.max_batch,
                                  .deadline_ms = options.batch_ms,
                                  .max_waiting = options.max_waiting}),
      searching_("searching", options.max_waiting),
      media_("media", std::max<int64_t>(1, options.max_connections / 2)),
      uploads_("uploads", std::max<int64_t>(1, options.max_connections / 2)),
      indexing_(library, model, log) {
  check_same_model(library_->name(), snapshot()->settings(), model_);
}

void LibraryService::begin(const HttpServer& server) {
  server_ = &server;
}

const std::vector<LibraryService::Route>& LibraryService::routes() {
  using S = LibraryService;
  static const std::vector<Route> all = {
      {"GET", "/", Access::open, false, &S::page},
      {"GET", "/page.css", Access::open, false, &S::page},
      {"GET", "/page.js", Access::open, false, &S::page},
      {"GET", "/api.js", Access::open, false, &S::page},
      {"GET", "/cards.js", Access::open, false, &S::page},
      {"GET", "/query.js", Access::open, false, &S::page},
      {"GET", "/icon.svg", Access::open, false, &S::page},
      {"GET", "/openapi.json", Access::open, false, &S::page},
      {"GET", "/healthz", Access::open, false, &S::healthz},
      {"GET", "/readyz", Access::open, false, &S::readyz},
      {"GET", "/metrics", Access::read, false, &S::metrics},
      {"POST", "/v1/session", Access::open, false, &S::session},
      {"GET", "/v1/library", Access::read, false, &S::library_facts},
      {"GET", "/v1/index", Access::read, false, &S::index_status},
      {"POST", "/v1/index", Access::admin, false, &S::begin_index},
      {"POST", "/v1/search", Access::read, false, &S::search_moments},
      {"POST", "/v1/embed", Access::read, false, &S::embed_file},
      {"GET", "/v1/moments/{id}", Access::read, false, &S::moment},
      {"GET", "/v1/moments/{id}/thumbnail", Access::read, true, &S::thumbnail},
      {"GET", "/v1/moments/{id}/spectrogram", Access::read, true, &S::spectrogram},
      {"GET", "/v1/moments/{id}/clip", Access::read, true, &S::clip},
      {"GET", "/v1/files/{id}/media", Access::read, true, &S::media},
  };
  return all;
}

const LibraryService::Route& LibraryService::find_route(const HttpRequest& request, int64_t& id) {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  bool is_known = false;
  for (const Route& route : routes()) {
    if (!matches(request.path, route.pattern, id)) continue;
    if (method == route.method) return route;
    is_known = true;
  }
  if (is_known) throw HttpError(405, "method", request.method + " is not answered here", "see /openapi.json");
  throw HttpError(404, "path", "there is nothing under this path", "see /openapi.json for what there is");
}

HttpAnswer LibraryService::answer_route(const Route& route, const HttpRequest& request, HttpBody& body,
                                        int64_t id) {
  const Access access = auth_.check(request, route.access);
  const Call call{.request = request, .body = body, .id = id, .access = access};
  if (!route.is_media) return (this->*route.answer)(call);
  auto place = std::make_shared<const BoundedCount::Place>(media_);
  HttpAnswer answer = (this->*route.answer)(call);
  answer.held = std::move(place);
  return answer;
}

HttpAnswer LibraryService::refuse(const HttpError& error) {
  HttpAnswer answer = error_answer(error);
  add_headers(answer);
  return answer;
}

HttpAnswer LibraryService::answer(const HttpRequest& request, HttpBody& body) {
  const auto begin = std::chrono::steady_clock::now();
  std::string name = "other";
  HttpAnswer answer;
  try {
    int64_t id = 0;
    auth_.check_origin(request);
    const Route& route = find_route(request, id);
    name = route.pattern;
    answer = with_own_errors([&] { return answer_route(route, request, body, id); });
  } catch (const HttpError& e) {
    answer = error_answer(e);
  } catch (const LibraryAway& e) {
    answer = error_answer(HttpError(503, "library_away", e.what(),
                                    "wait; the server asks for its library again with each request",
                                    /*retry_after_seconds=*/5));
  } catch (const MediaError& e) {
    answer =
        error_answer(HttpError(415, "undecodable", e.what(), "give a sound, a picture or a film that plays"));
  } catch (const std::exception& e) {
    log_->error("{} {}: {}", request.method, name, e.what());
    answer = error_answer(HttpError(500, "internal", "the server failed to answer", "its log says why"));
  }
  add_headers(answer);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  metrics_.count(name, answer.status, seconds);
  log_->debug("{} {} {} {:.0f} ms", request.method, name, answer.status, 1000 * seconds);
  return answer;
}

void LibraryService::add_headers(HttpAnswer& answer) const {
  const auto add = [&](const char* header, std::string value) {
    const bool is_there =
        std::ranges::any_of(answer.headers, [&](const auto& one) { return one.first == header; });
    if (!is_there) answer.headers.emplace_back(header, std::move(value));
  };
  add("Cavmae-Model", model_.parameters_hash);
  add("Cavmae-Generation", std::to_string(generation_.load()));
  add("X-Content-Type-Options", "nosniff");
  add("Referrer-Policy", "no-referrer");
  add("Cross-Origin-Resource-Policy", "same-origin");
  add("Cross-Origin-Opener-Policy", "same-origin");
  add("X-Frame-Options", "DENY");
  add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox");
  add("Cache-Control", "private, no-cache");
}

std::shared_ptr<const LibrarySnapshot> LibraryService::snapshot() {
  std::shared_ptr<const LibrarySnapshot> now;
  try {
    now = library_->snapshot();
  } catch (const LibraryAway&) {
    throw;
  } catch (const Error& e) {
    throw HttpError(503, "library", e.what(), "mend the library by cavmae index --check",
                    /*retry_after_seconds=*/10);
  }
  generation_ = now->settings().generation;
  return now;
}

std::shared_ptr<const LibrarySnapshot> LibraryService::snapshot_of_our_model() {
  auto now = snapshot();
  if (now->settings().model.parameters_hash != model_.parameters_hash)
    throw HttpError(503, "model_changed", "the library was made anew with another model",
                    "start the server again",
                    /*retry_after_seconds=*/60);
  return now;
}

std::shared_ptr<const MediaPaths> LibraryService::paths() {
  const std::vector<std::string> data = snapshot()->settings().data;
  const std::lock_guard lock(mutex_);
  if (paths_ == nullptr || data_ != data) {
    std::vector<std::filesystem::path> roots(data.begin(), data.end());
    roots.insert(roots.end(), options_.roots.begin(), options_.roots.end());
    paths_ = std::make_shared<const MediaPaths>(roots);
    data_ = data;
  }
  return paths_;
}

Json LibraryService::with_library(Json json) const {
  json["model"] = model_.parameters_hash;
  json["generation"] = generation_.load();
  return json;
}

std::string LibraryService::etag_of(const std::string& key) const {
  return fmt::format("\"{:016x}\"", std::hash<std::string>()(key + model_.parameters_hash));
}

}  // namespace cavmae
