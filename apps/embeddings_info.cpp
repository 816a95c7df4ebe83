#include "apps/embeddings_info.h"

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/embed_parts.h"

namespace cavmae::apps {

namespace fs = std::filesystem;

Description embeddings_info(const fs::path& path) {
  const StoredEmbeddings stored = read_embeddings(path);
  Description out;
  out.text += fmt::format("embeddings     {} ({})\n", path.string(),
                          human_bytes(static_cast<double>(fs::file_size(path))));
  out.text += fmt::format("made with      {}, in {}\nclips          {}\n", stored.model.string(),
                          enum_name(stored.precision), stored.ids.size());
  out.json = {{"kind", "embeddings"},           {"path", path.string()},
              {"model", stored.model.string()}, {"precision", enum_name(stored.precision)},
              {"clips", stored.ids.size()},     {"failed", stored.failed.size()}};
  for (const auto& [name, rows] : {std::pair{"audio", stored.audio}, std::pair{"video", stored.video}}) {
    if (!rows.defined()) continue;
    const auto present = rows.select(1, 0).isfinite().sum().item<int64_t>();  // NaN: the clip lacks it
    out.text += fmt::format("{:<14} {} vectors of {} numbers\n", name, present, rows.size(1));
    out.json[name] = {{"vectors", present}, {"dimension", rows.size(1)}};
  }
  for (const BadClip& clip : stored.failed)
    out.text += fmt::format("failed         {}: {}\n", clip.id, clip.reason);
  return out;
}

Description parts_info(const fs::path& folder) {
  const PartsIndex index = read_parts_index(folder);
  const std::string model = index.made_of.value("model", ""),
                    precision = index.made_of.value("precision", "");
  const auto wanted = index.made_of.value("clips", int64_t{0});
  Description out;
  out.text = fmt::format(
      "embeddings     {} ({} files)\nmade with      {}, in {}\nclips          {} of {}, {} failed\nvectors        {} of {} numbers\n",
      folder.string(), index.parts.size(), model, precision, index.clips(), wanted, index.failed(),
      index.rows(), index.made_of.value("dimension", int64_t{0}));
  if (index.clips() < wanted) out.text += "not whole: the same 'cavmae embed' goes on with it\n";
  out.json = {{"kind", "embeddings in parts"}, {"path", folder.string()},     {"model", model},
              {"precision", precision},        {"parts", index.parts.size()}, {"clips", index.clips()},
              {"clips_in_all", wanted},        {"rows", index.rows()},        {"failed", index.failed()}};
  return out;
}

}  // namespace cavmae::apps
