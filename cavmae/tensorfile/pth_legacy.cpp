// The format of PyTorch before 1.6: four pickles (a magic number, the protocol, facts about the machine, the
// object), one more with the keys of the storages, then each storage: its number of elements (64 bits), its
// data.
#include <unordered_map>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/tensorfile/pth_contents.h"
#include "cavmae/tensorfile/pth_globals.h"

namespace cavmae {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kProtocol = 1001;

class LegacyContents : public PthContents {
 public:
  explicit LegacyContents(const FileReader& file) : file_(file) {
    PickleInput input(
        file.size(), [&](uint64_t at, void* out, uint64_t n) { file.read(at, out, n); }, file.name());
    const auto next = [&] { return read_pickle(input, use_of_global); };

    const bool magic = looks_like_pickle() && is_magic(next());
    CAVMAE_CHECK_AS(CheckpointError, magic, file.name(),
                    ": is no PyTorch checkpoint (neither zip nor the older format)");
    const Pickle protocol = next();
    CAVMAE_CHECK_AS(CheckpointError, protocol.root->is(Kind::integer) && protocol.root->integer == kProtocol,
                    file.name(), ": the checkpoint's protocol is not ", kProtocol, "; the file is damaged");
    const Pickle system = next();
    const auto* little = system.root->find("little_endian");
    CAVMAE_CHECK_AS(CheckpointError, little != nullptr && little->integer == 1, file.name(),
                    ": the checkpoint was not written on a little-endian machine; save it on one");
    pickle_ = next();
    const Pickle keys = next();
    find_storages(keys, input.position());
  }

  const Pickle& pickle() const override { return pickle_; }

  void read(const PthStorage& storage, void* out) const override {
    const auto found = places_.find(storage.key);
    CAVMAE_CHECK_AS(CheckpointError, found != places_.end(), file_.name(), ": storage '",
                    printable(storage.key), "' is missing; the file is damaged");
    CAVMAE_CHECK_AS(CheckpointError, found->second.num_bytes == storage.num_bytes(), file_.name(),
                    ": storage '", printable(storage.key),
                    "' is described in two sizes; the file is damaged");
    file_.read(found->second.position, out, storage.num_bytes());
  }

 private:
  struct Place {
    uint64_t position = 0, num_bytes = 0;
  };

  bool looks_like_pickle() const {
    uint8_t first = 0;
    if (file_.size() > 0) file_.read(0, &first, 1);
    return first == 0x80;
  }

  static bool is_magic(const Pickle& pickle) {
    return pickle.root->is(Kind::big_integer) && pickle.root->text == kMagic;
  }

  // The types of the storages stand in the object's pickle, their order in the list of keys.
  void find_storages(const Pickle& keys, uint64_t position) {
    std::unordered_map<std::string, PthStorage> described;
    for (const auto& value : pickle_.values)
      if (value.is(Kind::persistent)) {
        auto storage = parse_storage(value, file_.name());
        described.emplace(storage.key, std::move(storage));
      }
    CAVMAE_CHECK_AS(CheckpointError, keys.root->is(Kind::list), file_.name(),
                    ": the list of storages is missing; the file is damaged");
    for (const auto* key : keys.root->items) {
      const auto found = described.find(key->text);
      int64_t num_elements = 0;
      file_.read(position, &num_elements, sizeof num_elements);
      position += sizeof num_elements;
      CAVMAE_CHECK_AS(CheckpointError, found != described.end() && found->second.num_elements == num_elements,
                      file_.name(), ": storage '", printable(key->text),
                      "' is not what the tensors describe; the file is damaged");
      const Place place{position, found->second.num_bytes()};
      CAVMAE_CHECK_AS(CheckpointError, place.num_bytes <= file_.size() - position, file_.name(),
                      ": storage '", printable(key->text),
                      "' runs past the end; the file is truncated, copy or download it again");
      position += place.num_bytes;
      places_[key->text] = place;
    }
  }

  const FileReader& file_;
  Pickle pickle_;
  std::unordered_map<std::string, Place> places_;
};

}  // namespace

std::unique_ptr<PthContents> open_legacy_pth(const FileReader& file) {
  return std::make_unique<LegacyContents>(file);
}

}  // namespace cavmae
