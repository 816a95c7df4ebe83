// From the forms that --data takes to a list of clips. No media file is opened here, but where its name does
// not tell what it is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_list.h"

namespace cavmae {

class LabelSet;

struct ListOptions {
  std::string label_separator = "auto";
  bool all_files = false;
  std::string shard_cache = {};
  // Of --data: what was there once and may be gone, or hold no media file any more; it is named in the log
  // and left out.
  std::vector<std::filesystem::path> may_be_gone = {};
  static constexpr const char* kAbsentByDefault[] = {"shard_cache"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    v("label_separator", o.label_separator,
      "what parts labels that a list gives as one text: auto, none, comma, semicolon, tab, space or any text; a text that "
      "is a class is one label");
    v("all_files", o.all_files,
      "take every file of a folder that FFmpeg reads, whatever its name, instead of those with a known extension");
    v("shard_cache", o.shard_cache,
      "folder that keeps copies of shards from web servers and object stores; without, parts are fetched as they are read");
  }
};

// Reads every --data argument (folder, text list, table, manifest, the authors' JSON, tar shards, media file)
// and joins them. A text of labels that is one of `classes` (may be null) is one label. Throws DataError:
// missing path, nothing found (with what was looked for), a broken line (file and line number), clips that
// clash.
ClipList read_clip_sources(const std::vector<std::filesystem::path>& data, Log& log,
                           const ListOptions& options = {}, const LabelSet* classes = nullptr);

// Whether what a --data argument names is there; of a range of shards one is enough, and what lies on a
// server counts as there.
bool is_there(const std::filesystem::path& data);

// A --data argument as a reader in any folder has to name it; what lies on a server stays as it is.
std::string absolute_data(const std::filesystem::path& data);

}  // namespace cavmae
