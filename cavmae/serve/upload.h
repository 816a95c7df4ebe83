// A query's body: fields, and at most one file, which is kept on the disk without a name. Free functions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cavmae/core/json.h"
#include "cavmae/serve/http.h"

namespace cavmae {

struct Upload {
  Json fields = Json::object();                    // of JSON, or of a form: numbers are numbers there too
  std::shared_ptr<const OpenFile> file = nullptr;  // nothing: there was none
  std::string filename = {};                       // its last part, without what is no letter of a name
};

// Reads a body of application/json or multipart/form-data. Throws HttpError: 400, 413 past `max_bytes`, 415
// for another type.
Upload read_upload(const HttpRequest& request, HttpBody& body, int64_t max_bytes);

// The last part of a file's name as a client tells it, safe to show and to log.
std::string safe_filename(const std::string& name);

}  // namespace cavmae
