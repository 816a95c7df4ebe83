// cavmae info: what a checkpoint, a file of embeddings, a library, a media file, a data set or this machine
// is.
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cavmae/core/files.h"
#include "cavmae/core/json_text.h"
#include "cavmae/data/manifest.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/data/shard_names.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/embed_parts.h"
#include "cavmae/features/fbank.h"
#include "cavmae/isa/instructions.h"
#include "cavmae/isa/tiles.h"
#include "cavmae/kernels/engine_names.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/in_use.h"
#include "cavmae/kernels/matmul.h"
#include "cavmae/machine/machine.h"
#include "cavmae/media/media_reader.h"
#include "cavmae/picture/resize.h"
#include "cavmae/search/open_library.h"
#include "cavmae/storage/remote_url.h"
#include "cavmae/tensorfile/safetensors.h"
#include "cavmae/train/crc32c.h"
#include "cavmae/train/optimizer/adam_kernel.h"

#include "apps/description.h"
#include "apps/list_flags.h"
#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

namespace fs = std::filesystem;

struct InfoFlags {
  fs::path path;
  ModelFlags model;
  bool machine = false;
  fs::path json;
  ListFlags lists;
};

std::vector<KernelInUse> kernels_in_use() {
  auto in_use = kernels::kernels_in_use();
  in_use.push_back({"Adam", best_adam_kernel().name});
  in_use.push_back({"fbank", fbank_kernel_in_use()});
  in_use.push_back({"resize", resize_kernel_in_use()});
  in_use.push_back({"CRC-32C", best_crc32c_kernel().name});
  return in_use;
}

// Why this process may not use it; "" where it may.
std::string trouble_of(Instruction instruction) {
  if (instruction_loop(instruction).run != nullptr) return "";
  return instruction == Instruction::tdpbf16ps
             ? tiles_trouble()
             : "the processor does not have it, or may not use it (CAVMAE_ISA)";
}

// "forward in bf16" and the like, as kernels_in_use() calls them.
std::map<std::string, kernels::EnginesHere> engines_of_jobs() {
  std::map<std::string, kernels::EnginesHere> engines;
  for (const kernels::Job job : kernels::kJobs) {
    engines[job_name(job) + " in fp32"] = engines_here(job, kernels::Element::f32);
    engines[job_name(job) + " in bf16"] = engines_here(job, kernels::Element::bf16);
  }
  return engines;
}

// What --engine may name for a job instead of the one that is taken.
void add_other_engines(Description& out, const KernelInUse& kernel, const kernels::EnginesHere& engines) {
  const auto without_it = [&](std::vector<std::string> names) {
    std::erase(names, kernel.version);
    return names;
  };
  const std::vector<std::string> others = without_it(engines.names);
  const std::vector<std::string> for_tests = without_it(engines.for_tests);
  out.json["engines"][kernel.job] = {{"others", others}, {"for_tests", for_tests}};
  if (!others.empty()) out.text += fmt::format("; also: {}", fmt::join(others, ", "));
  if (!for_tests.empty()) out.text += fmt::format("; for tests: {}", fmt::join(for_tests, ", "));
}

Description machine_info() {
  Description out;
  const MachineInfo info = inspect_machine();
  out.text += describe(info);
  out.json = to_json(info);
  const auto engines = engines_of_jobs();
  for (const KernelInUse& kernel : kernels_in_use()) {
    out.text += fmt::format("kernels       {}: {}{}", kernel.job, kernel.version,
                            kernel.reason.empty() ? "" : " (" + kernel.reason + ")");
    if (const auto found = engines.find(kernel.job); found != engines.end())
      add_other_engines(out, kernel, found->second);
    out.text += "\n";
    out.json["kernels"][kernel.job] = kernel.version;
    if (!kernel.reason.empty()) out.json["kernel_reasons"][kernel.job] = kernel.reason;
  }
  for (const Instruction instruction : kInstructions) {
    const double gflops = instruction_rates().of(instruction);
    const std::string trouble = trouble_of(instruction);
    out.json["instruction_gflops"][instruction_name(instruction)] = gflops > 0 ? Json(gflops) : Json();
    if (!trouble.empty()) out.json["instruction_troubles"][instruction_name(instruction)] = trouble;
    out.text += fmt::format(
        "instructions  {}: {}\n", instruction_name(instruction),
        trouble.empty() ? fmt::format("{:.0f} GFLOP/s a core", gflops) : "not to be used here: " + trouble);
  }
  for (const auto element : {kernels::Element::f32, kernels::Element::bf16})
    out.json["attention_kernels"][element == kernels::Element::f32 ? "fp32" : "bf16"] =
        kernels::best_attention_kernel(element).name;
  std::vector<std::string> warnings = machine_warnings(info);
  if (const std::string warning = kernels::matmul_backend_warning(); !warning.empty())
    warnings.push_back(warning);
  for (const std::string& warning : warnings) out.text += fmt::format("warning: {}\n", warning);
  out.json["warnings"] = warnings;
  return out;
}

