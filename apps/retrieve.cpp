// cavmae retrieve: how well sounds find their pictures and pictures their sounds.
#include "cavmae/eval/overlapping_windows.h"
#include "cavmae/eval/shared_pass.h"
#include "cavmae/metrics/frame_scores.h"
#include "cavmae/metrics/retrieval.h"

#include "apps/evaluation.h"
#include "apps/retrieval_table.h"
#include "apps/window_flags.h"

namespace cavmae::apps {
namespace {

struct RetrieveFlags {
  EvaluationFlags evaluation;
  WindowFlags windows;
  std::string score;  // empty: as the network was made for
  std::filesystem::path json;

  // Nothing: of one vector a clip. A network that takes sound by segments is asked as its results are
  // published.
  std::optional<FrameScore> score_of(const InputSpec& spec) const {
    if (score.empty() && spec.alignment == Alignment::clip) return std::nullopt;
    FrameScore chosen = FrameScore::diagonal_mean;
    if (!score.empty()) option_from_json(Json(score), chosen, "--score");
    return chosen;
  }
};

int retrieve(const RetrieveFlags& all, const GlobalOptions& global, const RankOfLaunch& rank) {
  const EvaluationFlags& flags = all.evaluation;
  const WindowFlags& windows = all.windows;
  CAVMAE_CHECK_AS(ConfigError, !flags.data.empty(), "--data is needed: the clips to search among");
  auto log = make_log(verbosity_of(rank, global));
  PassOptions options = flags.pass_options(global, rank);
  options.need = Need::both;
  windows.check(options.view);
  auto clips = read_clip_sources(flags.data, *log, flags.lists.options());
  const Pretrained model = flags.model.load(*log, rank);
  CavMae network = model.network();
  clips = windows.of(clips, model.spec, options, log);
  const std::optional<FrameScore> score = all.score_of(model.spec);
  if (score)
    log->info(
        "compared by {}, which takes all {} pictures of a clip, each with its sound (--score, whatever --frames says)",
        enum_name(*score), model.spec.num_frames);
  if (score) options.view.frames = FrameChoice::all;
  check_ranks_share({.clips = clips,
                     .options = options,
                     .spec = model.spec,
                     .more = {{"score", score ? enum_name(*score) : ""}}},
                    network);
  const ClipEmbeddings embeddings = embed_clips(network, model.spec, clips, options, log,
                                                score ? ClipVectorsOf::picture : ClipVectorsOf::clip);
  rank.leave();
  CAVMAE_CHECK_AS(DataError, embeddings.indices.size() >= 2, "--data: ", embeddings.indices.size(),
                  " clips could be read; retrieval needs at least 2 with audio and video");
  if (!rank.is_first()) return 0;
  const LeftOutAnswers left_out =
      windows.given() ? overlapping_windows(clips, embeddings.indices, model.spec.window_seconds)
                      : LeftOutAnswers();
  const RetrievalResult result =
      score ? evaluate_frame_retrieval(embeddings.audio, embeddings.video, *score, left_out)
            : evaluate_retrieval(embeddings.audio, embeddings.video, left_out);
  report_failed(embeddings.failed, *log);
  if (all.json != "-") print_retrieval(result);
  Json out = to_json(result);
  if (windows.given()) out["files"] = num_files(clips, embeddings.indices);
  if (score) out["score"] = enum_name(*score);
  out["precision"] = enum_name(embeddings.precision);
  out["failed"] = embeddings.failed.size();
  write_json_result(all.json, out);
  return 0;
}

int run(const RetrieveFlags& flags, const GlobalOptions& global) {
  const DistFlags& dist = flags.evaluation.dist;
  return on_ranks(dist, dist.launch(), global,
                  [&](const RankOfLaunch& rank) { return retrieve(flags, global, rank); });
}

}  // namespace

void add_retrieve(CLI::App& app, Program& program) {
  describe(
      app,
      "Embeds every clip of --data and asks, for each sound, at which rank its own picture comes among all\n"
      "pictures (and the reverse). R@k is the share of queries whose partner is among the first k. With --windows\n"
      "every window is a query, and those that overlap it in its own file are neither right nor wrong.");
  auto flags = std::make_shared<RetrieveFlags>();
  flags->evaluation.add(app);
  flags->windows.add(app);
  app.add_option(
         "--score", flags->score,
         "compare clips by all their pictures and the sound of each: diagonal-mean (a picture with its own "
         "sound, the mean), diagonal-max, mean or max (each with each) [one vector a clip; diagonal-mean "
         "where the network takes sound by segments]")
      ->type_name("")
      ->check(CLI::IsMember(enum_words<FrameScore>()));
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
