// A clip of a list before it is looked at: the values under its keys, of a JSON object or of a table's row.
// One owner.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

// A JSON value as far as lists have use for it.
struct FieldValue {
  enum class Kind { null, text, number, texts, other };
  Kind kind = Kind::null;
  std::string text;  // of a number: as it was written; of `other`: "a list", "an object", "true"
  double number = 0.0;
  bool whole = false;              // a number without fraction or exponent
  std::vector<std::string> texts;  // of a list
  std::string no_text;             // what a list holds that is no text, as an error shows it; else empty

  bool is_text() const { return kind == Kind::text; }
};

// As an error shows it: short, and text whatever it holds.
std::string shown(const FieldValue& value);

class ListRecord {
 public:
  struct Field {
    std::string key;
    FieldValue value;
  };

  // Empties it; its memory is used again.
  void clear() { used_ = 0; }
  // The value under `key`, null at first; a key that comes again is overwritten.
  FieldValue& add(std::string_view key);
  bool contains(std::string_view key) const;
  // Nothing where the key is missing or its value null.
  const FieldValue* find(std::string_view key) const;

  const Field* begin() const { return fields_.data(); }
  const Field* end() const { return fields_.data() + used_; }
  // "'wav', 'lable'"; "none" when it is empty.
  std::string keys() const;

 private:
  std::vector<Field> fields_;
  size_t used_ = 0;
};

// Where a clip was named, as an error says it: "clips.jsonl:12", "set.json: data[3]", or the file itself.
struct ListPlace {
  enum class Style { line, entry, whole };
  std::string_view list;
  int64_t number = 0;
  Style style = Style::line;

  std::string text() const;
};
std::ostream& operator<<(std::ostream& out, const ListPlace& place);

}  // namespace cavmae
