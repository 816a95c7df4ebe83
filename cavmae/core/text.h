// Small questions about text. Safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

// Number of single-letter edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, or "" when none is near enough to be what was meant. Texts of more than
// 200 letters are near to nothing.
std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

// " (did you mean 'x'?)", or the list of candidates when nothing is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);

// "1:02:03" or "2:03" from seconds; "?" when it is not finite.
std::string human_duration(double seconds);

// The text as it can be shown in an error: what is not printable ASCII becomes '?', and it ends after 100
// letters. For names that come out of files.
std::string printable(std::string_view text);

// FNV-1a, 64 bits: stable over machines and versions, used where a hash is stored.
uint64_t stable_hash(std::string_view bytes, uint64_t seed = 0xcbf29ce484222325ull);

}  // namespace cavmae
