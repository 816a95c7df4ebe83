// cavmae retrieve: how well sounds find their pictures and pictures their sounds.
#include "cavmae/eval/overlapping_windows.h"
#include "cavmae/metrics/retrieval.h"

#include "apps/evaluation.h"
#include "apps/retrieval_table.h"
#include "apps/window_flags.h"

namespace cavmae::apps {
namespace {

int retrieve(const EvaluationFlags& flags, const WindowFlags& windows, const GlobalOptions& global,
             const std::filesystem::path& json, const RankOfLaunch& rank) {
  CAVMAE_CHECK_AS(ConfigError, !flags.data.empty(), "--data is needed: the clips to search among");
  auto log = make_log(verbosity_of(rank, global));
  PassOptions options = flags.pass_options(global, rank);
  options.need = Need::both;
  windows.check(options.view);
  auto clips = read_clip_sources(flags.data, *log, flags.lists.options());
  const Pretrained model = flags.model.load(*log);
  CavMae network = model.network();
  clips = windows.of(clips, model.spec, options, log);
  const ClipEmbeddings embeddings = embed_clips(network, model.spec, clips, options, log);
  rank.leave();
  CAVMAE_CHECK_AS(DataError, embeddings.indices.size() >= 2, "--data: ", embeddings.indices.size(),
                  " clips could be read; retrieval needs at least 2 with audio and video");
  if (!rank.is_first()) return 0;
  const LeftOutAnswers left_out =
      windows.given() ? overlapping_windows(clips, embeddings.indices, model.spec.window_seconds)
                      : LeftOutAnswers();
  const RetrievalResult result = evaluate_retrieval(embeddings.audio, embeddings.video, left_out);
  report_failed(embeddings.failed, *log);
  if (json != "-") print_retrieval(result);
  Json out = to_json(result);
  if (windows.given()) out["files"] = num_files(clips, embeddings.indices);
  out["precision"] = enum_name(embeddings.precision);
  out["failed"] = embeddings.failed.size();
  write_json_result(json, out);
  return 0;
}

int run(const EvaluationFlags& flags, const WindowFlags& windows, const GlobalOptions& global,
        const std::filesystem::path& json) {
  return on_ranks(flags.dist, flags.dist.launch(), global,
                  [&](const RankOfLaunch& rank) { return retrieve(flags, windows, global, json, rank); });
}

}  // namespace

void add_retrieve(CLI::App& app, Program& program) {
  describe(
      app,
      "Embeds every clip of --data and asks, for each sound, at which rank its own picture comes among all\n"
      "pictures (and the reverse). R@k is the share of queries whose partner is among the first k. With --windows\n"
      "every window is a query, and those that overlap it in its own file are neither right nor wrong.");
  auto flags = std::make_shared<EvaluationFlags>();
  auto windows = std::make_shared<WindowFlags>();
  auto json = std::make_shared<std::filesystem::path>();
  flags->add(app);
  windows->add(app);
  add_json_flag(app, *json);
  app.callback([=, &program] {
    program.action = [=, &program] { return run(*flags, *windows, program.global, *json); };
  });
}

}  // namespace cavmae::apps
