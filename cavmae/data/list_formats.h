// The formats of lists, each read as a stream into a ClipListBuilder. Free functions; private to
// manifest.cpp.
#pragma once

#include <filesystem>
#include <string>

#include "cavmae/core/log.h"
#include "cavmae/data/clip_list_builder.h"
#include "cavmae/data/csv.h"
#include "cavmae/data/text_reader.h"

namespace cavmae {

// What a list is read into. begin_list() was called.
struct ListTarget {
  ClipListBuilder& clips;
  Log& log;
};

// All throw DataError that names the file and the line or entry.
void read_path_list(TextReader& text, const ListTarget& to);
void read_jsonl(TextReader& text, const ListTarget& to);
void read_authors_json(TextReader& text, const ListTarget& to);
void read_table(TextReader& text, const ListTarget& to);

// The rows of one of AudioSet's tables of segments, below its header: the clips of those whose files lie in
// `folder` or below it, named after the segment ("ID.wav", "YID.wav", "ID_30000.flac", ...).
void read_audioset_segments(CsvReader& rows, const CsvRow& header, const std::filesystem::path& folder,
                            const ListTarget& to);

}  // namespace cavmae
