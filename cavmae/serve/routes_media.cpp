// GET /v1/moments/{id}... and /v1/files/{id}/media: what a page shows and plays.
#include <algorithm>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/features/fbank.h"
#include "cavmae/features/media_tensors.h"
#include "cavmae/media/image_writer.h"
#include "cavmae/report/colour_map.h"
#include "cavmae/serve/library_service.h"

namespace cavmae {
namespace {

constexpr int64_t kThumbnailWidth = 480, kClipWidth = 854;

HttpError gone(const std::string& what, int64_t id) {
  return HttpError(404, what, concat("there is no ", what, " ", id), "the library has changed; search again");
}

// A browser has this version already.
HttpAnswer not_modified(const std::string& etag) {
  HttpAnswer answer;
  answer.status = 304;
  answer.headers.emplace_back("ETag", etag);
  return answer;
}

Rendering rendering_of(DecodeAnswer answer) {
  return {.bytes = std::make_shared<const std::string>(std::move(answer.bytes)),
          .content_type = answer.content_type};
}

}  // namespace

LibraryService::Found LibraryService::find_moment(int64_t id) {
  snapshot();
  const auto moment = library_->moment(id);
  if (!moment) throw gone("moment", id);
  const auto file = library_->file(moment->file);
  if (!file) throw gone("moment", id);
  return {.moment = *moment, .file = *file};
}

HttpAnswer LibraryService::moment(const Call& call) {
  const Found found = find_moment(call.id);
  Json json = to_json(found.file);
  json["moment"] = found.moment.id;
  json["start_seconds"] = to_seconds(found.moment.start_ms);
  json["end_seconds"] = to_seconds(found.moment.end_ms);
  return json_answer(with_library(std::move(json)));
}

HttpAnswer LibraryService::media(const Call& call) {
  snapshot();
  const auto record = library_->file(call.id);
  if (!record) throw gone("file", call.id);
  const bool is_sound = call.request.query("side") == "audio" && !record->audio_path.empty();
  const std::filesystem::path path = is_sound ? record->audio_path : record->path;
  HttpAnswer answer;
  answer.file = paths()->open(path);
  answer.content_type = media_type_of(path);
  const std::string etag = etag_of(fmt::format("media {} {} {}", call.id, is_sound, answer.file->version()));
  if (call.request.header("If-None-Match") == etag) return not_modified(etag);
  if (answer.content_type == "application/octet-stream")
    answer.headers.emplace_back("Content-Disposition", "attachment");
  answer.headers.emplace_back("ETag", etag);
  const std::string unchanged = call.request.header("If-Range");
  if (!unchanged.empty() && unchanged != etag) {  // another version than that of which a part is wanted
    answer.length = answer.file->size();
    return answer;
  }
  answer_range(call.request, answer.file->size(), answer);
  return answer;
}

DecodeAnswer LibraryService::decode_of_library(const LibraryFile& file, DecodeJob job) {
  const auto allowed = paths();
  std::vector<std::shared_ptr<const OpenFile>> files = {allowed->open(file.path)};
  const auto range_of = [](const OpenFile& one) {
    return FileRange{.begin = one.begin(), .size = one.size()};
  };
  job.name = safe_filename(std::filesystem::path(file.path).filename().string());
  job.range = range_of(*files.front());
  if (!file.audio_path.empty()) {
    files.push_back(allowed->open(file.audio_path));
    job.sound_name = safe_filename(std::filesystem::path(file.audio_path).filename().string());
    job.sound_range = range_of(*files.back());
  }
  job.audio = file.has_audio;
  job.video = file.has_video;
  job.max_pixels = options_.max_megapixels * 1'000'000;
  job.time_limit_seconds = options_.decode_seconds;
  std::vector<int> descriptors;
  for (const auto& one : files) descriptors.push_back(one->descriptor());
  return decoders_.decode(job, descriptors, Urgency::picture);
}

HttpAnswer LibraryService::rendered(const Call& call, const Found& found, const std::string& what,
                                    const std::function<Rendering()>& render) {
  const std::string key = fmt::format("{} {} {} {} {} {}", what, found.moment.id, found.file.path,
                                      found.moment.start_ms, found.moment.end_ms, found.file.stamp);
  const std::string etag = etag_of(key);
  // Who may not see the file any more may not see what was made of it.
  paths()->open(found.file.path);
  if (call.request.header("If-None-Match") == etag) return not_modified(etag);
  const Rendering rendering = cache_.get(key, render);
  HttpAnswer answer;
  answer.text = rendering.bytes;
  answer.content_type = rendering.content_type;
  answer.headers.emplace_back("ETag", etag);
  answer_range(call.request, static_cast<int64_t>(rendering.bytes->size()), answer);
  return answer;
}

HttpAnswer LibraryService::thumbnail(const Call& call) {
  const Found found = find_moment(call.id);
  if (!found.file.has_video)
    throw HttpError(404, "no_pictures", "the file has no pictures", "ask for its spectrogram");
  DecodeJob job{.kind = DecodeKind::picture, .name = {}};
  job.start = to_seconds((found.moment.start_ms + found.moment.end_ms) / 2);
  job.size_px = kThumbnailWidth;
  return rendered(call, found, "thumbnail", [&] { return rendering_of(decode_of_library(found.file, job)); });
}

HttpAnswer LibraryService::spectrogram(const Call& call) {
  const Found found = find_moment(call.id);
  if (!found.file.has_audio)
    throw HttpError(404, "no_sound", "the file has no sound", "ask for its thumbnail");
  const InputSpec& spec = model_.spec;
  DecodeJob job{.kind = DecodeKind::audio, .name = {}};
  job.start = to_seconds(found.moment.start_ms);
  job.seconds = std::max(0.1, to_seconds(found.moment.end_ms - found.moment.start_ms));
  job.sample_rate_hz = spec.sample_rate_hz;
  job.channels = spec.audio_channels;
  job.audio_track = spec.audio_track;
  return rendered(call, found, "spectrogram", [&] {
    const Fbank fbank({.sample_rate_hz = spec.sample_rate_hz, .num_mel_bins = spec.num_mel_bins});
    const torch::Tensor rows = fbank.compute(to_tensor(decode_of_library(found.file, job).waveform));
    CAVMAE_CHECK_AS(MediaError, rows.size(0) > 0, found.file.path, ": has too little sound there");
    constexpr int kQuality = 85;
    const torch::Tensor picture = spectrogram_picture(rows, colour_range(rows));
    return rendering_of({.bytes = encode_jpeg(to_picture(picture), kQuality), .content_type = "image/jpeg"});
  });
}

HttpAnswer LibraryService::clip(const Call& call) {
  const Found found = find_moment(call.id);
  DecodeJob job{.kind = DecodeKind::clip, .name = {}};
  job.start = to_seconds(found.moment.start_ms);
  job.seconds = to_seconds(found.moment.end_ms - found.moment.start_ms);
  job.size_px = kClipWidth;
  return rendered(call, found, "clip", [&] { return rendering_of(decode_of_library(found.file, job)); });
}

}  // namespace cavmae
