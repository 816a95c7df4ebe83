// The folder's functions in a build without libraries for it (cmake/Media.cmake).
#include "cavmae/storage/remote_client.h"

namespace cavmae {
namespace {

[[noreturn]] void no_remote_files(const std::string& name) {
  throw StorageError(
      0, concat(name, ": this cavmae was built without libcurl (CAVMAE_MEDIA=OFF); copy it here first"));
}

}  // namespace

std::optional<int64_t> RemoteFacts::modified_seconds() const {
  return std::nullopt;
}

struct RemoteClient::State {};
RemoteClient::RemoteClient(const RemoteOptions& /*options*/, std::shared_ptr<Log> /*log*/) {}
RemoteClient::~RemoteClient() = default;

RemoteFacts RemoteClient::facts(const std::string& name) const {
  no_remote_files(name);
}
std::string RemoteClient::read(const std::string& name, int64_t /*offset*/, int64_t /*count*/,
                               const RemoteFacts* /*expected*/) const {
  no_remote_files(name);
}
std::string RemoteClient::read_all(const std::string& name, int64_t /*max_bytes*/,
                                   RemoteFacts* /*facts*/) const {
  no_remote_files(name);
}
std::vector<std::string> RemoteClient::list(const std::string& name) const {
  no_remote_files(name);
}
void RemoteClient::download(const std::string& name, const RemoteFacts& /*facts*/,
                            const std::filesystem::path& /*to*/,
                            const std::function<void(int64_t)>& /*report*/) const {
  no_remote_files(name);
}

}  // namespace cavmae
