#include "cavmae/report/report.h"

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/report/assets.h"
#include "cavmae/report/charts.h"
#include "cavmae/report/html.h"
#include "cavmae/report/sections.h"

namespace cavmae {
namespace {

// Nothing may be loaded from elsewhere, whatever a clip is called.
constexpr std::string_view kPolicy =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

struct Section {
  std::string anchor, name, html;
};

std::string navigation(const std::vector<Section>& sections) {
  std::string out;
  for (const Section& section : sections)
    if (!section.html.empty()) out += fmt::format("<a href=\"#{}\">{}</a>\n", section.anchor, section.name);
  return out.empty() ? "" : "<nav>\n" + out + "</nav>\n";
}

}  // namespace

std::string render_report(const ReportContent& content) {
  const std::vector<Chart> charts = make_charts(content.metrics);
  const std::vector<Section> sections = {
      {"retrieval", "Retrieval", retrieval_html(content.retrieval)},
      {"classification", "Classification", classification_html(content.classification)},
      {"curves", "Curves", charts_html(charts)},
      {"examples", "Example queries", queries_html(content)},
      {"reconstructions", "Reconstructions", reconstructions_html(content)},
      {"settings", "Settings", settings_html(content.config)},
      {"notes", "Notes", notes_html(content.notes)},
  };
  const std::string title = escape_html(content.title);
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\""
      "Content-Security-Policy\" content=\"{}\">\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n"
      "<style>\n{}</style>\n</head>\n<body>\n<main>\n<header class=\"top\">\n<h1>{}</h1>\n",
      kPolicy, title, report_css(), title);
  if (!content.subtitle.empty()) page += "<p>" + escape_html(content.subtitle) + "</p>\n";
  page += key_numbers_html(content) + navigation(sections) + "</header>\n";
  for (const Section& section : sections) page += section.html;
  page += "</main>\n";
  if (!charts.empty())
    page += "<script>" + script_text(chart_js()) + "</script>\n<script>" + script_text(report_js()) +
            "</script>\n";
  return page + "</body>\n</html>\n";
}

void write_report(const std::filesystem::path& path, const ReportContent& content) {
  write_file(path, render_report(content));
}

}  // namespace cavmae
