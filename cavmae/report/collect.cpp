#include "cavmae/report/collect.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/report/colour_map.h"
#include "cavmae/report/inpainting_figure.h"

namespace cavmae {
namespace {

constexpr int64_t kMaxPictureFrames = 384;  // columns of a spectrogram in the page
constexpr size_t kMaxFailedShown = 50;

// float [T, F] -> at most kMaxPictureFrames frames, each the mean of its neighbours; a frame that is hidden
// in part is hidden.
torch::Tensor shorten(const torch::Tensor& fbank) {
  const int64_t step = (fbank.size(0) + kMaxPictureFrames - 1) / kMaxPictureFrames;
  const int64_t frames = fbank.size(0) / step;
  if (step <= 1) return fbank;
  return fbank.narrow(0, 0, frames * step).view({frames, step, fbank.size(1)}).mean(1);
}

torch::Tensor picture_of(const torch::Tensor& fbank, const ColourRange& range) {
  return fbank.defined() ? spectrogram_picture(shorten(fbank), range) : fbank;
}

ReportClip report_clip(const ShownClip& clip) {
  return {.id = clip.id,
          .picture = clip.picture,
          .spectrogram =
              clip.fbank.defined() ? picture_of(clip.fbank, colour_range(clip.fbank)) : torch::Tensor(),
          .labels = clip.labels};
}

std::string kind_word(ExampleKind kind) {
  switch (kind) {
    case ExampleKind::best:
      return "best";
    case ExampleKind::middle:
      return "middle";
    case ExampleKind::worst:
      break;
  }
  return "worst";
}

ReportQuery report_query(const ShownQuery& shown) {
  ReportQuery query{.from_audio = shown.direction == Direction::audio_to_video,
                    .query = report_clip(shown.query),
                    .rank = shown.rank,
                    .answers = {},
                    .scores = shown.scores,
                    .is_partner = shown.is_partner,
                    .kind = kind_word(shown.kind)};
  for (const ShownClip& answer : shown.answers) query.answers.push_back(report_clip(answer));
  return query;
}

// The three spectrograms share the colours of the original.
ReportReconstruction report_reconstruction(const ShownReconstruction& shown) {
  ReportReconstruction out;
  out.id = shown.id;
  out.original_picture = shown.original_picture;
  out.masked_picture = shown.masked_picture;
  out.rebuilt_picture = shown.rebuilt_picture;
  if (!shown.original_fbank.defined()) return out;
  const ColourRange range = colour_range(shown.original_fbank);
  out.original_spectrogram = picture_of(shown.original_fbank, range);
  out.masked_spectrogram = picture_of(shown.masked_fbank, range);
  out.rebuilt_spectrogram = picture_of(shown.rebuilt_fbank, range);
  return out;
}

void read_metrics(const std::filesystem::path& path, ReportContent& content) {
  if (!std::filesystem::exists(path)) {
    content.notes.push_back("metrics.jsonl is not there, so there are no curves.");
    return;
  }
  int64_t broken = 0;
  for (const std::string& line : split(read_text(path), '\n')) {
    if (trim(line).empty()) continue;
    Json record = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_object()) {
      content.metrics.push_back(std::move(record));
    } else {
      ++broken;
    }
  }
  if (broken > 0)
    content.notes.push_back(fmt::format("{} line{} of metrics.jsonl could not be read and {} left out.",
                                        broken, broken == 1 ? "" : "s", broken == 1 ? "was" : "were"));
}

}  // namespace

ReportContent read_run(const std::filesystem::path& run) {
  CAVMAE_CHECK(std::filesystem::is_directory(run), run.string(),
               ": no such folder; a report is made of the folder that 'cavmae pretrain --out' wrote");
  ReportContent content;
  const std::filesystem::path folder = std::filesystem::canonical(run);
  content.title = "cavmae: " + folder.filename().string();
  content.subtitle = folder.string();
  if (const auto config = run / "config.json"; std::filesystem::exists(config)) {
    content.config = read_json(config);
  } else {
    content.notes.push_back("config.json is not there, so there are no settings.");
  }
  if (const auto evaluation = run / "evaluation.json"; std::filesystem::exists(evaluation))
    content.classification = read_json(evaluation);
  read_metrics(run / "metrics.jsonl", content);
  return content;
}

void add_examples(ReportContent& content, const ReportExamples& examples,
                  const ReportExampleOptions& options) {
  if (examples.retrieval) content.retrieval = to_json(*examples.retrieval);
  for (const ShownQuery& query : examples.queries) content.queries.push_back(report_query(query));
  for (const ShownReconstruction& reconstruction : examples.reconstructions)
    content.reconstructions.push_back(report_reconstruction(reconstruction));
  if (!examples.reconstructions.empty())
    content.reconstruction_note = reconstruction_note(
        examples.reconstructions.front(), options.masks,
        options.normalized_targets ? TargetNormalization::per_patch : TargetNormalization::none);
  const size_t failed = examples.failed.size();
  if (failed > 0)
    content.notes.push_back(fmt::format("{} clip{} could not be read and {} not searched:", failed,
                                        failed == 1 ? "" : "s", failed == 1 ? "was" : "were"));
  for (size_t i = 0; i < std::min(failed, kMaxFailedShown); ++i)
    content.notes.push_back(examples.failed[i].id + ": " + examples.failed[i].reason);
  if (failed > kMaxFailedShown) content.notes.push_back(fmt::format("and {} more", failed - kMaxFailedShown));
}

}  // namespace cavmae
