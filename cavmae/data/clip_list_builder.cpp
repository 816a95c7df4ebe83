#include "cavmae/data/clip_list_builder.h"

#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/paths.h"
#include "cavmae/core/text.h"
#include "cavmae/core/utf8.h"
#include "cavmae/storage/remote_url.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

std::string as_folder(const fs::path& folder) {
  std::string text = folder.string();
  if (text.empty() || text == ".") return "";
  return text.ends_with('/') ? text : text + "/";
}

// "['a', 'b']", as programs print a list of theirs.
bool is_quoted_list(std::string_view text) {
  text = trim(text);
  return text.ends_with(']') && (text.starts_with("['") || text.starts_with("[\""));
}

}  // namespace

void ClipListBuilder::begin_list(const std::string& name, const fs::path& base, ListPlace::Style style) {
  lists_.push_back(
      {.name = name, .base = base.string(), .style = style, .prefix = concat(lists_.size(), "/")});
  lists_.back().base_folder = folder("");
  cuts_ = {};
}

void ClipListBuilder::begin_shard(std::shared_ptr<const Shard> shard) {
  const std::string tar = shard->name();
  lists_.push_back({.name = tar,
                    .base = tar,
                    .style = ListPlace::Style::whole,
                    .prefix = concat(lists_.size(), "/"),
                    .shard = std::move(shard)});
  lists_.back().base_folder = folder("");
  cuts_ = {};
}

void ClipListBuilder::end_list() {
  const std::string& list = lists_.back().name;
  if (cuts_.with_comma > 0)
    log_.warn(
        "{}: the labels of {} clips hold a comma before a space, which was taken for a part of the label, such as '{}'; "
        "--label-separator comma cuts them there, --labels FILE says which classes there are",
        list, cuts_.with_comma, cuts_.comma_text);
  if (cuts_.with_bar > 0)
    log_.warn(
        "{}: the labels of {} clips hold '|', which was taken for a part of the label, such as '{}'; --label-separator '|' "
        "cuts them there",
        list, cuts_.with_bar, cuts_.bar_text);
  if (cuts_.parted > 0)
    log_.info(
        "{}: the labels of {} clips were cut at commas or semicolons, such as '{}' into '{}' and '{}'; --label-separator "
        "none leaves them whole",
        list, cuts_.parted, cuts_.parted_text, cuts_.first, cuts_.second);
}

std::string ClipListBuilder::place(size_t i) const {
  const List& list = lists_[list_[i]];
  if (list.style == ListPlace::Style::whole) return clips_->path_of(main_file(i));
  return ListPlace{.list = list.name, .number = number_[i], .style = list.style}.text();
}

uint32_t ClipListBuilder::folder(std::string_view relative) {
  const uint32_t asked = asked_folders_.add(std::string(lists_.back().prefix).append(relative));
  if (asked < found_folders_.size()) return found_folders_[asked];
  const List& list = lists_.back();
  // A name in a shard is no path that could be resolved.
  const std::string in_shard = concat("/", relative);
  const fs::path path =
      list.shard ? fs::path(list.base + in_shard) : resolve_path(fs::path(list.base) / relative);
  const uint32_t found = clips_->folders().add(as_folder(path));
  if (list.shard) clips_->set_shard(found, list.shard);
  if (found == absolute_of_.size())
    absolute_of_.push_back(absolute_folders_.add(as_folder(
        !list.shard
            ? absolute_path(path)
            : fs::path((is_remote(list.base) ? list.base : absolute_path(list.base).string()) + in_shard))));
  found_folders_.push_back(found);
  return found;
}

std::string ClipListBuilder::place(const ListedClip& clip) const {
  const List& list = lists_.back();
  return ListPlace{.list = list.name, .number = clip.number, .style = list.style}.text();
}

void ClipListBuilder::check_word(std::string_view word, const char* what, const ListedClip& clip) const {
  CAVMAE_CHECK_AS(DataError, is_utf8(word), place(clip), ": the ", what, " '", escape_invalid_utf8(word),
                  "' is no UTF-8 text; save the list as UTF-8 (iconv -f LATIN1 -t UTF-8 OLD > NEW)");
  CAVMAE_CHECK_AS(DataError, word.find('\0') == std::string_view::npos, place(clip), ": the ", what,
                  " holds a zero byte (\\u0000): '", printable(word), "'; take it out");
}