void add_options(Description& out, const Json& options) {
  for (const auto& [key, value] : options.items())
    out.text += fmt::format("{:<22} {}\n", key, to_text(value));
}

void add_classifier(Description& out, const Pretrained& model) {
  const Json head = option_to_json(model.classifier()->head_options());
  add_options(out, head);
  if (!model.labels.empty()) {
    std::vector<std::string> names;
    for (const ClassLabel& label : model.labels) names.push_back(label.display_name);
    out.text += fmt::format("classes        {}\n", fmt::join(names, ", "));
  }
  out.json["classifier"] = head;
  out.json["labels"] = model.labels.empty() ? Json() : class_labels_to_json(model.labels);
}

// A network's file, whatever it is for.
Description model_info(const ModelFlags& flags, Log& log) {
  const Pretrained model = flags.load(log);
  const CavMae network = model.is_classifier() ? as_network(model.classifier()) : model.network();
  Description out;
  int64_t parameters = 0, trainable = 0;
  for (const auto& parameter : network->parameters()) {
    parameters += parameter.numel();
    if (parameter.requires_grad()) trainable += parameter.numel();
  }
  out.text += fmt::format("checkpoint     {} ({})\n", model.path.string(),
                          human_bytes(static_cast<double>(fs::file_size(model.path))));
  out.text +=
      fmt::format("parameters     {:.3f} M, {:.3f} M of them training\n", parameters / 1e6, trainable / 1e6);
  const Json config = option_to_json(network->config());
  add_options(out, config);
  const Json input = option_to_json(model.spec);
  Json rest = input;
  for (const auto& item : config.items()) rest.erase(item.key());
  add_options(out, rest);
  Json assumed = Json::array();
  for (const UnstatedOption& option : model.assumed) assumed.push_back(option.name);
  if (!model.assumed.empty())
    out.text +=
        fmt::format("taken to be the authors', since the file does not say: {}\n", list_of(model.assumed));
  out.json = {{"kind", model.is_classifier() ? "classifier" : "checkpoint"},
              {"path", model.path.string()},
              {"parameters", parameters},
              {"trainable", trainable},
              {"model", config},
              {"features", input},
              {"assumed", assumed}};
  if (model.is_classifier()) add_classifier(out, model);
  out.json["missing"] = model.report.missing;
  out.json["unexpected"] = model.report.unexpected;
  return out;
}

std::string video_text(const MediaInfo& info) {
  if (!info.video_problem.empty()) return info.video_problem;
  std::string text = fmt::format("{} x {} px, {}", info.width_px, info.height_px, info.video_codec);
  if (!info.is_picture) text += fmt::format(", {:.3g} frames/s", info.frame_rate_hz);
  if (info.is_mirrored) text += ", mirrored";
  if (info.rotation_degrees != 0) text += fmt::format(", rotated by {} degrees", info.rotation_degrees);
  if (info.pixel_aspect_ratio != 1.0)
    text += fmt::format(", pixels {:.4g} times as wide as high (read as if they were square)",
                        info.pixel_aspect_ratio);
  if (!info.hdr.empty()) text += fmt::format(", HDR ({}; read without tone mapping)", info.hdr);
  return text;
}

std::string audio_text(const MediaInfo& info) {
  if (!info.audio_problem.empty()) return info.audio_problem;
  std::string text = fmt::format("{} Hz, {} channel{}, {}", info.sample_rate_hz, info.num_channels,
                                 info.num_channels == 1 ? "" : "s", info.audio_codec);
  if (info.num_audio_tracks > 1)
    text += fmt::format(", track {} of 0 to {} (--audio-track)", info.audio_track, info.num_audio_tracks - 1);
  return text;
}

Description media_info(const fs::path& path) {
  Description out;
  const MediaInfo info = probe_media(path);
  out.text += fmt::format("media file     {} ({}, {})\n", path.string(), info.container,
                          human_bytes(static_cast<double>(fs::file_size(path))));
  if (!info.is_picture) out.text += fmt::format("duration       {:.3f} s\n", info.duration_seconds);
  const auto span = [&](const StreamTimes& times) {
    return info.has_audio && info.has_video && !info.is_picture
               ? fmt::format(", {:.3f} to {:.3f} s", times.start_seconds, times.end_seconds)
               : std::string();
  };
  if (info.has_video)
    out.text += fmt::format("video          {}{}\n", video_text(info), span(info.times.video));
  if (info.has_audio)
    out.text += fmt::format("audio          {}{}\n", audio_text(info), span(info.times.audio));
  if (!info.has_audio) out.text += fmt::format("audio          none\n");
  if (!info.has_video) out.text += fmt::format("video          none\n");
  out.json = {{"kind", "media"},
              {"path", path.string()},
              {"container", info.container},
              {"duration_seconds", info.duration_seconds},
              {"audio_seconds", {info.times.audio.start_seconds, info.times.audio.end_seconds}},
              {"video_seconds", {info.times.video.start_seconds, info.times.video.end_seconds}},
              {"is_cut_off", info.times.cut_off},
              {"has_audio", info.has_audio},
              {"has_video", info.has_video},
              {"is_picture", info.is_picture},
              {"width_px", info.width_px},
              {"height_px", info.height_px},
              {"frame_rate_hz", info.frame_rate_hz},
              {"rotation_degrees", info.rotation_degrees},
              {"mirrored", info.is_mirrored},
              {"pixel_aspect_ratio", info.pixel_aspect_ratio},
              {"hdr", info.hdr.empty() ? Json() : Json(info.hdr)},
              {"sample_rate_hz", info.sample_rate_hz},
              {"num_channels", info.num_channels},
              {"audio_track", info.audio_track},
              {"num_audio_tracks", info.num_audio_tracks},
              {"video_codec", info.video_codec},
              {"audio_codec", info.audio_codec}};
  return out;
}

