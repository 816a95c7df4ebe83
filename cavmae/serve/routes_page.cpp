// The page, and what is told of the server and its library.
#include <algorithm>
#include <set>

#include "cavmae/core/paths.h"
#include "cavmae/serve/assets.h"
#include "cavmae/serve/http_server.h"
#include "cavmae/serve/library_service.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Asset {
  const char* path;
  std::string_view (*text)();
  const char* type;
};
constexpr const char* kScript = "text/javascript; charset=utf-8";
constexpr Asset kAssets[] = {{"/", page_html, "text/html; charset=utf-8"},
                             {"/page.css", page_css, "text/css; charset=utf-8"},
                             {"/page.js", page_js, kScript},
                             {"/api.js", api_js, kScript},
                             {"/cards.js", cards_js, kScript},
                             {"/query.js", query_js, kScript},
                             {"/icon.svg", icon_svg, "image/svg+xml"},
                             {"/openapi.json", openapi_json, "application/json"}};

HttpAnswer asset(std::string_view text, const char* type) {
  HttpAnswer answer;
  answer.body = text;
  answer.content_type = type;
  answer.headers.emplace_back("Content-Security-Policy", kPagePolicy);
  answer.headers.emplace_back("Permissions-Policy", "microphone=(self), camera=(), geolocation=()");
  return answer;
}

// Folders that a search may be limited to: the roots and those in them.
Json folders_below(const std::vector<std::string>& roots) {
  constexpr size_t kMost = 300;
  constexpr int kDepth = 2;
  std::set<std::string> out;
  for (const std::string& root : roots) {
    std::error_code failed;
    if (!fs::is_directory(root, failed)) continue;
    out.insert(root);
    auto at = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied, failed);
    for (; !failed && at != fs::recursive_directory_iterator() && out.size() < kMost; at.increment(failed)) {
      if (!at->is_directory(failed) || failed) continue;
      if (at.depth() >= kDepth - 1) at.disable_recursion_pending();
      if (at->path().filename().string().starts_with(".")) {
        at.disable_recursion_pending();
        continue;
      }
      out.insert(at->path().string());
    }
  }
  return out;
}

}  // namespace

HttpAnswer LibraryService::page(const Call& call) {
  for (const Asset& one : kAssets)
    if (call.request.path == one.path) return asset(one.text(), one.type);
  throw HttpError(404, "path", "there is nothing under this path", "see /openapi.json for what there is");
}

HttpAnswer LibraryService::healthz(const Call&) {
  return json_answer(with_library({{"status", "alive"}}));
}

HttpAnswer LibraryService::readyz(const Call&) {
  if (draining_)
    throw HttpError(503, "ending", "the server is ending", "ask another one", /*retry_after_seconds=*/5);
  snapshot_of_our_model();
  return json_answer(with_library({{"status", "ready"}}));
}

HttpAnswer LibraryService::metrics(const Call&) {
  const LibraryCounts counts = snapshot()->counts();
  const BatchingCounts batching = batching_.counts();
  std::string text = metrics_.text();
  const auto add = [&](const char* name, const char* kind, const char* help, int64_t value) {
    text += metric_text(name, kind, help, static_cast<double>(value));
  };
  add("cavmae_library_generation", "gauge", "Generation of the library.", generation_);
  add("cavmae_library_files", "gauge", "Files in the library.", counts.files);
  add("cavmae_library_moments", "gauge", "Moments in the library.", counts.moments);
  add("cavmae_queries_total", "counter", "Queries that the model computed.", batching.queries);
  add("cavmae_batches_total", "counter", "Forward passes that they shared.", batching.batches);
  add("cavmae_queries_refused_total", "counter", "Queries that found too many waiting.", batching.refused);
  add("cavmae_queries_waiting", "gauge", "Queries that wait for the model.", batching.waiting);
  add("cavmae_decoded_total", "counter", "Files that were decoded.", decoders_.jobs());
  add("cavmae_decoders_replaced_total", "counter", "Decoders that crashed or took too long.",
      decoders_.replaced());
  add("cavmae_cache_bytes", "gauge", "Pictures and clips in memory.", cache_.bytes());
  add("cavmae_cache_hits_total", "counter", "Pictures and clips that were there.", cache_.hits());
  add("cavmae_cache_misses_total", "counter", "Pictures and clips that were made.", cache_.misses());
  add("cavmae_indexing", "gauge", "Whether files are being added.", indexing_.is_running() ? 1 : 0);
  if (const HttpServer* server = server_) {
    add("cavmae_connections", "gauge", "Connections that are open.", server->connections());
    add("cavmae_connections_refused_total", "counter", "Connections beyond the limit.",
        server->refused_connections());
  }
  HttpAnswer answer;
  answer.body = std::move(text);
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return answer;
}

HttpAnswer LibraryService::session(const Call& call) {
  constexpr int64_t kMaxBytes = 4096;
  const Upload upload = read_upload(call.request, call.body, kMaxBytes);
  Access granted = Access::open;
  const std::string cookie =
      auth_.begin_session(call.request, field_or<std::string>(upload.fields, "token", ""), granted);
  HttpAnswer answer = json_answer(with_library({{"access", granted == Access::admin ? "admin" : "read"}}));
  answer.headers.emplace_back("Set-Cookie", cookie);
  return answer;
}

HttpAnswer LibraryService::library_facts(const Call& call) {
  const auto now = snapshot();
  const LibraryCounts& counts = now->counts();
  const LibrarySettings& settings = now->settings();
  return json_answer(
      with_library({{"name", fs::absolute(library_->name()).lexically_normal().filename().string()},
                    {"files", counts.files},
                    {"moments", counts.moments},
                    {"failures", counts.failures},
                    {"window_seconds", settings.model.spec.window_seconds},
                    {"hop_seconds", settings.hop_seconds},
                    {"embed_dim", settings.model.embed_dim},
                    {"precision", settings.model.precision},
                    {"roots", settings.data},
                    {"folders", folders_below(settings.data)},
                    {"access", call.access == Access::admin ? "admin" : "read"},
                    {"tokens", auth_.needs_tokens()},
                    {"max_upload_mb", options_.max_upload_mb},
                    {"max_media_seconds", options_.max_media_seconds},
                    {"indexing", indexing_.is_running()}}));
}

HttpAnswer LibraryService::index_status(const Call&) {
  return json_answer(with_library(indexing_.status(snapshot()->counts().files)));
}

HttpAnswer LibraryService::begin_index(const Call& call) {
  constexpr int64_t kMaxBytes = 65536;
  const Upload upload = read_upload(call.request, call.body, kMaxBytes);
  const auto text = field_or<std::string>(upload.fields, "path", "");
  const auto now = snapshot_of_our_model();
  const auto is_in = [](const fs::path& path, const fs::path& root) {
    return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
  };
  const fs::path path = text.starts_with("/") ? resolve_path(text) : fs::path();
  const std::vector<std::string>& data = now->settings().data;
  const bool is_named_below =
      !path.empty() && std::ranges::any_of(data, [&](const std::string& root) { return is_in(path, root); });
  const MediaPaths roots(std::vector<fs::path>(data.begin(), data.end()));
  if (!is_named_below || roots.canonical_inside(path).empty())
    throw HttpError(400, "path", "'" + text + "' is not in one of the library's folders",
                    "give the whole path of a file or folder below one of GET /v1/library's roots");
  indexing_.start(path, now->counts().files);
  return json_answer(with_library(indexing_.status(now->counts().files)), 202);
}

}  // namespace cavmae
