// Files that are embedded in the program when it is built (cmake/EmbedText.cmake, cmake/EmbedFile.cmake).
// Safe from any thread.
#pragma once

#include <string_view>

namespace cavmae {

std::string_view chart_js();    // Chart.js, minified
std::string_view report_css();  // assets/report.css
std::string_view report_js();   // assets/report.js: draws the charts from the page's data
std::string_view text_font();   // DejaVu Sans, a TrueType font

}  // namespace cavmae
