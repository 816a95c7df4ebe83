#include "cavmae/eval/embed_file.h"

#include <map>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/options.h"
#include "cavmae/core/own_errors.h"
#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {
namespace {

// File names need not be UTF-8; what is not becomes U+FFFD.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json metadata_list(const TensorFile& file, const std::string& key, const std::filesystem::path& path) {
  const auto found = file.metadata.find(key);
  CAVMAE_CHECK_AS(CheckpointError, found != file.metadata.end(), path.string(), ": no metadata '", key,
                  "'; is this a file that 'cavmae embed' wrote?");
  Json list = parse_json(found->second, path.string() + ": metadata '" + key + "'");
  CAVMAE_CHECK_AS(CheckpointError, list.is_array(), path.string(), ": metadata '", key, "' is no list");
  return list;
}

std::vector<BadClip> read_bad_clips(const Json& list, bool is_lacking) {
  std::vector<BadClip> out;
  for (const Json& item : list)
    out.push_back({.id = item.at("id").get<std::string>(),
                   .reason = item.at("reason").get<std::string>(),
                   .side = side_of_name(item.value("side", "both")),
                   .is_lacking = is_lacking});
  return out;
}

std::vector<FilePlace> read_places(const TensorFile& file, const std::filesystem::path& path) {
  const auto files = metadata_list(file, "file", path).get<std::vector<std::string>>();
  const auto starts = metadata_list(file, "start_seconds", path).get<std::vector<double>>();
  const size_t rows = metadata_list(file, "ids", path).size();
  CAVMAE_CHECK_AS(CheckpointError, files.size() == rows && starts.size() == rows, path.string(), ": ", rows,
                  " ids, but ", files.size(), " files and ", starts.size(), " starts");
  std::vector<FilePlace> out;
  for (size_t i = 0; i < rows; ++i) out.push_back({.file = files[i], .start_seconds = starts[i]});
  return out;
}

torch::Tensor side(const TensorFile& file, const std::string& name, size_t rows,
                   const std::filesystem::path& path) {
  const torch::Tensor* tensor = file.find(name);
  if (tensor == nullptr) return {};
  CAVMAE_CHECK_AS(CheckpointError,
                  (tensor->dim() == 2 || tensor->dim() == 3) &&
                      tensor->size(0) == static_cast<int64_t>(rows) &&
                      tensor->scalar_type() == torch::kFloat32,
                  path.string(), ": '", name, "' is ", tensor->scalar_type(), " ", tensor->sizes(),
                  ", expected float32 [", rows, ", D] or [", rows, ", K, D], a row for each of the ids");
  return *tensor;
}

}  // namespace

std::vector<FilePlace> places_of(const ClipList& clips) {
  std::vector<FilePlace> places;
  bool are_windows = false;
  for (const ClipSource& clip : clips) {
    are_windows = are_windows || !clip.file.empty();
    // One that could not be cut into windows has no row.
    places.push_back(
        {.file = clip.file.empty() ? clip.id : clip.file, .start_seconds = clip.start_seconds.value_or(0.0)});
  }
  return are_windows ? places : std::vector<FilePlace>();
}

void write_embeddings(const std::filesystem::path& path, const ClipEmbeddings& embeddings,
                      const std::vector<std::string>& ids, const std::filesystem::path& model,
                      const std::vector<FilePlace>& places) {
  Json row_ids = Json::array(), files = Json::array(), starts = Json::array();
  for (const int64_t index : embeddings.indices) {
    row_ids.push_back(ids.at(index));
    if (places.empty()) continue;
    files.push_back(places.at(index).file);
    starts.push_back(places.at(index).start_seconds);
  }
  NamedTensors tensors;
  if (embeddings.audio.defined()) tensors.emplace_back("audio", embeddings.audio.to(torch::kFloat32));
  if (embeddings.video.defined()) tensors.emplace_back("video", embeddings.video.to(torch::kFloat32));
  std::map<std::string, std::string> metadata = {{"ids", dump(row_ids)},
                                                 {"failed", dump(to_json(embeddings.failed))},
                                                 {"model", dump(Json(model.string()))},
                                                 {"precision", enum_name(embeddings.precision)}};
  if (!embeddings.lacking.empty()) metadata["lacking"] = dump(to_json(embeddings.lacking));
  if (!places.empty()) {
    metadata["file"] = dump(files);
    metadata["start_seconds"] = dump(starts);
  }
  write_safetensors(path, tensors, metadata);
}

bool holds_embeddings(const std::filesystem::path& path) {
  return path.extension() == ".safetensors" && std::filesystem::is_regular_file(path) &&
         read_safetensors_metadata(path).contains("ids");
}

StoredEmbeddings read_embeddings(const std::filesystem::path& path) {
  const TensorFile file = read_safetensors(path);
  StoredEmbeddings out;
  try {
    out.ids = metadata_list(file, "ids", path).get<std::vector<std::string>>();
    out.failed = read_bad_clips(metadata_list(file, "failed", path), /*is_lacking=*/false);
    if (file.metadata.contains("lacking"))
      out.lacking = read_bad_clips(metadata_list(file, "lacking", path), /*is_lacking=*/true);
    if (file.metadata.contains("file")) out.places = read_places(file, path);
    if (const auto model = file.metadata.find("model"); model != file.metadata.end())
      out.model = Json::parse(model->second).get<std::string>();
    if (const auto precision = file.metadata.find("precision"); precision != file.metadata.end())
      option_from_json(Json(precision->second), out.precision, "precision");
  } catch (const Json::exception& e) {
    throw CheckpointError(concat(path.string(), ": the metadata of the embeddings is damaged: ", e.what()));
  } catch (const ConfigError& e) {
    throw CheckpointError(e.what());
  }
  out.audio = side(file, "audio", out.ids.size(), path);
  out.video = side(file, "video", out.ids.size(), path);
  CAVMAE_CHECK_AS(CheckpointError, out.audio.defined() || out.video.defined(), path.string(),
                  ": neither 'audio' nor 'video' is in it");
  return out;
}

torch::Tensor map_embeddings(const std::filesystem::path& path, const std::string& name) {
  return with_own_errors([&] {
    const torch::Tensor matrix = map_safetensors(path, name);
    const bool usable = matrix.dim() == 2 &&
                        (matrix.scalar_type() == torch::kFloat32 || matrix.scalar_type() == torch::kFloat16);
    CAVMAE_CHECK_AS(CheckpointError, usable, path.string(), ": '", name, "' is ", matrix.scalar_type(), " ",
                    matrix.sizes(), ", expected float32 or float16 [N, D]");
    return matrix;
  });
}

}  // namespace cavmae
