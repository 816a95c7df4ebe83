#include "cavmae/tensorfile/safetensors_header.h"

#include <unordered_set>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

constexpr size_t kMaxHeaderDims = 64;  // as many as LibTorch allows

// Takes the parser's events. The places in the header, by nesting:
//   { NAME: { "dtype": .., "shape": [ .. ], "data_offsets": [ .. ] }, "__metadata__": { KEY: TEXT } }
class HeaderEvents : public nlohmann::json_sax<Json> {
 public:
  HeaderEvents(SafetensorsHeader& header, const std::string& where) : header_(header), where_(where) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool number_float(double, const std::string& text) override { return unexpected(text); }
  bool binary(Json::binary_t&) override { return unexpected("binary data"); }

  bool number_integer(int64_t value) override {
    return unexpected(std::to_string(value));  // the parser reports only negative ones here
  }

  bool number_unsigned(uint64_t value) override {
    if (!in_list_) return unexpected(std::to_string(value));
    if (field_ == "shape") {
      require(value <= INT64_MAX && entry().shape.size() < kMaxHeaderDims, "has a shape that is too large");
      entry().shape.push_back(static_cast<int64_t>(value));
    } else {
      require(num_offsets_ < 2, "has more than two data_offsets");
      (num_offsets_++ == 0 ? entry().begin : entry().end) = value;
    }
    return true;
  }

  bool string(std::string& value) override {
    if (in_list_ || depth_ != 2) return unexpected("text");
    if (in_metadata_) {
      header_.metadata[field_] = std::move(value);
    } else {
      if (field_ != "dtype") return unexpected("text");
      entry().dtype = std::move(value);
    }
    return true;
  }

  bool start_object(size_t) override {
    if (in_list_ || depth_ >= 2) return unexpected("an object");
    ++depth_;
    return true;
  }

  bool key(std::string& name) override {
    if (depth_ == 1) {
      fail_unless(names_.insert(name).second, "two entries are called '", printable(name), "'");
      in_metadata_ = name == "__metadata__";
      if (!in_metadata_) header_.entries.emplace_back().name = name;
      fields_seen_ = num_offsets_ = 0;
    } else if (!in_metadata_) {
      const int bit = name == "dtype" ? 1 : name == "shape" ? 2 : name == "data_offsets" ? 4 : 0;
      require(bit != 0, "has an unknown field '" + printable(name) + "'");
      require(!(fields_seen_ & bit), "has the field '" + name + "' twice");
      fields_seen_ |= bit;
    }
    field_ = name;
    return true;
  }

  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_)
      require(fields_seen_ == 7 && num_offsets_ == 2, "lacks its dtype, shape or two data_offsets");
    return true;
  }

  bool start_array(size_t) override {
    const bool fits = depth_ == 2 && !in_metadata_ && !in_list_ && field_ != "dtype";
    if (!fits) return unexpected("a list");
    in_list_ = true;
    return true;
  }

  bool end_array() override {
    in_list_ = false;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    throw CheckpointError(concat(where_, ": the header is not valid JSON at byte ", position,
                                 "; the file is damaged or no .safetensors file"));
  }

 private:
  template <class... Parts>
  void fail_unless(bool ok, const Parts&... parts) const {
    CAVMAE_CHECK_AS(CheckpointError, ok, where_, ": damaged header: ", parts...);
  }
  void require(bool ok, const std::string& problem) const {
    fail_unless(ok, "tensor '", header_.entries.empty() ? "" : printable(header_.entries.back().name), "' ",
                problem);
  }
  bool unexpected(const std::string& what) const {
    fail_unless(false, what, " where none belongs", depth_ > 0 ? ", after '" + printable(field_) + "'" : "");
    return false;
  }
  SafetensorsEntry& entry() { return header_.entries.back(); }

  SafetensorsHeader& header_;
  const std::string& where_;
  std::unordered_set<std::string> names_;
  std::string field_;
  int depth_ = 0, fields_seen_ = 0, num_offsets_ = 0;
  bool in_list_ = false, in_metadata_ = false;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(const std::string& text, const std::string& where) {
  SafetensorsHeader header;
  HeaderEvents events(header, where);
  CAVMAE_CHECK_AS(CheckpointError, text.starts_with('{'), where,
                  ": the header is no JSON object; the file is damaged or no .safetensors file");
  Json::sax_parse(text, &events);
  return header;
}

std::string format_safetensors_header(const SafetensorsHeader& header) {
  // Json keeps its keys in a list that is searched on every insertion, hence the text by hand around it.
  std::string text = "{";
  const auto append = [&](const std::string& name, const Json& value) {
    text += (text.size() > 1 ? "," : "") + Json(name).dump() + ":" + value.dump();
  };
  try {
    if (!header.metadata.empty()) append("__metadata__", header.metadata);
    for (const auto& entry : header.entries)
      append(entry.name,
             {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}});
  } catch (const Json::exception&) {
    throw Error("a tensor's name or a metadata value is not valid UTF-8, which .safetensors requires");
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace cavmae