void ClipListBuilder::check_path(std::string_view path, const ListedClip& clip) const {
  CAVMAE_CHECK_AS(DataError, path.find('\0') == std::string_view::npos, place(clip),
                  ": a path holds a zero byte (\\u0000): '", printable(path), "'; no file is called so");
}

PackedFile ClipListBuilder::pack(std::string_view path, const ListedClip& clip) {
  check_path(path, clip);
  const size_t slash = path.rfind('/');
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  std::string_view above = path.substr(0, path.size() - name.size());
  if (name.empty() || name == "." || name == "..") above = path, name = ".";
  return {.folder = folder(above), .name = name};
}

ClipListBuilder::KnownLabels ClipListBuilder::learn(const ListedClip& clip) {
  LabelCut::Result result{.labels = clip.labels};
  if (clip.label_text) result = cut_.cut(*clip.label_text);
  for (const std::string& label : result.labels) check_word(label, "label", clip);
  const bool is_list =
      clip.label_text && is_quoted_list(*clip.label_text) && !cut_.is_class(*clip.label_text);
  CAVMAE_CHECK_AS(DataError, !is_list, place(clip), ": the labels are a list in quotes, ",
                  escape_invalid_utf8(*clip.label_text),
                  ", where words were expected; write a,b or a list of JSON in a .jsonl");
  if (result.labels.empty()) return {.set = 0, .outcome = result.outcome};
  auto& sets = clips_->label_sets();
  sets.push_back(std::move(result.labels));
  return {.set = static_cast<uint32_t>(sets.size() - 1), .outcome = result.outcome};
}

uint32_t ClipListBuilder::label_set(const ListedClip& clip) {
  if (clip.labels.empty() && !clip.label_text) return 0;
  std::string key = clip.label_text ? "t" + *clip.label_text : "l";
  for (const std::string& label : clip.labels) {
    check_word(label, "label", clip);
    (key += '\0') += label;
  }
  const uint32_t number = label_texts_.add(key);
  if (number == known_labels_.size()) known_labels_.push_back(learn(clip));
  const KnownLabels& known = known_labels_[number];
  if (clip.label_text && cut_.is_guess()) count_cut(known.outcome, clip, known.set);
  return known.set;
}

void ClipListBuilder::count_cut(LabelCut::Outcome outcome, const ListedClip& clip, uint32_t set) {
  if (outcome == LabelCut::Outcome::one_with_comma && cuts_.with_comma++ == 0)
    cuts_.comma_text = *clip.label_text;
  if (outcome == LabelCut::Outcome::one_with_bar && cuts_.with_bar++ == 0) cuts_.bar_text = *clip.label_text;
  if (outcome != LabelCut::Outcome::parted || cuts_.parted++ > 0) return;
  cuts_.parted_text = *clip.label_text;
  cuts_.first = clips_->label_sets()[set][0];
  cuts_.second = clips_->label_sets()[set][1];
}

void ClipListBuilder::add(const ListedClip& clip) {
  PackedClip packed;
  packed.is_one_file = !clip.path.empty();
  packed.start_seconds = clip.start_seconds;
  packed.end_seconds = clip.end_seconds;
  if (packed.is_one_file) packed.audio = pack(clip.path, clip);
  if (!clip.audio.empty()) packed.audio = pack(clip.audio, clip);
  if (!clip.video.empty()) packed.video = pack(clip.video, clip);
  for (const std::string& frame : clip.frames) packed.frames.push_back(pack(frame, clip));
  check_path(clip.frame_folder, clip);
  if (!clip.frame_folder.empty()) packed.frame_folder = folder(clip.frame_folder);
  const bool is_named = !clip.id.empty();
  check_word(clip.id, "id", clip);
  const uint32_t labels = label_set(clip);
  clips_->add(packed, is_named ? clips_->ids().add(clip.id) : CompactClips::kUnnamed, labels);
  list_.push_back(static_cast<uint32_t>(lists_.size() - 1));
  number_.push_back(static_cast<uint32_t>(clip.number));
}

}  // namespace cavmae
