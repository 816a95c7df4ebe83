#include "cavmae/search/library_settings.h"

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/paths.h"
#include "cavmae/models/parameters_hash.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSettingsFile = "library.json";
constexpr const char* kFormat = "cavmae library";
constexpr int64_t kVersion = 1;

std::string describe(const LibraryModel& model) {
  return concat(model.path, " (parameters ", model.parameters_hash, ", ", model.spec.window_seconds,
                " s windows, ", model.precision, ")");
}

}  // namespace

torch::ScalarType scalar_type(VectorType type) {
  return type == VectorType::float32 ? torch::kFloat32 : torch::kFloat16;
}

LibraryModel library_model(const Pretrained& model) {
  CavMae network = model.network();
  CAVMAE_CHECK_AS(ConfigError, network->config().joint_streams != JointStreams::concat, model.path.string(),
                  ": this network looks at sound and pictures only together, so that neither can be searched "
                  "by the other; take one that has a stream of each (cav-mae, cav, av-mae)");
  return {.path = absolute_path(model.path).string(),
          .parameters_hash = parameters_hash(network),
          .embed_dim = network->config().embed_dim,
          .precision = enum_name(network->precision()),
          .spec = model.spec,
          .num_heads = network->config().num_heads};
}

LoadOptions load_options(const LibraryModel& model) {
  const InputSpec& spec = model.spec;
  LoadOptions options;
  options.head = HeadUse::leave_out;
  options.decoder = DecoderUse::none;
  options.shape = {.num_fbank_frames = spec.num_fbank_frames,
                   .image_size = spec.image_size,
                   .window_seconds = spec.window_seconds,
                   .fbank_mean = spec.fbank_mean,
                   .fbank_std = spec.fbank_std};
  options.reading = {
      .exif = spec.exif, .audio_channels = spec.audio_channels, .audio_track = spec.audio_track};
  options.hints.num_mel_bins = spec.num_mel_bins;
  options.hints.audio_window_frames = spec.audio_window_frames;
  options.hints.num_heads = model.num_heads;
  option_from_json(Json(model.precision), options.precision, "precision");
  return options;
}

bool holds_library(const fs::path& folder) {
  return fs::is_regular_file(folder / kSettingsFile);
}

Json to_json(const LibrarySettings& settings) {
  const LibraryModel& model = settings.model;
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"generation", settings.generation},
               {"model",
                {{"path", model.path},
                 {"parameters_hash", model.parameters_hash},
                 {"embed_dim", model.embed_dim},
                 {"precision", model.precision},
                 {"features", option_to_json(model.spec)}}},
               {"hop_seconds", settings.hop_seconds},
               {"vectors", enum_name(settings.vectors)},
               {"index", enum_name(settings.index)},
               {"data", settings.data}};
  if (model.num_heads) json["model"]["num_heads"] = *model.num_heads;
  return json;
}

LibrarySettings settings_from_json(const Json& json, const std::string& where) {
  LibrarySettings settings;
  try {
    CAVMAE_CHECK_AS(DataError, json.is_object() && json.value("format", "") == kFormat, where,
                    ": is no library's");
    CAVMAE_CHECK_AS(DataError, json.at("version").get<int64_t>() == kVersion, where, ": is of version ",
                    json.at("version").get<int64_t>(), ", this program knows version ", kVersion,
                    "; take a later cavmae, or make the library anew");
    const Json& model = json.at("model");
    settings.model.path = model.at("path").get<std::string>();
    settings.model.parameters_hash = model.at("parameters_hash").get<std::string>();
    settings.model.embed_dim = model.at("embed_dim").get<int64_t>();
    settings.model.precision = model.at("precision").get<std::string>();
    option_from_json(model.at("features"), settings.model.spec, where + ": features");
    if (model.contains("num_heads")) settings.model.num_heads = model["num_heads"].get<int64_t>();
    settings.hop_seconds = json.at("hop_seconds").get<double>();
    settings.generation = json.at("generation").get<int64_t>();
    settings.data = json.at("data").get<std::vector<std::string>>();
    option_from_json(json.at("vectors"), settings.vectors, where + ": vectors");
    option_from_json(json.at("index"), settings.index, where + ": index");
  } catch (const Json::exception& e) {
    throw DataError(concat(where, ": is damaged: ", e.what(), "; make the library anew by --rebuild"));
  }
  return settings;
}

LibrarySettings read_library_settings(const fs::path& folder) {
  const fs::path file = folder / kSettingsFile;
  CAVMAE_CHECK_AS(ConfigError, holds_library(folder), folder.string(),
                  ": holds no library (no library.json); make one with cavmae index ", folder.string(),
                  " --data FOLDER --checkpoint RUN");
  return settings_from_json(read_json(file), file.string());
}

void write_library_settings(const fs::path& folder, const LibrarySettings& settings) {
  write_json(folder / kSettingsFile, to_json(settings));
}

void check_same_model(const std::string& library, const LibrarySettings& settings,
                      const LibraryModel& model) {
  const LibraryModel& of_library = settings.model;
  CAVMAE_CHECK_AS(
      ConfigError,
      of_library.parameters_hash == model.parameters_hash && of_library.spec == model.spec &&
          of_library.precision == model.precision,
      library, ": was made with ", describe(of_library), " and cannot take vectors of ", describe(model),
      "; give the checkpoint it was made with, or make it anew with the other one (--rebuild; one in "
      "PostgreSQL in another database)");
}

fs::path generation_folder(const fs::path& library, int64_t generation) {
  return library / fmt::format("generation-{:06}", generation);
}

}  // namespace cavmae
