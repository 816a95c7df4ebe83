#include "cavmae/data/json_records.h"

#include <utility>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

// Of a list of texts that is a value of the record.
constexpr int64_t kListDepth = 2;

}  // namespace

bool JsonRecords::parse_error(size_t, const std::string&, const Json::exception& error) {
  throw DataError(concat(place(), ": not valid JSON: ", json_error_text(error)));
}

bool JsonRecords::number_integer(int64_t value) {
  return scalar(FieldValue::Kind::number, std::to_string(value), static_cast<double>(value), true);
}

bool JsonRecords::number_unsigned(uint64_t value) {
  return scalar(FieldValue::Kind::number, std::to_string(value), static_cast<double>(value), true);
}

bool JsonRecords::number_float(double value, const std::string& text) {
  return scalar(FieldValue::Kind::number, text, value);
}

bool JsonRecords::scalar(FieldValue::Kind kind, std::string text, double number, bool whole) {
  const bool is_null = kind == FieldValue::Kind::other && text == "null";
  if (depth_ == 1) {
    value_->kind = is_null ? FieldValue::Kind::null : kind;
    value_->text = std::move(text);
    value_->number = number;
    value_->whole = whole;
  } else if (depth_ == kListDepth && value_->kind == FieldValue::Kind::texts) {
    if (kind == FieldValue::Kind::text)
      value_->texts.push_back(std::move(text));
    else
      value_->no_text = std::move(text);
  } else if (depth_ == 0) {
    FieldValue value;
    value.kind = kind;
    value.text = std::move(text);
    outside(Piece::value, shown(value));
  }
  return true;
}

// A list or object that no field is made of.
void JsonRecords::nested(const char* shown) {
  if (depth_ == 1) {
    value_->kind = FieldValue::Kind::other;
    value_->text = shown;
  } else if (depth_ == kListDepth && value_->kind == FieldValue::Kind::texts) {
    value_->no_text = shown;
  }
}

bool JsonRecords::start_object(size_t) {
  if (depth_ == 0) {
    if (!outside(Piece::object_begins, "an object")) return true;
    record_.clear();
  } else {
    nested("an object");
  }
  ++depth_;
  return true;
}

bool JsonRecords::key(std::string& key) {
  if (depth_ == 0) outside(Piece::key, key);
  if (depth_ == 1) {
    CAVMAE_CHECK_AS(DataError, !record_.contains(key), place(), ": the key '", printable(key),
                    "' is given twice");
    value_ = &record_.add(key);
  }
  return true;
}

bool JsonRecords::end_object() {
  if (depth_ == 0) {
    outside(Piece::object_ends, {});
  } else if (--depth_ == 0) {
    take(record_);
  }
  return true;
}

bool JsonRecords::start_array(size_t) {
  if (depth_ == 0) {
    outside(Piece::array_begins, "a list");
    return true;
  }
  nested("a list");
  if (depth_++ == 1) value_->kind = FieldValue::Kind::texts;
  return true;
}

bool JsonRecords::end_array() {
  if (depth_ == 0)
    outside(Piece::array_ends, {});
  else
    --depth_;
  return true;
}

}  // namespace cavmae
