// The description of the API is that of the API.
#include <algorithm>
#include <set>

#include <gmock/gmock.h>

#include "cavmae/serve/assets.h"

#include "tests/serve/toy_server.h"

namespace cavmae {
namespace {

// Whether `value` is as `schema` says; what is not.
std::string what_differs(const Json& value, const Json& schema, const Json& api, const std::string& where) {
  if (schema.contains("$ref")) {
    const std::string name =
        schema["$ref"].get<std::string>().substr(std::string("#/components/schemas/").size());
    return what_differs(value, api["components"]["schemas"].at(name), api, where);
  }
  const std::string type = schema.value("type", "");
  if (value.is_null()) return schema.value("nullable", false) ? "" : where + " is null";
  const bool fits = type == "object"    ? value.is_object()
                    : type == "array"   ? value.is_array()
                    : type == "string"  ? value.is_string()
                    : type == "integer" ? value.is_number_integer()
                    : type == "number"  ? value.is_number()
                    : type == "boolean" ? value.is_boolean()
                                        : false;
  if (!fits) return where + " is no " + type + ": " + value.dump();
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return where + " is " + value.dump();
  if (type == "array")
    for (size_t i = 0; i < value.size(); ++i)
      if (auto wrong = what_differs(value[i], schema["items"], api, concat(where, "[", i, "]"));
          !wrong.empty())
        return wrong;
  if (type != "object" || !schema.contains("properties")) return "";
  for (const Json& name : schema["required"])
    if (!value.contains(name.get<std::string>())) return where + " lacks " + name.get<std::string>();
  for (const auto& [name, one] : value.items()) {
    if (!schema["properties"].contains(name)) return where + "." + name + " is not described";
    if (auto wrong = what_differs(one, schema["properties"][name], api, where + "." + name); !wrong.empty())
      return wrong;
  }
  return "";
}

class OpenApi : public ServedToy {
 protected:
  const Json api_ = Json::parse(openapi_json());
};

TEST_F(OpenApi, IsServedAndDescribesEveryAnswer) {
  auto client = server_->client();
  EXPECT_EQ(json_of(client.Get("/openapi.json")), api_);
  const Json best = best_of("film.mp4", "audio");
  const std::string moment = std::to_string(best["moments"][0]["moment"].get<int64_t>());
  const std::string file = std::to_string(best["file"].get<int64_t>());
  std::set<std::string> walked;
  for (const auto& [path, methods] : api_["paths"].items())
    for (const auto& [method, operation] : methods.items()) {
      SCOPED_TRACE(method + " " + path);
      std::string real = path;
      if (const size_t at = real.find("{id}"); at != std::string::npos)
        real.replace(at, 4, path.starts_with("/v1/files") ? file : moment);
      const auto ask = [&] {
        if (method == "get") return client.Get(real);
        if (path == "/v1/embed") return client.Post(real, form_of(film("film.mp4")));
        const Json body = path == "/v1/search"  ? Json{{"moment", std::stoll(moment)}}
                          : path == "/v1/index" ? Json{{"path", film("sounds").string()}}
                                                : Json{{"token", "any"}};
        return client.Post(real, body.dump(), "application/json");
      };
      const httplib::Result result = ask();
      ASSERT_TRUE(result);
      const std::string status = std::to_string(result->status);
      ASSERT_TRUE(operation["responses"].contains(status)) << status << " " << result->body.substr(0, 300);
      EXPECT_LT(result->status, 300);
      EXPECT_EQ(result->get_header_value("Cavmae-Generation"), "1");
      std::string type = result->get_header_value("Content-Type");
      type = type.substr(0, type.find(';'));
      const Json& content = operation["responses"][status]["content"];
      ASSERT_TRUE(content.contains(type) || content.contains("*/*")) << type;
      if (type == "application/json" && path != "/openapi.json") {
        EXPECT_EQ(what_differs(Json::parse(result->body), content[type]["schema"], api_, "answer"), "");
        EXPECT_EQ(Json::parse(result->body)["generation"], 1);
      }
      walked.insert(method + " " + path);
    }
  EXPECT_EQ(walked.size(), 15u);
}

TEST_F(OpenApi, DescribesErrorsAndNoPathIsMissing) {
  auto client = server_->client();
  const auto error = client.Get("/v1/moments/999999");
  EXPECT_EQ(what_differs(Json::parse(error->body), api_["components"]["schemas"]["Error"], api_, "error"),
            "");
  // Every path of the API that the page asks for.
  const std::string scripts =
      std::string(page_js()) + std::string(api_js()) + std::string(cards_js()) + std::string(query_js());
  for (const char* path : {"v1/search", "v1/session", "v1/library", "v1/index", "v1/moments/", "v1/files/"}) {
    EXPECT_NE(scripts.find(path), std::string::npos);
    bool is_described = false;
    for (const auto& [known, methods] : api_["paths"].items())
      is_described = is_described || known.starts_with("/" + std::string(path));
    EXPECT_TRUE(is_described) << path;
  }
}

}  // namespace
}  // namespace cavmae
