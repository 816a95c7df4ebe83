// Small pieces of HTML: escaping, pictures as data URIs, numbers as people read them. Free functions; safe
// from several threads.
#pragma once

#include <string>
#include <string_view>

#include "cavmae/core/json.h"
#include "cavmae/core/torch.h"

namespace cavmae {

// Text between tags or inside a quoted attribute: & < > " ' escaped, bytes that are no UTF-8 and control
// characters replaced by U+FFFD.
std::string escape_html(std::string_view text);

// JSON that may stand inside a <script> element. NaN and infinities become null.
std::string script_json(const Json& value);

// A script's text so that nothing in it ends the <script> element.
std::string script_text(std::string_view text);

std::string base64(std::string_view bytes);

// image: uint8 [H, W, 3] -> "data:image/...": PNG when it is small, JPEG when not; "" when undefined.
std::string image_data_uri(const torch::Tensor& image);

// <img> of a picture, or a placeholder when it is undefined. `css_class` is trusted, `alt` is escaped.
std::string image_tag(const torch::Tensor& image, std::string_view css_class, std::string_view alt);

std::string percent_text(double share);  // "52.5 %", "0.37 %"
std::string number_text(double value);   // "1,234", "0.0123", "not finite"

}  // namespace cavmae
