// Of a build without media libraries: nothing can be decoded, so nothing is served.
#include "cavmae/core/error.h"
#include "cavmae/serve/serve.h"

namespace cavmae {

struct ServedLibrary::State {};

void ServeOptions::validate() const {}

ServedLibrary::ServedLibrary(const std::string&, const Pretrained&, const ServeOptions&,
                             const std::shared_ptr<Log>&) {
  throw ConfigError(
      "this cavmae was built without media libraries and serves no library; build it with -DCAVMAE_MEDIA=ON");
}
ServedLibrary::~ServedLibrary() = default;
int ServedLibrary::port() const {
  return 0;
}
void ServedLibrary::run() {}
void ServedLibrary::stop() {}

}  // namespace cavmae
