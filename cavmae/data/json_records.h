// The objects of a JSON document as records, one after another, without keeping the document. One owner.
#pragma once

#include <string>

#include "cavmae/core/json.h"
#include "cavmae/data/list_record.h"

namespace cavmae {

// Derive from it to say which objects are records. Events within a record are taken by it; the others come to
// outside().
class JsonRecords : public nlohmann::json_sax<Json> {
 public:
  enum class Piece { object_begins, object_ends, array_begins, array_ends, key, value };

  // Throws DataError that begins with place().
  bool parse_error(size_t, const std::string&, const Json::exception& error) final;

  bool null() final { return scalar(FieldValue::Kind::other, "null"); }
  bool boolean(bool value) final { return scalar(FieldValue::Kind::other, value ? "true" : "false"); }
  bool number_integer(int64_t value) final;
  bool number_unsigned(uint64_t value) final;
  bool number_float(double value, const std::string& text) final;
  bool string(std::string& value) final { return scalar(FieldValue::Kind::text, std::move(value)); }
  bool binary(Json::binary_t&) final { return true; }
  bool start_object(size_t) final;
  bool key(std::string& key) final;
  bool end_object() final;
  bool start_array(size_t) final;
  bool end_array() final;

 protected:
  // What stands outside of records; `text` is a key, or a value as an error shows it. With object_begins,
  // true makes the object a record.
  virtual bool outside(Piece piece, const std::string& text) = 0;
  // A record that is complete.
  virtual void take(const ListRecord& record) = 0;
  // Where the document is, for errors.
  virtual std::string place() const = 0;

 private:
  bool scalar(FieldValue::Kind kind, std::string text, double number = 0.0, bool whole = false);
  void nested(const char* shown);

  ListRecord record_;
  FieldValue* value_ = nullptr;  // under the last key
  int64_t depth_ = 0;            // of objects and lists within the record, which is 1 itself; 0: outside
};

}  // namespace cavmae
