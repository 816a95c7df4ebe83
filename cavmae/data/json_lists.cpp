#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/data/clip_record.h"
#include "cavmae/data/json_records.h"
#include "cavmae/data/list_formats.h"

namespace cavmae {
namespace {

// A line of a manifest.
class ManifestLines : public JsonRecords {
 public:
  ManifestLines(const std::string& list, const ListTarget& to) : list_(list), to_(to), reader_(to.log) {}

  void read_line(std::string_view line, int64_t number) {
    clip_place_ = {.list = list_, .number = number};
    Json::sax_parse(line.data(), line.data() + line.size(), this, Json::input_format_t::json, /*strict=*/true,
                    /*ignore_comments=*/true);
  }

 protected:
  bool outside(Piece piece, const std::string& text) override {
    CAVMAE_CHECK_AS(DataError, piece == Piece::object_begins, clip_place_,
                    ": expected an object such as {\"path\": \"clip.mp4\"}, found ", text);
    return true;
  }
  void take(const ListRecord& record) override {
    reader_.read(record, clip_place_, clip_);
    clip_.number = clip_place_.number;
    to_.clips.add(clip_);
  }
  std::string place() const override { return clip_place_.text(); }

 private:
  const std::string& list_;
  const ListTarget& to_;
  ClipRecordReader reader_;
  ListPlace clip_place_;
  ListedClip clip_;
};

// {"data": [{"wav", "video_id", "video_path", "labels"}]}; the pictures are
// video_path/frame_{0-9}/video_id.jpg, and one that is missing is replaced by a neighbour when the clip is
// read.
class AuthorsDocument : public JsonRecords {
 public:
  AuthorsDocument(const std::string& list, const ListTarget& to) : list_(list), to_(to) {}

  // Once the document is read.
  void check_complete() const { require(found_data_, keys_.empty() ? "the keys none" : "the keys " + keys_); }

 protected:
  bool outside(Piece piece, const std::string& text) override;
  void take(const ListRecord& record) override;
  std::string place() const override { return in_data_ ? entry_place().text() : list_; }

 private:
  ListPlace entry_place() const {
    return {.list = list_, .number = entries_, .style = ListPlace::Style::entry};
  }
  void require(bool ok, const std::string& found) const {
    CAVMAE_CHECK_AS(DataError, ok, list_,
                    ": expected {\"data\": [{\"wav\", \"video_id\", \"video_path\", \"labels\"}]}, found ",
                    found, "; a list with one object a line is called .jsonl");
  }
  std::string text_field(const ListRecord& record, std::string_view key, const ListPlace& place) const;
  void warn_of_unused_keys(const ListRecord& record, const ListPlace& place);

  const std::string& list_;
  const ListTarget& to_;
  int64_t depth_ = 0;  // outside of entries: 1 in the document's object, 2 in a value of it
  bool in_data_ = false, found_data_ = false, data_is_next_ = false;
  int64_t entries_ = 0;
  std::string keys_;
  std::set<std::string, std::less<>> warned_;
  ListedClip clip_;
};

bool AuthorsDocument::outside(Piece piece, const std::string& text) {
  const bool begins = piece == Piece::object_begins || piece == Piece::array_begins;
  const bool ends = piece == Piece::object_ends || piece == Piece::array_ends;
  if (in_data_ && depth_ == 2 && !ends) {
    CAVMAE_CHECK_AS(DataError, piece == Piece::object_begins, entry_place(), ": expected an object, found ",
                    text);
    return true;
  }
  if (depth_ == 0) require(piece == Piece::object_begins, text);
  if (depth_ == 1 && data_is_next_) {
    require(piece == Piece::array_begins, "'data': " + text);
    CAVMAE_CHECK_AS(DataError, !found_data_, list_, ": the key 'data' is given twice");
    in_data_ = found_data_ = true;
  }
  data_is_next_ = depth_ == 1 && piece == Piece::key && text == "data";
  if (depth_ == 1 && piece == Piece::key) keys_ += (keys_.empty() ? "'" : ", '") + text + "'";
  if (begins) ++depth_;
  if (ends && --depth_ == 1) in_data_ = false;
  return false;
}

std::string AuthorsDocument::text_field(const ListRecord& record, std::string_view key,
                                        const ListPlace& place) const {
  const FieldValue* value = record.find(key);
  if (value == nullptr) return {};
  CAVMAE_CHECK_AS(DataError, value->is_text(), place, ": '", key, "' must be text, found ", shown(*value));
  return value->text;
}

void AuthorsDocument::warn_of_unused_keys(const ListRecord& record, const ListPlace& place) {
  constexpr size_t kMostKeys = 20;
  static const std::vector<std::string> kKnown = {"wav", "video_id", "video_path", "labels"};
  for (const auto& [key, value] : record) {
    if (std::ranges::find(kKnown, key) != kKnown.end() || warned_.size() >= kMostKeys) continue;
    if (!warned_.insert(key).second) continue;
    const std::string meant = nearest_word(key, kKnown);
    to_.log.warn("{}: the key '{}' is not used{}", place.text(), key,
                 meant.empty() || record.find(meant) ? "" : "; did you mean '" + meant + "'?");
  }
}

void AuthorsDocument::take(const ListRecord& record) {
  const ListPlace place = entry_place();
  ++entries_;
  clip_.clear();
  clip_.number = place.number;
  clip_.audio = text_field(record, "wav", place);
  clip_.id = text_field(record, "video_id", place);
  clip_.frame_folder = text_field(record, "video_path", place);
  CAVMAE_CHECK_AS(DataError, !clip_.audio.empty() || !clip_.frame_folder.empty(), place,
                  ": names no media; expected 'wav', 'video_id' and 'video_path', found the keys ",
                  record.keys());
  CAVMAE_CHECK_AS(DataError, clip_.frame_folder.empty() || !clip_.id.empty(), place,
                  ": 'video_path' needs a 'video_id' (pictures are video_path/frame_0/video_id.jpg)");
  if (const FieldValue* labels = record.find("labels")) read_labels(*labels, place, clip_);
  warn_of_unused_keys(record, place);
  to_.clips.add(clip_);
}

}  // namespace

void read_jsonl(TextReader& text, const ListTarget& to) {
  ManifestLines lines(text.name(), to);
  for (std::string_view line; text.next_line(line);)
    if (const auto json = trim(line); !json.empty()) lines.read_line(json, text.line_number());
}

void read_authors_json(TextReader& text, const ListTarget& to) {
  AuthorsDocument document(text.name(), to);
  Json::sax_parse(TextIterator(text), TextIterator(), &document, Json::input_format_t::json, /*strict=*/true,
                  /*ignore_comments=*/true);
  document.check_complete();
}

}  // namespace cavmae
