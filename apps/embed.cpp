// cavmae embed: clips to vectors in a .safetensors file.
#include <fmt/format.h>

#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/embed_parts.h"
#include "cavmae/eval/model.h"
#include "cavmae/eval/shared_pass.h"

#include "apps/evaluation.h"
#include "apps/window_flags.h"

namespace cavmae::apps {
namespace {

struct EmbedFlags {
  EvaluationFlags evaluation;
  WindowFlags windows;
  std::vector<std::filesystem::path> files;
  std::filesystem::path out;
  std::filesystem::path json;
  bool per_frame = false;
  int64_t part_clips = EmbedPartsOptions().part_clips;

  bool in_parts() const { return out.extension() != ".safetensors"; }
  ClipVectorsOf vectors_of() const { return per_frame ? ClipVectorsOf::picture : ClipVectorsOf::clip; }
};

// A .safetensors file, or a folder of its own: a new one, an empty one, or one that embed has begun.
CLI::Validator file_or_folder() {
  const auto check = [](std::string& name) -> std::string {
    namespace fs = std::filesystem;
    std::error_code failed;
    const bool is_folder = fs::is_directory(name, failed);
    if (fs::path(name).extension() == ".safetensors" || !is_folder) return writable_file()(name);
    const bool is_its_own = fs::is_empty(name, failed) || fs::exists(fs::path(name) / "index.json", failed);
    return is_its_own
               ? ""
               : name +
                     " is a folder that holds other files; give a new one, or a name that ends with .safetensors";
  };
  return {check, ""};
}

int write_parts(const EmbedFlags& flags, const Pretrained& model, const ClipList& clips,
                const PassOptions& options, const std::shared_ptr<Log>& log, const RankOfLaunch& rank) {
  CavMae network = model.network();
  const PartsIndex index =
      embed_in_parts(flags.out, network, model.path, model.spec, clips,
                     {.part_clips = flags.part_clips, .pass = options, .of = flags.vectors_of()}, log);
  rank.leave();
  if (!rank.is_first()) return 0;
  CAVMAE_CHECK_AS(DataError, index.rows() > 0, "no clip could be read");
  if (flags.json != "-")
    fmt::print("{} clips -> {} ({} files)\n", index.rows(), flags.out.string(), index.parts.size());
  write_json_result(flags.json, {{"out", flags.out.string()},
                                 {"clips", index.rows()},
                                 {"parts", index.parts.size()},
                                 {"dimension", network->config().embed_dim},
                                 {"precision", enum_name(network->precision())},
                                 {"failed", index.failed()}});
  return 0;
}

int embed(const EmbedFlags& flags, const GlobalOptions& global, const RankOfLaunch& rank) {
  auto log = make_log(verbosity_of(rank, global));
  std::vector<std::filesystem::path> data = flags.evaluation.data;
  data.insert(data.end(), flags.files.begin(), flags.files.end());
  CAVMAE_CHECK_AS(ConfigError, !data.empty(), "nothing to embed: name files, or give --data");
  PassOptions options = flags.evaluation.pass_options(global, rank);
  flags.windows.check(options.view);
  auto clips = read_clip_sources(data, *log, flags.evaluation.lists.options());
  const Pretrained model = flags.evaluation.model.load_for(clips.size(), *log, rank);
  CavMae network = model.network();
  options.need = needed_of(network->config());
  clips = flags.windows.of(clips, model.spec, options, log);
  if (flags.per_frame) options.view.frames = FrameChoice::all;
  check_ranks_share(
      {.clips = clips,
       .options = options,
       .spec = model.spec,
       .more = {{"per_frame", flags.per_frame}, {"part_clips", flags.in_parts() ? flags.part_clips : 0}}},
      network);
  if (flags.in_parts()) {
    model.require_finite();
    return write_parts(flags, model, clips, options, log, rank);
  }
  options.meanwhile = [&] { model.require_finite(); };
  std::vector<std::string> ids;
  for (size_t i = 0; i < clips.size(); ++i) ids.emplace_back(clips.id(i));
  const ClipEmbeddings embeddings = embed_clips(network, model.spec, clips, options, log, flags.vectors_of());
  rank.leave();
  if (!rank.is_first()) return 0;
  report_failed(embeddings.failed, *log);
  CAVMAE_CHECK_AS(DataError, !embeddings.indices.empty(), "no clip could be read, nothing was written");
  write_embeddings(flags.out, embeddings, ids, model.path, places_of(clips));
  Json out = {{"out", flags.out.string()},
              {"clips", embeddings.indices.size()},
              {"dimension", network->config().embed_dim},
              {"precision", enum_name(embeddings.precision)},
              {"failed", embeddings.failed.size()}};
  if (flags.windows.given()) out["files"] = num_files(clips, embeddings.indices);
  if (flags.json != "-") fmt::print("{} -> {}\n", count_text(clips, embeddings.indices), flags.out.string());
  write_json_result(flags.json, out);
  return 0;
}

int run(const EmbedFlags& flags, const GlobalOptions& global) {
  const DistFlags& dist = flags.evaluation.dist;
  return on_ranks(dist, dist.launch(flags.out), global,
                  [&](const RankOfLaunch& rank) { return embed(flags, global, rank); });
}

}  // namespace

void add_embed(CLI::App& app, Program& program) {
  describe(
      app,
      "Writes `audio` and `video`, float32 [N, D], what speaks for each side of a clip before L2 normalisation (its global\n"
      "token where the network has one, else the mean over its patches), with the clips' ids and what failed in the metadata. A clip without audio (or video) has NaN in that row, and the\n"
      "metadata say why. --windows all makes a row of every window of long files, called FILE@SECONDS. Where --out is\n"
      "a folder it receives a file after every --part-clips clips and an index.json: for millions of clips, of which\n"
      "a stopped job's are not embedded again.",
      {"cavmae embed --checkpoint run --out e.safetensors a.mp4 b.wav",
       "cavmae embed --checkpoint run --out lecture.safetensors lecture.mp4 --windows all --hop 2",
       "cavmae embed --checkpoint run --out vectors --data archive.jsonl"});
  auto flags = std::make_shared<EmbedFlags>();
  flags->evaluation.model.precision = "auto";
  flags->evaluation.add(app);
  flags->windows.add(app);
  app.add_option("files", flags->files, "media files")->type_name("FILE");
  app.add_option("--out", flags->out, "the .safetensors file to write, or a folder for numbered ones")
      ->required()
      ->type_name("FILE|DIR")
      ->check(file_or_folder());
  app.add_option("--part-clips", flags->part_clips,
                 fmt::format("clips in one of the numbered files [{}]", flags->part_clips))
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  app.add_flag("--per-frame", flags->per_frame,
               "a vector of each picture and of the sound that belongs to it: [N, K, D] instead of [N, D]");
  add_json_flag(app, flags->json);
  app.callback([=, &program] { program.action = [=, &program] { return run(*flags, program.global); }; });
}

}  // namespace cavmae::apps
