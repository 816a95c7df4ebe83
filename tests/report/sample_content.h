// A report's content made up from formulas: curves that fall, pictures with shapes, sounds with sweeps. Test
// code only.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cavmae/report/report.h"

namespace cavmae::testing {

// uint8 [S, S, 3]: a disc on a sloping background.
inline torch::Tensor sample_picture(int64_t index, int64_t size) {
  const torch::Tensor x = torch::arange(size).to(torch::kFloat32).unsqueeze(0) / static_cast<double>(size);
  const torch::Tensor y = x.t();
  const double cx = 0.25 + 0.5 * std::fmod(0.37 * static_cast<double>(index), 1.0);
  const double cy = 0.25 + 0.5 * std::fmod(0.61 * static_cast<double>(index), 1.0);
  const torch::Tensor disc = ((x - cx).square() + (y - cy).square()).lt(0.03).to(torch::kFloat32);
  std::vector<torch::Tensor> channels;
  for (int c = 0; c < 3; ++c) {
    const double tone = 0.5 + 0.5 * std::sin(static_cast<double>(index) + 2.1 * c);
    channels.push_back((1 - disc) * (0.25 + 0.25 * x + 0.2 * y) + disc * tone);
  }
  return (torch::stack(channels, 2) * 255).to(torch::kUInt8);
}

// float [T, F]: a sweep with harmonics over noise.
inline torch::Tensor sample_fbank(int64_t index, int64_t frames, int64_t bins) {
  torch::manual_seed(static_cast<uint64_t>(index));
  const torch::Tensor t =
      torch::arange(frames).to(torch::kFloat32).unsqueeze(1) / static_cast<double>(frames);
  const torch::Tensor f = torch::arange(bins).to(torch::kFloat32).unsqueeze(0) / static_cast<double>(bins);
  torch::Tensor energy = 0.25 * torch::rand({frames, bins});
  for (int k = 1; k <= 3; ++k) {
    const torch::Tensor line = 0.2 * k + 0.08 * torch::sin(t * (3.0 + static_cast<double>(index)));
    energy = energy + torch::exp(-(f - line).square() * 900) * (1.2 / k);
  }
  return energy;
}

inline ReportClip sample_clip(int64_t index) {
  return {.id = fmt::format("held_out/clip_{:05}.mp4", index),
          .picture = sample_picture(index, 96),
          .spectrogram = spectrogram_picture(sample_fbank(index, 200, 64), {0, 1.3}),
          .labels = {"disc", index % 2 == 0 ? "saw" : "sine"}};
}

inline std::vector<Json> sample_metrics(int64_t epochs = 12) {
  std::vector<Json> metrics;
  for (int64_t step = 20; step <= epochs * 200; step += 20) {
    const double part = std::exp(-static_cast<double>(step) / 700);
    const double wobble = 0.05 * std::sin(static_cast<double>(step));
    metrics.push_back({{"kind", "train"},
                       {"step", step},
                       {"epoch", step / 200},
                       {"loss", 0.9 + 2.5 * part + wobble},
                       {"loss_audio", 0.4 + 0.5 * part},
                       {"loss_video", 0.3 + 0.6 * part},
                       {"loss_contrastive", 0.8 + 2.2 * part + wobble},
                       {"accuracy", 0.75 - 0.7 * part + wobble},
                       {"lr", 1e-4 * std::min(1.0, static_cast<double>(step) / 400)},
                       {"samples_per_second", 61.5 + 20 * wobble},
                       {"data_wait_share", 0.02},
                       {"elapsed_seconds", static_cast<double>(step) / 5.0}});
    if (step % 200 == 0)
      metrics.push_back(
          {{"kind", "validation"},
           {"step", step},
           {"epoch", step / 200},
           {"loss", 1.05 + 2.4 * part},
           {"loss_audio", 0.45 + 0.5 * part},
           {"loss_video", 0.35 + 0.6 * part},
           {"retrieval",
            {{"audio_to_video",
              {{"r1", 0.55 * (1 - part)}, {"r5", 0.8 * (1 - part)}, {"median_rank", 1 + 60 * part}}},
             {"video_to_audio",
              {{"r1", 0.5 * (1 - part)}, {"r5", 0.78 * (1 - part)}, {"median_rank", 1 + 66 * part}}},
             {"chance_r1", 0.005}}}});
  }
  return metrics;
}

inline ReportQuery sample_query(int64_t index, bool from_audio, const std::string& kind, int64_t partner_at) {
  ReportQuery query{.from_audio = from_audio,
                    .query = sample_clip(index),
                    .rank = static_cast<double>(partner_at),
                    .answers = {},
                    .scores = {},
                    .is_partner = {},
                    .kind = kind};
  for (int64_t k = 1; k <= 5; ++k) {
    query.answers.push_back(sample_clip(k == partner_at ? index : index + 7 * k));
    query.scores.push_back(0.95 - 0.07 * static_cast<double>(k));
    query.is_partner.push_back(k == partner_at);
  }
  return query;
}

inline ReportReconstruction sample_reconstruction(int64_t index) {
  const torch::Tensor picture = sample_picture(index, 96), fbank = sample_fbank(index, 200, 64);
  torch::Tensor masked = picture.clone(), quiet = fbank.clone();
  for (int64_t patch = 0; patch < 36; ++patch)
    if ((patch * 7 + index) % 4 != 0)
      masked.narrow(0, patch / 6 * 16, 16).narrow(1, patch % 6 * 16, 16).fill_(124);
  for (int64_t patch = 0; patch < 48; ++patch)
    if ((patch * 5 + index) % 4 != 0)
      quiet.narrow(0, patch % 12 * 16, 16).narrow(1, patch / 12 * 16, 16).fill_(NAN);
  const auto sound = [](const torch::Tensor& f) { return spectrogram_picture(f, {0, 1.3}); };
  return {.id = fmt::format("held_out/clip_{:05}.mp4", index),
          .original_picture = picture,
          .masked_picture = masked,
          .rebuilt_picture = (picture.to(torch::kFloat32) * 0.8 + 25).to(torch::kUInt8),
          .original_spectrogram = sound(fbank),
          .masked_spectrogram = sound(quiet),
          .rebuilt_spectrogram = sound(fbank * 0.7 + 0.1)};
}

inline ReportContent sample_content() {
  ReportContent content;
  content.title = "cavmae: demo";
  content.subtitle = "/home/me/runs/demo";
  content.config = Json::parse(R"({"epochs":12,"seed":0,"precision":"fp32",
      "model":{"embed_dim":192,"num_heads":6,"patch_size":16,"joint_depth":1},
      "objective":{"contrastive_weight":0.1,"contrastive":{"temperature":0.05,"bidirectional":true}},
      "optimizer":{"learning_rate":0.0001,"betas":[0.95,0.999]},"comment":"a <small> model & quick"})");
  content.metrics = sample_metrics();
  content.retrieval = Json::parse(R"({"audio_to_video":{"r1":0.525,"r5":0.81,"r10":0.905,"median_rank":1},
      "video_to_audio":{"r1":0.49,"r5":0.79,"r10":0.89,"median_rank":1.5},"chance_r1":0.005,"clips":200})");
  for (const bool from_audio : {true, false}) {
    content.queries.push_back(sample_query(3, from_audio, "best", 1));
    content.queries.push_back(sample_query(4, from_audio, "middle", 2));
    content.queries.push_back(sample_query(5, from_audio, "worst", 148));
  }
  for (int64_t i = 0; i < 4; ++i) content.reconstructions.push_back(sample_reconstruction(i + 11));
  content.reconstruction_note = "75 % of the patches are hidden.";
  content.notes = {"1 clip could not be read and was not searched:", "held_out/broken.mp4: 0 bytes"};
  return content;
}

}  // namespace cavmae::testing
