#include "cavmae/eval/report_examples.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/random.h"
#include "cavmae/core/text.h"
#include "cavmae/eval/embed.h"
#include "cavmae/eval/inpainting.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/features/image_transform.h"

namespace cavmae {
namespace {

using Samples = std::map<int64_t, Sample>;  // by position in the list of clips

torch::Tensor middle_picture(const torch::Tensor& video) {
  return video.dim() == 4 ? video[video.size(0) / 2] : video;  // [K, 3, S, S] or [3, S, S]
}

// The clips at `positions` as the model gets them; one that cannot be read any more is left out.
Samples read_samples(const InputSpec& spec, const ClipList& clips, const std::set<int64_t>& positions,
                     const ReportExampleOptions& options, Need need) {
  Samples out;
  if (positions.empty()) return out;
  const std::vector<int64_t> order(positions.begin(), positions.end());
  PassOptions pass{.need = need,
                   .view = {.window_start = options.pass.view.window_start},
                   .loader = options.pass.loader,
                   .cache_dir = options.pass.cache_dir,
                   .show_progress = false};
  pass.loader.max_bad_ratio = 1.0;
  const BatchSink sink = [&](const Batch& batch) {
    for (size_t row = 0; row < batch.indices.size(); ++row) {
      Sample& sample = out[order[batch.indices[row]]];
      const auto r = static_cast<int64_t>(row);
      if (batch.audio.defined()) sample.audio = batch.audio[r].clone();
      if (batch.video.defined()) sample.video = middle_picture(batch.video[r]).clone();
    }
  };
  check_complete(for_each_batch(clips.at(order), spec, pass, sink, null_log()));
  return out;
}

ShownClip shown_clip(int64_t position, const ClipList& clips, const Samples& samples) {
  ShownClip out{
      .id = std::string(clips.id(position)), .labels = clips.labels(position), .picture = {}, .fbank = {}};
  const auto found = samples.find(position);
  if (found == samples.end()) return out;
  const Sample& sample = found->second;
  if (sample.video.defined()) out.picture = denormalize_image(sample.video);
  if (sample.audio.defined()) out.fbank = sample.audio.narrow(0, 0, frames_with_sound(sample.audio));
  return out;
}

// A query before its clips are read: rows of the embeddings.
struct PlannedQuery {
  Direction direction;
  Example example;
  double rank;
  std::vector<int64_t> answers;  // rows
  std::vector<double> scores;
};

std::vector<PlannedQuery> plan_queries(const ClipEmbeddings& embeddings, const RetrievalRanks& ranks,
                                       const ReportExampleOptions& options) {
  std::vector<PlannedQuery> out;
  for (const Direction direction : {Direction::audio_to_video, Direction::video_to_audio}) {
    const bool from_audio = direction == Direction::audio_to_video;
    const auto& own_ranks = from_audio ? ranks.audio_to_video : ranks.video_to_audio;
    const auto examples = choose_examples(own_ranks, options.num_queries, options.seed);
    if (examples.empty()) continue;
    std::vector<int64_t> rows;
    for (const Example& example : examples) rows.push_back(example.row);
    const torch::Tensor& queries = from_audio ? embeddings.audio : embeddings.video;
    const Neighbors best = nearest(queries.index_select(0, torch::tensor(rows, torch::kInt64)),
                                   from_audio ? embeddings.video : embeddings.audio, options.num_answers);
    for (size_t q = 0; q < examples.size(); ++q) {
      PlannedQuery& query =
          out.emplace_back(PlannedQuery{direction, examples[q], own_ranks[examples[q].row], {}, {}});
      for (int64_t k = 0; k < best.indices.size(1); ++k) {
        query.answers.push_back(best.indices[static_cast<int64_t>(q)][k].item<int64_t>());
        query.scores.push_back(best.scores[static_cast<int64_t>(q)][k].item<float>());
      }
    }
  }
  return out;
}

void show_queries(const ClipEmbeddings& embeddings, const InputSpec& spec, const ClipList& clips,
                  const ReportExampleOptions& options, ReportExamples& out) {
  const RetrievalRanks ranks = retrieval_ranks_both_ways(embeddings.audio, embeddings.video);
  out.retrieval = summarize_ranks(ranks);
  const auto planned = plan_queries(embeddings, ranks, options);
  std::set<int64_t> positions;
  for (const PlannedQuery& query : planned) {
    positions.insert(embeddings.indices[query.example.row]);
    for (const int64_t row : query.answers) positions.insert(embeddings.indices[row]);
  }
  const Samples samples = read_samples(spec, clips, positions, options, Need::both);
  for (const PlannedQuery& plan : planned) {
    ShownQuery& query = out.queries.emplace_back();
    query.direction = plan.direction;
    query.kind = plan.example.kind;
    query.query = shown_clip(embeddings.indices[plan.example.row], clips, samples);
    query.rank = plan.rank;
    query.scores = plan.scores;
    for (const int64_t row : plan.answers) {
      query.answers.push_back(shown_clip(embeddings.indices[row], clips, samples));
      query.is_partner.push_back(row == plan.example.row);
    }
  }
}

void show_reconstructions(CavMae& model, const InputSpec& spec, const ClipList& clips,
                          const std::vector<int64_t>& readable, const ReportExampleOptions& options,
                          ReportExamples& out) {
  const CavMaeConfig& config = model->config();
  const auto count = std::min<int64_t>(options.num_reconstructions, static_cast<int64_t>(readable.size()));
  if (config.decoder_depth == 0 || count <= 0) return;
  std::set<int64_t> positions;
  Random random{options.seed, stable_hash("reconstructions")};
  while (static_cast<int64_t>(positions.size()) < count)
    positions.insert(readable[random.integer(0, static_cast<int64_t>(readable.size()) - 1)]);
  const Need need = !config.has_video() ? Need::audio : !config.has_audio() ? Need::video : Need::both;
  const Samples samples = read_samples(spec, clips, positions, options, need);
  for (const auto& [position, sample] : samples) {
    Inputs inputs;
    if (sample.audio.defined()) inputs.audio = sample.audio.unsqueeze(0);
    if (sample.video.defined()) inputs.video = sample.video.unsqueeze(0);
    const uint64_t seed = mix_seed({options.seed, stable_hash(clips.id(position))});
    const Masks masks = model->draw_masks(1, options.masks, at::detail::createCPUGenerator(seed));
    out.reconstructions.push_back(
        show_reconstruction(inpaint(model, inputs, masks, options.normalized_targets)));
    out.reconstructions.back().id = clips.id(position);
  }
}

}  // namespace

std::vector<Example> choose_examples(const std::vector<double>& ranks, int64_t count, uint64_t seed) {
  const auto n = static_cast<int64_t>(ranks.size());
  std::vector<int64_t> order(ranks.size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), Random{seed, stable_hash("examples")});
  std::ranges::stable_sort(order, {}, [&](int64_t row) { return ranks[row]; });
  count = std::clamp<int64_t>(count, 0, n);
  const int64_t num_best = (count + 2) / 3, num_worst = (count + 1) / 3, num_middle = count / 3;
  // The middle of what lies between the best and the worst, so that no row is taken twice.
  const int64_t middle = std::clamp((n - num_middle) / 2, num_best, n - num_worst - num_middle);
  std::vector<Example> out;
  const auto take = [&](int64_t from, int64_t how_many, ExampleKind kind) {
    for (int64_t i = from; i < from + how_many; ++i) out.push_back({order[i], kind});
  };
  take(0, num_best, ExampleKind::best);
  take(middle, num_middle, ExampleKind::middle);
  take(n - num_worst, num_worst, ExampleKind::worst);
  return out;
}

ReportExamples make_report_examples(CavMae& model, const InputSpec& spec, const ClipList& clips,
                                    const ReportExampleOptions& options, std::shared_ptr<Log> log) {
  const CavMaeConfig& config = model->config();
  const bool both = config.has_audio() && config.has_video();
  PassOptions pass = options.pass;
  pass.need = both ? Need::both : config.has_audio() ? Need::audio : Need::video;
  ClipEmbeddings embeddings = embed_clips(model, spec, clips, pass, std::move(log));
  ReportExamples out;
  out.failed = std::move(embeddings.failed);
  out.clips = static_cast<int64_t>(embeddings.indices.size());
  if (both && out.clips > 0) show_queries(embeddings, spec, clips, options, out);
  show_reconstructions(model, spec, clips, embeddings.indices, options, out);
  return out;
}

}  // namespace cavmae
