#include "cavmae/tensorfile/pth_contents.h"

#include <unordered_map>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/tensorfile/pth_globals.h"
#include "cavmae/tensorfile/zip_reader.h"

namespace cavmae {
namespace {

using Kind = PickleValue::Kind;

Pickle read_from_zip(const FileReader& file, const ZipReader& zip, const ZipReader::Entry& entry) {
  const PickleLimits limits;
  CAVMAE_CHECK_AS(CheckpointError, entry.size <= limits.bytes && entry.size <= file.size(), file.name(),
                  ": a pickle of ", entry.size, " bytes is no checkpoint's");
  std::string bytes(entry.size, '\0');
  zip.read(entry, bytes.data());
  PickleInput input(
      bytes.size(), [&](uint64_t at, void* out, uint64_t n) { bytes.copy(static_cast<char*>(out), n, at); },
      file.name());
  return read_pickle(input, use_of_global, limits);
}

// NAME/data.pkl is the pickle, NAME/data/KEY are the storages.
class ZipContents : public PthContents {
 public:
  explicit ZipContents(const FileReader& file) : file_(file), zip_(file) {
    for (const auto& [name, entry] : zip_.entries())
      if (const auto slash = name.find('/'); slash != std::string::npos && name.substr(slash) == "/data.pkl")
        folder_ = name.substr(0, slash + 1);
    CAVMAE_CHECK_AS(CheckpointError, !folder_.empty(), file.name(),
                    ": is a zip file without data.pkl, so no PyTorch checkpoint");
    check_byte_order();
    pickle_ = read_from_zip(file, zip_, zip_.at(folder_ + "data.pkl"));
  }

  const Pickle& pickle() const override { return pickle_; }

  void read(const PthStorage& storage, void* out) const override {
    const auto& entry = zip_.at(folder_ + "data/" + storage.key);
    CAVMAE_CHECK_AS(CheckpointError, entry.size == storage.num_bytes(), file_.name(), ": storage '",
                    printable(storage.key), "' has ", entry.size, " bytes where ", storage.num_bytes(),
                    " are due; the file is damaged");
    zip_.read(entry, out);
  }

 private:
  // Newer files name their byte order; older ones were written on little-endian machines.
  void check_byte_order() const {
    const auto found = zip_.entries().find(folder_ + "byteorder");
    if (found == zip_.entries().end() || found->second.size > 16) return;
    std::string order(found->second.size, '\0');
    zip_.read(found->second, order.data());
    CAVMAE_CHECK_AS(CheckpointError, order == "little", file_.name(), ": holds numbers in the byte order '",
                    printable(order), "'; save it on a little-endian machine");
  }

  const FileReader& file_;
  ZipReader zip_;
  std::string folder_;
  Pickle pickle_;
};

}  // namespace

PthStorage parse_storage(const PickleValue& persistent, const std::string& where) {
  const auto require = [&](bool ok) {
    CAVMAE_CHECK_AS(CheckpointError, ok, where,
                    ": a tensor's storage is described wrongly; the file is damaged");
  };
  require(persistent.is(Kind::persistent) && persistent.items[0]->is(Kind::tuple));
  const auto& id = persistent.items[0]->items;
  require(id.size() >= 5 && id[0]->is(Kind::text) && id[0]->text == "storage" && id[1]->is(Kind::global) &&
          (id[2]->is(Kind::text) || id[2]->is(Kind::integer)) && id[4]->is(Kind::integer));
  const auto type = storage_type(id[1]->text);
  CAVMAE_CHECK_AS(CheckpointError, type.has_value(), where, ": ", printable(id[1]->text),
                  " is no type of storage that cavmae reads");
  PthStorage storage{.key = id[2]->is(Kind::text) ? id[2]->text : std::to_string(id[2]->integer),
                     .type = *type,
                     .num_elements = id[4]->integer};
  constexpr int64_t kMaxElements = int64_t{1} << 50;
  require(storage.num_elements >= 0 && storage.num_elements <= kMaxElements);
  storage.view_elements = storage.num_elements;
  if (id.size() >= 6 && !id[5]->is(Kind::none)) {  // (key of the view, begin, elements), in files of 2017
    const auto& view = id[5]->items;
    require(id[5]->is(Kind::tuple) && view.size() == 3 && view[1]->is(Kind::integer) &&
            view[2]->is(Kind::integer));
    storage.view_begin = view[1]->integer, storage.view_elements = view[2]->integer;
    require(storage.view_begin >= 0 && storage.view_begin <= storage.num_elements &&
            storage.view_elements >= 0 && storage.view_elements <= storage.num_elements - storage.view_begin);
  }
  return storage;
}

std::unique_ptr<PthContents> open_zip_pth(const FileReader& file) {
  return std::make_unique<ZipContents>(file);
}

}  // namespace cavmae
