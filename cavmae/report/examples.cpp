// The sections of the page that are made of pictures: queries and reconstructions.
#include <cmath>

#include <fmt/format.h>

#include "cavmae/report/html.h"
#include "cavmae/report/sections.h"

namespace cavmae {
namespace {

std::string label_chips(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) out += "<span class=\"chip\">" + escape_html(label) + "</span>";
  return out.empty() ? "" : "<div class=\"chips\">" + out + "</div>";
}

enum class Modality { sound, picture };

std::string side_tag(const ReportClip& clip, Modality side) {
  return side == Modality::sound ? image_tag(clip.spectrogram, "sound", "spectrogram of " + clip.id)
                                 : image_tag(clip.picture, "picture", "picture of " + clip.id);
}

// A clip with the side that the search used in front and its other side, fainter, below.
struct Tile {
  const ReportClip& clip;
  Modality front;
  std::string css_class;
  std::string caption;  // HTML
};

std::string tile_html(const Tile& tile) {
  const Modality back = tile.front == Modality::sound ? Modality::picture : Modality::sound;
  return fmt::format(
      "<figure class=\"tile {}\"><div class=\"front\">{}</div><div "
      "class=\"back\">{}</div><figcaption>{}<span class=\"id\" title=\"{}\">{}</span>{}</figcaption></figure>\n",
      tile.css_class, side_tag(tile.clip, tile.front), side_tag(tile.clip, back), tile.caption,
      escape_html(tile.clip.id), escape_html(tile.clip.id), label_chips(tile.clip.labels));
}

std::string rank_text(double rank) {
  return rank == std::floor(rank) ? fmt::format("{:.0f}", rank) : fmt::format("{:.1f}", rank);
}

std::string query_html(const ReportQuery& query) {
  const Modality asks = query.from_audio ? Modality::sound : Modality::picture;
  const Modality answers = query.from_audio ? Modality::picture : Modality::sound;
  std::string out = fmt::format(
      "<article class=\"card query\"><header><span class=\"kind {0}\">{0}</span> partner at rank <b>{1}</b></header>\n"
      "<div class=\"tiles\">\n",
      escape_html(query.kind), rank_text(query.rank));
  out += tile_html({.clip = query.query,
                    .front = asks,
                    .css_class = "asks",
                    .caption = query.from_audio ? "<b>audio query</b>" : "<b>video query</b>"});
  for (size_t i = 0; i < query.answers.size(); ++i) {
    const bool partner = i < query.is_partner.size() && query.is_partner[i];
    const std::string score = i < query.scores.size() ? fmt::format("{:.3f}", query.scores[i]) : "";
    out += tile_html({.clip = query.answers[i],
                      .front = answers,
                      .css_class = partner ? "partner" : "",
                      .caption = fmt::format("<b>{}</b> <span class=\"score\">{}</span>{}", i + 1, score,
                                             partner ? "<span class=\"yes\">partner</span>" : "")});
  }
  return out + "</div></article>\n";
}

std::string direction_html(const ReportContent& content, bool from_audio) {
  std::string out;
  for (const ReportQuery& query : content.queries)
    if (query.from_audio == from_audio) out += query_html(query);
  if (out.empty()) return "";
  return fmt::format("<h3>{}</h3>\n{}", from_audio ? "Audio to video" : "Video to audio", out);
}

std::string reconstruction_html(const ReportReconstruction& r) {
  const auto row = [&](const char* css_class, const torch::Tensor& original, const torch::Tensor& masked,
                       const torch::Tensor& rebuilt) -> std::string {
    if (!original.defined() && !masked.defined() && !rebuilt.defined()) return "";
    std::string out = fmt::format("<div class=\"three {}\">\n", css_class);
    for (const auto& [name, image] :
         {std::pair{"original", &original}, std::pair{"masked", &masked}, std::pair{"rebuilt", &rebuilt}})
      out += fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n",
                         image_tag(*image, css_class, fmt::format("{} of {}", name, r.id)), name);
    return out + "</div>\n";
  };
  return fmt::format(
      "<article class=\"card reconstruction\"><header class=\"id\">{}</header>\n{}{}</article>\n",
      escape_html(r.id), row("picture", r.original_picture, r.masked_picture, r.rebuilt_picture),
      row("sound", r.original_spectrogram, r.masked_spectrogram, r.rebuilt_spectrogram));
}

}  // namespace

std::string queries_html(const ReportContent& content) {
  if (content.queries.empty()) return "";
  return "<section id=\"examples\"><h2>Example queries</h2>\n"
         "<p>Drawn from the best, the middle and the worst ranks, not from the successes alone. In front is "
         "what was compared; below it, fainter, the other half of the same clip, which the search did not "
         "use. The number is the cosine similarity.</p>\n" +
         direction_html(content, true) + direction_html(content, false) + "</section>\n";
}

std::string reconstructions_html(const ReportContent& content) {
  if (content.reconstructions.empty()) return "";
  std::string out = "<section id=\"reconstructions\"><h2>Reconstructions</h2>\n";
  if (!content.reconstruction_note.empty())
    out += "<p>" + escape_html(content.reconstruction_note) + "</p>\n";
  out += "<div class=\"reconstructions\">\n";
  for (const ReportReconstruction& r : content.reconstructions) out += reconstruction_html(r);
  return out + "</div>\n</section>\n";
}

}  // namespace cavmae
