#include "apps/description.h"

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/core/utf8.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/embed_parts.h"
#include "cavmae/search/open_library.h"

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

Description library_info(const std::string& name) {
  const auto library = open_library(name);
  const auto snapshot = library->snapshot();
  const LibrarySettings& settings = snapshot->settings();
  const LibraryCounts& counts = snapshot->counts();
  Description out;
  out.text = fmt::format("library        {} (generation {})\n", library->name(), settings.generation);
  out.text += fmt::format("made with      {}, in {}\n", settings.model.path, settings.model.precision);
  out.text += fmt::format("files          {}\nmoments        {}, of {} s, {} s apart\n", counts.files,
                          counts.moments, settings.model.spec.window_seconds, settings.hop_seconds);
  for (const auto& [fact, value] : snapshot->facts()) out.text += fmt::format("{:<14} {}\n", fact, value);
  for (const std::string& path : settings.data)
    out.text += fmt::format("filled from    {}\n", escape_invalid_utf8(path));
  Json failures = Json::array();
  for (const FileFailure& failure : library->failures()) {
    out.text += fmt::format("failed         {} ({}): {}\n", escape_invalid_utf8(failure.path),
                            side_name(failure.side), failure.reason);
    failures.push_back(
        {{"path", failure.path}, {"side", side_name(failure.side)}, {"reason", failure.reason}});
  }
  out.json = to_json(settings);
  out.json["kind"] = "library";
  out.json["path"] = library->name();
  out.json["files"] = counts.files;
  out.json["moments"] = counts.moments;
  out.json["segments"] = counts.segments;
  out.json["in_tail"] = counts.in_tail;
  out.json["failures"] = failures;
  return out;
}

}  // namespace cavmae::apps
