// The JSON header of a .safetensors file as values, checked as text but not against the data behind it.
// Free functions; safe from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cavmae {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;            // "F32"
  std::vector<int64_t> shape;   // no entry below 0
  uint64_t begin = 0, end = 0;  // bytes, counted from the end of the header
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the header's order
  std::map<std::string, std::string> metadata;
};

// Parses without building a tree, so that a hostile header costs no more memory than its own length. `where`
// names the file in the CheckpointError.
SafetensorsHeader parse_safetensors_header(const std::string& text, const std::string& where);

// The text, padded with blanks to a multiple of 8 bytes. Throws Error where a name or value is not UTF-8.
std::string format_safetensors_header(const SafetensorsHeader& header);

}  // namespace cavmae
