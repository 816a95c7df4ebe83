#include "cavmae/eval/embed_file.h"

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
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

torch::Tensor side(const TensorFile& file, const std::string& name, size_t rows,
                   const std::filesystem::path& path) {
  const torch::Tensor* tensor = file.find(name);
  if (tensor == nullptr) return {};
  CAVMAE_CHECK_AS(CheckpointError,
                  tensor->dim() == 2 && tensor->size(0) == static_cast<int64_t>(rows) &&
                      tensor->scalar_type() == torch::kFloat32,
                  path.string(), ": '", name, "' is ", tensor->scalar_type(), " ", tensor->sizes(),
                  ", expected float32 [", rows, ", D], a row for each of the ids");
  return *tensor;
}

}  // namespace

void write_embeddings(const std::filesystem::path& path, const ClipEmbeddings& embeddings,
                      const std::vector<std::string>& ids, const std::filesystem::path& model) {
  Json row_ids = Json::array();
  for (const int64_t index : embeddings.indices) row_ids.push_back(ids.at(index));
  Json failed = Json::array();
  for (const BadClip& clip : embeddings.failed) failed.push_back({{"id", clip.id}, {"reason", clip.reason}});
  NamedTensors tensors;
  if (embeddings.audio.defined()) tensors.emplace_back("audio", embeddings.audio.to(torch::kFloat32));
  if (embeddings.video.defined()) tensors.emplace_back("video", embeddings.video.to(torch::kFloat32));
  write_safetensors(
      path, tensors,
      {{"ids", dump(row_ids)}, {"failed", dump(failed)}, {"model", dump(Json(model.string()))}});
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
    for (const Json& item : metadata_list(file, "failed", path))
      out.failed.push_back({item.at("id").get<std::string>(), item.at("reason").get<std::string>()});
    if (const auto model = file.metadata.find("model"); model != file.metadata.end())
      out.model = Json::parse(model->second).get<std::string>();
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
