// Paths and vectors as PostgreSQL keeps them. Private to this folder. Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cavmae/core/torch.h"

namespace cavmae {

// A path as text, and back: a database takes UTF-8 alone, and a name may be none. Each byte that is no part
// of UTF-8 becomes a character behind all that are in use, U+10FF80 to U+10FFFF.
std::string path_to_text(std::string_view path);
std::string text_to_path(std::string_view text);

// "[0.5,-1,...]", as pgvector writes vectors, of one in half precision. bytes: half [D]; vector: float [D]
std::string vector_text(std::string_view bytes);
std::string vector_text(const torch::Tensor& vector);

// Half [D] as bytes, of a column of either type as the server gives it: pgvector's binary form in hexadecimal
// ("\x0018..."), or the text. Throws DataError for anything else.
std::string vector_bytes_of_text(std::string_view text);
// The same as half [D].
torch::Tensor tensor_of_vector_text(std::string_view text);

}  // namespace cavmae
