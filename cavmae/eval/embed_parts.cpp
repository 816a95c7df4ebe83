#include "cavmae/eval/embed_parts.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/text.h"
#include "cavmae/data/ids_hash.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/models/parameters_hash.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexFile = "index.json";
constexpr const char* kPartsFormat = "cavmae embeddings in parts";

Json made_of(CavMae& model, const fs::path& model_file, const InputSpec& spec, const ClipList& clips,
             const EmbedPartsOptions& options) {
  return {{"clips", clips.size()},
          {"ids", hash_of_ids(clips)},
          {"model", model_file.string()},
          {"parameters", parameters_hash(model)},
          {"dimension", model->config().embed_dim},
          {"precision", enum_name(model->precision())},
          {"features", option_to_json(spec)},
          {"view", option_to_json(options.pass.view)},
          {"per_frame", options.of == ClipVectorsOf::picture},
          {"part_clips", options.part_clips}};
}

// What of two differs, but for the model's name: the same model may lie elsewhere.
std::string differences(const Json& there, const Json& now) {
  std::string text;
  for (const auto& [key, value] : now.items())
    if (key != "model" && there.value(key, Json()) != value) text += concat(text.empty() ? "" : ", ", key);
  return text;
}

Json to_json(const PartsIndex& index) {
  Json parts = Json::array();
  for (const EmbeddingPart& part : index.parts)
    parts.push_back({{"file", part.file},
                     {"first", part.first},
                     {"clips", part.clips},
                     {"rows", part.rows},
                     {"failed", part.failed}});
  return {{"format", kPartsFormat},
          {"made_of", index.made_of},
          {"rows", index.rows()},
          {"failed", index.failed()},
          {"parts", std::move(parts)}};
}

// Ids and places are kept of one part at a time.
struct Part {
  ClipList clips;
  std::vector<std::string> ids;
};

Part part_at(const ClipList& clips, int64_t first, int64_t count) {
  std::vector<int64_t> positions(count);
  std::iota(positions.begin(), positions.end(), first);
  Part part{.clips = clips.at(positions), .ids = {}};
  for (size_t i = 0; i < part.clips.size(); ++i) part.ids.emplace_back(part.clips.id(i));
  return part;
}

std::string name_of_part(int64_t first, const EmbedPartsOptions& options) {
  return fmt::format("part-{:06}.safetensors", first / options.part_clips);
}

// What the folder holds of the same already. Where that is nothing it is made, with an index of no parts, by
// which a job that was stopped within its first part knows the folder for its own.
std::vector<EmbeddingPart> find_parts(const fs::path& folder, const Json& wanted) {
  make_directories(folder);
  if (!holds_embedding_parts(folder)) {
    write_json(folder / kIndexFile, to_json({.made_of = wanted, .parts = {}}));
    return {};
  }
  const PartsIndex found = read_parts_index(folder);
  const std::string differs = differences(found.made_of, wanted);
  CAVMAE_CHECK_AS(ConfigError, differs.empty(), folder.string(),
                  ": holds embeddings of something else (it differs in ", differs,
                  "); give another --out, or remove it");
  return found.parts;
}

// Every rank gets what rank 0 has.
void tell_ranks(std::vector<EmbeddingPart>& parts, const EmbedPartsOptions& options) {
  World& world = options.pass.world;
  torch::Tensor size = torch::full({1}, static_cast<int64_t>(parts.size()), torch::kInt64);
  world.broadcast(size, 0);
  torch::Tensor table = torch::zeros({size.item<int64_t>(), 4}, torch::kInt64);
  parts.resize(table.size(0));
  auto rows = table.accessor<int64_t, 2>();
  for (size_t i = 0; i < parts.size(); ++i)
    rows[i][0] = parts[i].first, rows[i][1] = parts[i].clips, rows[i][2] = parts[i].rows,
    rows[i][3] = parts[i].failed;
  world.broadcast(table, 0);
  for (size_t i = 0; i < parts.size(); ++i)
    parts[i] = {.file = name_of_part(rows[i][0], options),
                .first = rows[i][0],
                .clips = rows[i][1],
                .rows = rows[i][2],
                .failed = rows[i][3]};
}

void check_failed(const PartsIndex& index, const EmbedPartsOptions& options) {
  const double share =
      static_cast<double>(index.failed()) / static_cast<double>(std::max<int64_t>(1, index.clips()));
  CAVMAE_CHECK_AS(DataError, share <= options.pass.loader.max_bad_ratio, index.failed(), " of the first ",
                  index.clips(), " clips could not be read, more than max_bad_ratio (",
                  options.pass.loader.max_bad_ratio, ") allows; the log names them");
}

