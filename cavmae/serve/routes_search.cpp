// POST /v1/search and /v1/embed.
#include <algorithm>
#include <chrono>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/data/clip_reader.h"
#include "cavmae/data/media_files.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/serve/decoded_file.h"
#include "cavmae/serve/library_service.h"

namespace cavmae {
namespace {

constexpr int64_t kMostFiles = 200, kMostMoments = 20;

HttpError wrong_query(const std::string& message, const std::string& cure) {
  return HttpError(400, "bad_request", message, cure);
}

void reject_unknown_fields(const Json& fields, const std::vector<std::string>& known) {
  for (const auto& [name, value] : fields.items())
    if (std::ranges::find(known, name) == known.end())
      throw wrong_query("there is no field '" + name + "'", "see /openapi.json for those that there are");
}

SearchOptions search_options(const Json& fields) {
  SearchOptions options;
  try {
    option_from_json(Json(field_or<std::string>(fields, "for", "any")), options.target, "for");
  } catch (const ConfigError& e) {
    throw wrong_query(e.what(), "give audio, video or any");
  }
  options.top = field_or<int64_t>(fields, "top", 20);
  options.moments_per_file = field_or<int64_t>(fields, "moments", 3);
  if (fields.contains("min_score")) options.min_score = field_or<double>(fields, "min_score", 0.0);
  options.under = field_or<std::string>(fields, "under", "");
  if (options.top > kMostFiles || options.moments_per_file > kMostMoments)
    throw wrong_query(
        concat("more than ", kMostFiles, " files or ", kMostMoments, " moments of each are asked for"),
        "ask for fewer");
  if (!options.under.empty() && !options.under.starts_with("/"))
    throw wrong_query("under is '" + options.under + "', no whole path",
                      "give one of GET /v1/library's folders");
  try {
    options.validate();
  } catch (const ConfigError& e) {
    throw wrong_query(e.what(), "see /openapi.json");
  }
  return options;
}

Json vector_to_json(const torch::Tensor& vector) {
  if (!vector.defined()) return nullptr;
  const torch::Tensor numbers = vector.contiguous();
  return std::vector<float>(numbers.data_ptr<float>(), numbers.data_ptr<float>() + numbers.numel());
}

void check_by(const std::string& by) {
  if (by != "any" && by != "audio" && by != "video")
    throw wrong_query("by is '" + by + "'", "give audio, video or any: which side of the query counts");
}

void check_finite(const torch::Tensor& vector, const std::string& name) {
  CAVMAE_CHECK_AS(MediaError, !vector.defined() || vector.isfinite().all().item<bool>(), name,
                  ": the network gives no finite numbers for it");
}

}  // namespace

ClipVectors LibraryService::vectors_of(const Upload& upload, const std::string& by) {
  snapshot_of_our_model();
  const MediaSource source = decoded_file(decoders_, upload.file, upload.filename,
                                          {.max_media_seconds = options_.max_media_seconds,
                                           .max_pixels = options_.max_megapixels * 1'000'000,
                                           .time_limit_seconds = options_.decode_seconds},
                                          Urgency::query);
  const InputSpec& spec = model_.spec;
  const MediaInfo info = probe_media(source, {.audio_track = spec.audio_track, .exif = spec.exif});
  ClipSource clip = clip_of_file(source);
  const bool takes_audio = by != "video" && has_audio_, takes_video = by != "audio" && has_video_;
  if (!takes_audio || !info.has_audio) clip.audio = {};
  if (!takes_video || !info.has_video) clip.video = {};
  CAVMAE_CHECK_AS(MediaError, !clip.audio.empty() || !clip.video.empty(), upload.filename, ": has ",
                  takes_audio && takes_video ? "neither sound nor pictures"
                  : takes_audio              ? "no sound to search by"
                                             : "no pictures to search by");
  ViewOptions view;
  // A picture is the same at every time.
  view.frames = info.is_picture ? FrameChoice::middle : FrameChoice::all;
  view.fits_segments = true;
  if (upload.fields.contains("at")) view.window_start = field_or<double>(upload.fields, "at", 0.0);
  const Sample sample = ClipReader(spec).read(clip, view, Need::any, /*seed=*/0);
  const ClipVectors vectors = batching_.embed({.audio = sample.audio, .video = sample.video});
  check_finite(vectors.audio, upload.filename);
  check_finite(vectors.video, upload.filename);
  return vectors;
}

// The vectors of what a query names: a file, a moment or a vector.
ClipVectors LibraryService::query_of(const Upload& upload, const std::string& by) {
  const Json& fields = upload.fields;
  const int queries = (upload.file != nullptr) + fields.contains("moment") + fields.contains("vector");
  if (queries != 1)
    throw wrong_query("one query is needed: a file, a moment or a vector, and only one of them",
                      "send multipart/form-data with a part 'file', or {\"moment\": 1}");
  if (upload.file != nullptr) return vectors_of(upload, by);
  if (fields.contains("vector")) {
    const auto numbers = field_or<std::vector<float>>(fields, "vector", {});
    const auto of = field_or<std::string>(fields, "by", "");
    if (of != "audio" && of != "video")
      throw wrong_query("a vector needs to say of what it is", "add \"by\": \"audio\" or \"by\": \"video\"");
    if (static_cast<int64_t>(numbers.size()) != model_.embed_dim)
      throw wrong_query(
          concat("the vector has ", numbers.size(), " numbers, and those of the library ", model_.embed_dim),
          "take one of POST /v1/embed of the same model");
    const torch::Tensor vector = torch::tensor(numbers);
    if (!vector.isfinite().all().item<bool>()) throw wrong_query("the vector is not finite", "take another");
    return of == "audio" ? ClipVectors{.audio = vector, .video = {}}
                         : ClipVectors{.audio = {}, .video = vector};
  }
  const auto id = field_or<int64_t>(fields, "moment", 0);
  if (!library_->moment(id))
    throw HttpError(404, "moment", concat("there is no moment ", id),
                    "the library has changed; search again");
  ClipVectors vectors = library_->vectors(id);
  if (by == "audio") vectors.video = torch::Tensor();
  if (by == "video") vectors.audio = torch::Tensor();
  if (!vectors.audio.defined() && !vectors.video.defined())
    throw wrong_query(concat("the moment ", id, " has no ", by == "audio" ? "sound" : "pictures"),
                      "search by its other side");
  return vectors;
}

Json LibraryService::to_json(const LibraryFile& file) const {
  const std::filesystem::path path = file.path;
  Json out = {{"file", file.id},
              {"path", file.path},
              {"name", path.filename().string()},
              {"folder", path.parent_path().string()},
              {"has_audio", file.has_audio},
              {"has_video", file.has_video},
              {"media_type", media_type_of(path)},
              {"end_seconds", to_seconds(file.end_ms)}};
  if (!file.audio_path.empty()) out["audio_path"] = file.audio_path;
  return out;
}

HttpAnswer LibraryService::search_moments(const Call& call) {
  const auto begin = std::chrono::steady_clock::now();
  const BoundedCount::Place place(uploads_);
  const Upload upload = read_upload(call.request, call.body, options_.max_upload_mb * 1'000'000);
  reject_unknown_fields(upload.fields,
                        {"moment", "vector", "by", "for", "top", "moments", "min_score", "under", "at"});
  const SearchOptions options = search_options(upload.fields);
  const auto by = field_or<std::string>(upload.fields, "by", "any");
  check_by(by);
  const auto now = snapshot_of_our_model();
  const ClipVectors query = query_of(upload, by);
  const std::vector<FileHit> hits = searching_.run([&] { return search(*library_, query, options); });
  Json results = Json::array();
  for (const FileHit& hit : hits) {
    Json file = to_json(hit.file);
    file["moments"] = Json::array();
    for (const MomentHit& moment : hit.moments) file["moments"].push_back(cavmae::to_json(moment));
    results.push_back(std::move(file));
  }
  Json sides = Json::array();
  if (query.audio.defined()) sides.push_back("audio");
  if (query.video.defined()) sides.push_back("video");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return json_answer(with_library({{"query", sides},
                                   {"for", enum_name(options.target)},
                                   {"searched", now->counts().moments},
                                   {"seconds", seconds},
                                   {"results", std::move(results)}}));
}

HttpAnswer LibraryService::embed_file(const Call& call) {
  const BoundedCount::Place place(uploads_);
  const Upload upload = read_upload(call.request, call.body, options_.max_upload_mb * 1'000'000);
  reject_unknown_fields(upload.fields, {"by", "at"});
  const auto by = field_or<std::string>(upload.fields, "by", "any");
  check_by(by);
  if (upload.file == nullptr)
    throw wrong_query("there is no file", "send multipart/form-data with a part 'file'");
  const ClipVectors vectors = vectors_of(upload, by);
  return json_answer(with_library({{"audio", vector_to_json(vectors.audio)},
                                   {"video", vector_to_json(vectors.video)},
                                   {"precision", model_.precision}}));
}

}  // namespace cavmae
