// Files that are embedded in the program when it is built (cmake/EmbedText.cmake). Safe from any thread.
#pragma once

#include <string_view>

namespace cavmae {

std::string_view page_html();
std::string_view page_css();
std::string_view page_js();
std::string_view api_js();
std::string_view cards_js();
std::string_view query_js();
std::string_view icon_svg();
std::string_view openapi_json();  // the API, as OpenAPI 3 describes it

}  // namespace cavmae