// A line after each part: how much is done, at which rate, and when the rest will be.
class PartsLog {
 public:
  PartsLog(int64_t total, int64_t already_done, std::shared_ptr<Log> log)
      : total_(total), already_done_(already_done), log_(std::move(log)) {}

  void tell(const PartsIndex& index) const {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    const double rate = static_cast<double>(index.clips() - already_done_) / seconds;
    log_->info("{} written: {} of {} clips, {:.1f} clips/s, ETA {}", index.parts.back().file, index.clips(),
               total_, rate, human_duration(static_cast<double>(total_ - index.clips()) / rate));
  }

 private:
  int64_t total_, already_done_;
  std::shared_ptr<Log> log_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

int64_t PartsIndex::rows() const {
  return std::accumulate(parts.begin(), parts.end(), int64_t{0},
                         [](int64_t sum, const EmbeddingPart& part) { return sum + part.rows; });
}

int64_t PartsIndex::failed() const {
  return std::accumulate(parts.begin(), parts.end(), int64_t{0},
                         [](int64_t sum, const EmbeddingPart& part) { return sum + part.failed; });
}

int64_t PartsIndex::clips() const {
  return parts.empty() ? 0 : parts.back().first + parts.back().clips;
}

PartsIndex embed_in_parts(const fs::path& folder, CavMae& model, const fs::path& model_file,
                          const InputSpec& spec, const ClipList& clips, const EmbedPartsOptions& options,
                          std::shared_ptr<Log> log) {
  CAVMAE_CHECK_AS(ConfigError, options.part_clips > 0, "part_clips is ", options.part_clips,
                  ", it must be at least 1");
  const bool writes = options.pass.world.rank() == 0;
  const auto total = static_cast<int64_t>(clips.size());
  PartsIndex index{.made_of = made_of(model, model_file, spec, clips, options), .parts = {}};
  if (writes) index.parts = find_parts(folder, index.made_of);
  options.pass.world.wait_for_all();  // each has read its list, and rank 0 what is there
  tell_ranks(index.parts, options);
  if (index.clips() > 0) log->info("{} holds {} of {} clips already", folder.string(), index.clips(), total);
  check_failed(index, options);
  PassOptions pass = options.pass;
  pass.loader.max_bad_ratio = 1.0;  // of a part; see check_failed()
  const PartsLog progress(total, index.clips(), log);
  for (int64_t first = index.clips(); first < total; first = index.clips()) {
    const Part part = part_at(clips, first, std::min(options.part_clips, total - first));
    const ClipEmbeddings embeddings = embed_clips(model, spec, part.clips, pass, log, options.of);
    index.parts.push_back({.file = name_of_part(first, options),
                           .first = first,
                           .clips = static_cast<int64_t>(part.clips.size()),
                           .rows = static_cast<int64_t>(embeddings.indices.size()),
                           .failed = static_cast<int64_t>(embeddings.failed.size())});
    if (writes) {
      pass.world.does(concat("writes ", index.parts.back().file));
      write_embeddings(folder / index.parts.back().file, embeddings, part.ids, model_file,
                       places_of(part.clips));
      write_json(folder / kIndexFile, to_json(index));
    }
    progress.tell(index);
    check_failed(index, options);
  }
  return index;
}

bool holds_embedding_parts(const fs::path& folder) {
  if (!fs::is_regular_file(folder / kIndexFile)) return false;
  const Json index = read_json(folder / kIndexFile);
  return index.is_object() && index.value("format", Json()) == kPartsFormat;
}

PartsIndex read_parts_index(const fs::path& folder) {
  const fs::path file = folder / kIndexFile;
  PartsIndex index;
  try {
    const Json json = read_json(file);
    index.made_of = json.at("made_of");
    for (const Json& part : json.at("parts"))
      index.parts.push_back({.file = part.at("file").get<std::string>(),
                             .first = part.at("first").get<int64_t>(),
                             .clips = part.at("clips").get<int64_t>(),
                             .rows = part.at("rows").get<int64_t>(),
                             .failed = part.at("failed").get<int64_t>()});
  } catch (const Json::exception& e) {
    throw CheckpointError(
        concat(file.string(), ": is damaged: ", e.what(), "; remove the folder and embed again"));
  }
  for (const EmbeddingPart& part : index.parts)
    CAVMAE_CHECK_AS(CheckpointError, fs::is_regular_file(folder / part.file), (folder / part.file).string(),
                    ": is not there, though ", kIndexFile, " names it; remove the folder and embed again");
  return index;
}

}  // namespace cavmae
