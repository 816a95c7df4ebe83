#include "cavmae/data/list_record.h"

#include <algorithm>
#include <ostream>

#include "cavmae/core/error.h"
#include "cavmae/core/json.h"
#include "cavmae/core/json_text.h"

namespace cavmae {

std::string shown(const FieldValue& value) {
  constexpr size_t kLongest = 80;
  switch (value.kind) {
    case FieldValue::Kind::null:
      return "null";
    case FieldValue::Kind::texts:
      return value.texts.empty() && value.no_text.empty() ? "an empty list" : "a list";
    case FieldValue::Kind::text: {
      const std::string text = to_text(value.text);
      return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
    }
    case FieldValue::Kind::number:
    case FieldValue::Kind::other:
      break;
  }
  return value.text;
}

FieldValue& ListRecord::add(std::string_view key) {
  size_t i = 0;
  while (i < used_ && fields_[i].key != key) ++i;
  if (i == used_) {
    if (used_ == fields_.size()) fields_.emplace_back();
    fields_[used_++].key = key;
  }
  FieldValue& value = fields_[i].value;
  value.kind = FieldValue::Kind::null;
  value.texts.clear();
  value.no_text.clear();
  return value;
}

bool ListRecord::contains(std::string_view key) const {
  return std::any_of(begin(), end(), [&](const Field& field) { return field.key == key; });
}

const FieldValue* ListRecord::find(std::string_view key) const {
  for (const Field& field : *this)
    if (field.key == key) return field.value.kind == FieldValue::Kind::null ? nullptr : &field.value;
  return nullptr;
}

std::string ListRecord::keys() const {
  std::string text;
  for (const Field& field : *this) text += (text.empty() ? "'" : ", '") + field.key + "'";
  return text.empty() ? "none" : text;
}

std::string ListPlace::text() const {
  return concat(*this);
}

std::ostream& operator<<(std::ostream& out, const ListPlace& place) {
  out << place.list;
  if (place.style == ListPlace::Style::line) out << ":" << place.number;
  if (place.style == ListPlace::Style::entry) out << ": data[" << place.number << "]";
  return out;
}

}  // namespace cavmae
