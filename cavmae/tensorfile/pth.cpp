#include "cavmae/tensorfile/pth.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/tensorfile/pth_contents.h"
#include "cavmae/tensorfile/zip_reader.h"

namespace cavmae {
namespace {

using Kind = PickleValue::Kind;
using Arguments = std::span<const PickleValue* const>;

// No checkpoint comes near these; a hostile one can refer to the same values again and again.
constexpr int kMaxDepth = 32;
constexpr size_t kMaxVisited = 2'000'000;    // dicts, lists, tuples and tensors
constexpr size_t kMaxSearched = 64'000'000;  // items in them
constexpr size_t kMaxNameLetters = 1024, kMaxDims = 64;

bool is_tensor(const PickleValue& value) {
  return value.is(Kind::call) && value.items[0]->text.find("._rebuild_") != std::string::npos;
}

// A tensor as the pickle describes it: a view of a storage.
struct TensorView {
  std::string holder, key, name;
  PthStorage storage;
  int64_t offset = 0;  // in elements of the storage's own view
  std::vector<int64_t> sizes, strides;

  bool empty() const { return std::find(sizes.begin(), sizes.end(), 0) != sizes.end(); }
};

void require(bool ok, const FileReader& file, const std::string& tensor, const char* problem) {
  CAVMAE_CHECK_AS(CheckpointError, ok, file.name(), ": tensor '", printable(tensor), "' ", problem,
                  "; the file is damaged");
}

// Finds the tensors among the values of a pickle.
class TensorCollector {
 public:
  TensorCollector(const FileReader& file, const PthContents& contents) : file_(file), contents_(contents) {}

  std::vector<TensorView> run() {
    collect(*contents_.pickle().root, "", "", 0);
    CAVMAE_CHECK_AS(CheckpointError, !tensors_.empty(), file_.name(), ": holds no tensors");
    return std::move(tensors_);
  }

 private:
  void require(bool ok, const char* problem) const { cavmae::require(ok, file_, name_, problem); }

  static bool may_hold_tensors(const PickleValue& value) {
    return is_tensor(value) || value.is(Kind::dict) || value.is(Kind::list) || value.is(Kind::tuple);
  }

  void collect(const PickleValue& value, const std::string& holder, const std::string& key, int depth) {
    if (!may_hold_tensors(value)) return;
    num_searched_ += value.items.size();
    CAVMAE_CHECK_AS(CheckpointError,
                    depth <= kMaxDepth && ++num_visited_ <= kMaxVisited && num_searched_ <= kMaxSearched,
                    file_.name(), ": its values are nested without end; the file is damaged");
    const std::string name = holder.empty() ? key : holder + "." + key;
    CAVMAE_CHECK_AS(CheckpointError, name.size() <= kMaxNameLetters, file_.name(), ": a name is longer than ",
                    kMaxNameLetters, " letters: '", printable(name), "'");
    if (is_tensor(value)) {
      name_ = name.empty() ? "tensor" : name;  // torch.save(tensor) gives it no name
      require(names_.insert(name_).second, "is there twice");
      tensors_.push_back(build(value.items[0]->text, Arguments(value.items).subspan(1), 0));
      tensors_.back().holder = holder;
      tensors_.back().key = name.empty() ? name_ : key;
    } else if (value.is(Kind::dict)) {
      for (size_t i = 0; i < value.items.size(); i += 2) {
        const auto& item_key = *value.items[i];
        if (item_key.is(Kind::text)) collect(*value.items[i + 1], name, item_key.text, depth + 1);
        if (item_key.is(Kind::integer))
          collect(*value.items[i + 1], name, std::to_string(item_key.integer), depth + 1);
      }
    } else {
      for (size_t i = 0; i < value.items.size(); ++i)
        collect(*value.items[i], name, std::to_string(i), depth + 1);
    }
  }

  // What the function of that name would make of the arguments.
  TensorView build(const std::string& function, Arguments args, int depth) {
    require(depth <= kMaxDepth, "is wrapped without end");
    if (function == "torch._tensor._rebuild_from_type_v2") {  // (function, type, arguments, attributes)
      require(args.size() >= 3 && args[0]->is(Kind::global) && args[2]->is(Kind::tuple), "has no contents");
      return build(args[0]->text, args[2]->items, depth + 1);
    }
    if (function.starts_with("torch._utils._rebuild_parameter")) {  // (tensor, requires_grad, hooks)
      require(!args.empty() && is_tensor(*args[0]), "has no contents");
      return build(args[0]->items[0]->text, Arguments(args[0]->items).subspan(1), depth + 1);
    }
    require(function.starts_with("torch._utils._rebuild_tensor") && args.size() >= 4 &&
                args[0]->is(Kind::persistent) && args[1]->is(Kind::integer),
            "has no contents");
    TensorView view{.holder = {},
                    .key = {},
                    .name = name_,
                    .storage = parse_storage(*args[0], file_.name()),
                    .offset = args[1]->integer,
                    .sizes = integers(*args[2]),
                    .strides = integers(*args[3])};
    check(view);
    return view;
  }

  // A tuple of numbers none of which is below 0; torch.Size is one too.
  std::vector<int64_t> integers(const PickleValue& value) const {
    if (value.calls("torch.Size") && value.items.size() == 2 && value.items[1]->is(Kind::tuple))
      return integers(*value.items[1]);
    require(value.is(Kind::tuple) && value.items.size() <= kMaxDims, "has no shape");
    std::vector<int64_t> numbers;
    for (const auto* item : value.items) {
      require(item->is(Kind::integer) && item->integer >= 0, "has a shape that is not possible");
      numbers.push_back(item->integer);
    }
    return numbers;
  }