Description data_set_info(const fs::path& path, const ListOptions& lists, Log& log) {
  Description out;
  const ClipList clips = read_clip_sources({path}, log, lists);
  std::map<std::string, int64_t> labels;
  int64_t with_audio = 0, with_video = 0;
  for (size_t i = 0; i < clips.size(); ++i) {
    const PromisedModalities promised = clips.promised(i);
    with_audio += promised.audio;
    with_video += promised.video;
    for (const std::string& label : clips.labels(i)) ++labels[label];
  }
  out.text += fmt::format("data set       {}\nclips          {}\n", path.string(), clips.size());
  out.text +=
      fmt::format("audio          {} clips name a file for it\nvideo          {} clips name a file for it\n",
                  with_audio, with_video);
  out.text += fmt::format("labels         {}\n", labels.size());
  for (const auto& [label, count] : labels) out.text += fmt::format("  {:<20} {}\n", label, count);
  out.json = {{"kind", "data"},           {"path", path.string()},    {"clips", clips.size()},
              {"with_audio", with_audio}, {"with_video", with_video}, {"labels", labels}};
  return out;
}

bool is_checkpoint(const fs::path& path) {
  for (const char* extension : {".safetensors", ".pth", ".pt", ".ckpt", ".bin"})
    if (path.extension() == extension) return true;
  return fs::is_directory(path) &&
         (fs::exists(path / "model.safetensors") || fs::is_directory(path / "checkpoints"));
}

bool is_data_set(const fs::path& path) {
  return fs::is_directory(path) || is_list_file(path) || names_shards(path.native()) ||
         is_remote(path.native());
}

Description other_info(const fs::path& path, const ListOptions& lists, Log& log) {
  return is_data_set(path) ? data_set_info(path, lists, log) : media_info(path);
}

int run(const InfoFlags& flags, const GlobalOptions& global) {
  CAVMAE_CHECK_AS(ConfigError, flags.machine || !flags.path.empty(),
                  "name a file or folder, or give --machine");
  auto log = make_log(global.verbosity());
  Description out;
  if (flags.machine) out = machine_info();
  if (!flags.path.empty()) {
    CAVMAE_CHECK(fs::exists(flags.path) || names_shards(flags.path.native()) ||
                     is_remote(flags.path.native()) || is_library(flags.path),
                 flags.path.string(), ": no such file or folder");
    out = is_library(flags.path)              ? library_info(flags.path)
          : holds_embeddings(flags.path)      ? embeddings_info(flags.path)
          : holds_embedding_parts(flags.path) ? parts_info(flags.path)
          : is_checkpoint(flags.path)         ? model_info(flags.model, *log)
                                              : other_info(flags.path, flags.lists.options(), *log);
  }
  if (flags.json != "-") fmt::print("{}", out.text);
  write_json_result(flags.json, out.json);
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Program& program) {
  describe(
      app, "",
      {"cavmae info e.safetensors  what 'cavmae embed' wrote",
       "cavmae info library        what 'cavmae index' made, and what failed",
       "cavmae info clip.mp4       a media file",
       "cavmae info clips          a folder of clips or a manifest",
       "cavmae info --machine      cores, instruction sets, BLAS, threads, GPUs, and what slows it down"});
  auto flags = std::make_shared<InfoFlags>();
  app.add_option("path", flags->path, "a checkpoint, media file, folder or manifest")->type_name("PATH");
  app.add_flag("--machine", flags->machine, "describe this machine");
  flags->model.add_file_flags(app, HeadUse::if_any, DecoderUse::if_any);
  flags->lists.add(app);
  add_json_flag(app, flags->json);
  app.callback([=, &program] {
    flags->model.checkpoint = flags->path;
    program.action = [=, &program] { return run(*flags, program.global); };
  });
}

}  // namespace cavmae::apps
