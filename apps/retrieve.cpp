// cavmae retrieve: how well sounds find their pictures and pictures their sounds.
#include "cavmae/metrics/retrieval.h"

#include "apps/evaluation.h"
#include "apps/retrieval_table.h"

namespace cavmae::apps {
namespace {

int run(const EvaluationFlags& flags, const GlobalOptions& global, const std::filesystem::path& json) {
  CAVMAE_CHECK_AS(ConfigError, !flags.data.empty(), "--data is needed: the clips to search among");
  auto log = make_log(global.verbosity());
  auto clips = read_clip_sources(flags.data, *log, flags.lists.options());
  const Pretrained model = flags.model.load(*log);
  CavMae network = model.network();
  PassOptions options = flags.pass_options(global);
  options.need = Need::both;
  const ClipEmbeddings embeddings = embed_clips(network, model.spec, clips, options, log);
  CAVMAE_CHECK_AS(DataError, embeddings.indices.size() >= 2, "--data: ", embeddings.indices.size(),
                  " clips could be read; retrieval needs at least 2 with audio and video");
  const RetrievalResult result = evaluate_retrieval(embeddings.audio, embeddings.video);
  report_failed(embeddings.failed, *log);
  if (json != "-") print_retrieval(result);
  Json out = to_json(result);
  out["failed"] = embeddings.failed.size();
  write_json_result(json, out);
  return 0;
}

}  // namespace

void add_retrieve(CLI::App& app, Program& program) {
  describe(
      app,
      "Embeds every clip of --data and asks, for each sound, at which rank its own picture comes among all\n"
      "pictures (and the reverse). R@k is the share of queries whose partner is among the first k.");
  auto flags = std::make_shared<EvaluationFlags>();
  auto json = std::make_shared<std::filesystem::path>();
  flags->add(app);
  add_json_flag(app, *json);
  app.callback(
      [=, &program] { program.action = [=, &program] { return run(*flags, program.global, *json); }; });
}

}  // namespace cavmae::apps