  // Whether the view lies within its storage.
  void check(const TensorView& view) const {
    require(view.sizes.size() == view.strides.size(), "has as many sizes as strides");
    // 128 bits cannot overflow: sums are compared with the storage's size after every step.
    __extension__ typedef unsigned __int128 Wide;
    const Wide available = static_cast<Wide>(view.storage.view_elements);
    const bool empty = view.empty();
    Wide last = static_cast<Wide>(view.offset), count = 1;
    require(view.offset >= 0 && last <= available, "begins past the end of its storage");
    for (size_t i = 0; i < view.sizes.size(); ++i) {
      count *= static_cast<Wide>(std::max<int64_t>(view.sizes[i], 1));
      require(count <= (Wide{1} << 50), "has a shape that is not possible");
      if (empty) continue;
      last += static_cast<Wide>(view.sizes[i] - 1) * static_cast<Wide>(view.strides[i]);
      require(last < available, "reaches past the end of its storage");
    }
    require(empty || (last < available && count <= available), "shows more elements than its storage has");
  }

  const FileReader& file_;
  const PthContents& contents_;
  std::vector<TensorView> tensors_;
  std::unordered_set<std::string> names_;
  std::string name_;  // of the tensor that is being built
  size_t num_visited_ = 0, num_searched_ = 0;
};

// Reads storages, each once for all its views.
class StorageReader {
 public:
  StorageReader(const FileReader& file, const PthContents& contents) : file_(file), contents_(contents) {}

  torch::Tensor read(const TensorView& view) {
    if (view.empty()) return torch::empty(view.sizes, torch::TensorOptions(view.storage.type));
    return load(view).as_strided(view.sizes, view.strides, view.storage.view_begin + view.offset);
  }

 private:
  // The view's storage as a flat tensor.
  torch::Tensor load(const TensorView& view) {
    const PthStorage& storage = view.storage;
    const auto require = [&](bool ok, const char* problem) {
      cavmae::require(ok, file_, view.name, problem);
    };
    auto [found, inserted] = storages_.try_emplace(storage.key);
    torch::Tensor& flat = found->second;
    if (!inserted) {
      require(flat.scalar_type() == storage.type && flat.numel() == storage.num_elements,
              "has a storage that others describe in another way");
      return flat;
    }
    num_bytes_ += storage.num_bytes();
    require(storage.num_bytes() <= file_.size() && num_bytes_ <= file_.size(), "is larger than the file");
    flat = torch::empty({storage.num_elements}, torch::TensorOptions(storage.type));
    contents_.read(storage, flat.data_ptr());
    if (storage.type == torch::kBool) {
      const auto* values = static_cast<const uint8_t*>(flat.data_ptr());
      require(std::all_of(values, values + flat.numel(), [](uint8_t v) { return v <= 1; }),
              "is of bool and holds other bytes than 0 and 1");
    }
    return flat;
  }

  const FileReader& file_;
  const PthContents& contents_;
  std::unordered_map<std::string, torch::Tensor> storages_;
  uint64_t num_bytes_ = 0;
};

std::unique_ptr<PthContents> open_pth(const FileReader& file) {
  return ZipReader::matches(file) ? open_zip_pth(file) : open_legacy_pth(file);
}

}  // namespace

struct PthFile::Parts {
  explicit Parts(const std::filesystem::path& path) : file(path), contents(open_pth(file)) {
    views = TensorCollector(file, *contents).run();
    for (const TensorView& view : views)
      tensors.push_back(
          {.holder = view.holder, .key = view.key, .type = view.storage.type, .shape = view.sizes});
  }

  FileReader file;
  std::unique_ptr<PthContents> contents;
  std::vector<TensorView> views;
  std::vector<PthTensor> tensors;
};

PthFile::PthFile(const std::filesystem::path& path) : parts_(std::make_unique<Parts>(path)) {}
PthFile::~PthFile() = default;

const std::vector<PthTensor>& PthFile::tensors() const {
  return parts_->tensors;
}

std::vector<torch::Tensor> PthFile::read(const std::vector<size_t>& places) const {
  StorageReader storages(parts_->file, *parts_->contents);
  std::vector<torch::Tensor> tensors;
  for (const size_t place : places) tensors.push_back(storages.read(parts_->views.at(place)));
  return tensors;
}

NamedTensors read_pth(const std::filesystem::path& path) {
  const PthFile file(path);
  std::vector<size_t> all(file.tensors().size());
  std::iota(all.begin(), all.end(), size_t{0});
  const std::vector<torch::Tensor> read = file.read(all);
  NamedTensors tensors;
  for (size_t i = 0; i < all.size(); ++i) tensors.emplace_back(file.tensors()[i].name(), read[i]);
  return tensors;
}

std::vector<TensorInfo> inspect_pth(const std::filesystem::path& path) {
  const PthFile file(path);
  std::vector<TensorInfo> infos;
  for (const PthTensor& tensor : file.tensors())
    infos.push_back({.name = tensor.name(), .type = tensor.type, .shape = tensor.shape});
  return infos;
}

NamedTensors strip_prefix(NamedTensors tensors, const std::string& prefix) {
  for (auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  return tensors;
}

}  // namespace cavmae
