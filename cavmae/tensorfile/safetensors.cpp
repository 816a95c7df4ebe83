#include "cavmae/tensorfile/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <unordered_set>

#include "cavmae/core/error.h"
#include "cavmae/core/file_stream.h"
#include "cavmae/core/files.h"
#include "cavmae/core/text.h"
#include "cavmae/tensorfile/mapped_tensor.h"
#include "cavmae/tensorfile/safetensors_header.h"

namespace cavmae {
namespace {

static_assert(std::endian::native == std::endian::little, ".safetensors stores little-endian numbers");

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's reference reader

struct Dtype {
  const char* name;
  torch::ScalarType type;
};
constexpr std::array<Dtype, 10> kDtypes = {{{"F64", torch::kFloat64},
                                            {"F32", torch::kFloat32},
                                            {"F16", torch::kFloat16},
                                            {"BF16", torch::kBFloat16},
                                            {"I64", torch::kInt64},
                                            {"I32", torch::kInt32},
                                            {"I16", torch::kInt16},
                                            {"I8", torch::kInt8},
                                            {"U8", torch::kUInt8},
                                            {"BOOL", torch::kBool}}};

// Bytes of a tensor; CheckpointError when the shape's product does not fit 63 bits. Sizes of 0 count as 1
// for the limit, since LibTorch multiplies the others into strides.
uint64_t num_bytes(const SafetensorsEntry& entry, torch::ScalarType type, const std::string& where) {
  uint64_t bounded = c10::elementSize(type);
  bool empty = false;
  for (const int64_t size : entry.shape) {
    empty = empty || size == 0;
    const bool overflow =
        __builtin_mul_overflow(bounded, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &bounded);
    CAVMAE_CHECK_AS(CheckpointError, !overflow && bounded <= INT64_MAX, where, ": tensor '",
                    printable(entry.name),
                    "' has a shape that is too large: ", torch::IntArrayRef(entry.shape));
  }
  return empty ? 0 : bounded;
}

torch::ScalarType type_of(const SafetensorsEntry& entry, const std::string& where) {
  for (const auto& [name, type] : kDtypes)
    if (entry.dtype == name) return type;
  throw CheckpointError(concat(where, ": tensor '", printable(entry.name), "' has the dtype '",
                               printable(entry.dtype),
                               "'; F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL can be read"));
}

// The format wants every byte of the data to belong to exactly one tensor.
void check_ranges(const SafetensorsHeader& header, uint64_t data_bytes, const std::string& where) {
  std::vector<const SafetensorsEntry*> by_offset;
  for (const auto& entry : header.entries) by_offset.push_back(&entry);
  std::stable_sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t position = 0;
  for (const auto* entry : by_offset) {
    CAVMAE_CHECK_AS(CheckpointError, entry->begin <= entry->end && entry->end <= data_bytes, where,
                    ": tensor '", printable(entry->name), "' lies at bytes ", entry->begin, " to ",
                    entry->end, " of the data, which has ", data_bytes,
                    "; the file is truncated or damaged, copy or download it again");
    CAVMAE_CHECK_AS(CheckpointError, entry->begin == position, where, ": tensor '", printable(entry->name),
                    "' begins at byte ", entry->begin, " of the data where ", position,
                    " was due (a gap or an overlap); the file is damaged");
    position = entry->end;
  }
  CAVMAE_CHECK_AS(CheckpointError, position == data_bytes, where, ": ", data_bytes - position,
                  " bytes at the end belong to no tensor; the file is damaged");
}

// The type of an entry whose bytes are as many as its shape takes.
torch::ScalarType checked_type(const SafetensorsEntry& entry, const std::string& where) {
  const auto type = type_of(entry, where);
  const uint64_t bytes = num_bytes(entry, type, where);
  CAVMAE_CHECK_AS(CheckpointError, bytes == entry.end - entry.begin, where, ": tensor '",
                  printable(entry.name), "' ", entry.dtype, " ", torch::IntArrayRef(entry.shape), " takes ",
                  bytes, " bytes, the file has ", entry.end - entry.begin, " for it; the file is damaged");
  return type;
}

torch::Tensor read_tensor(const FileReader& file, const SafetensorsEntry& entry, uint64_t data_start) {
  const auto type = checked_type(entry, file.name());
  const uint64_t bytes = entry.end - entry.begin;
  auto tensor = torch::empty(entry.shape, torch::TensorOptions(type));
  file.read(data_start + entry.begin, tensor.data_ptr(), bytes);
  if (type == torch::kBool && bytes > 0) {
    const auto* values = static_cast<const uint8_t*>(tensor.data_ptr());
    CAVMAE_CHECK_AS(CheckpointError, std::all_of(values, values + bytes, [](uint8_t v) { return v <= 1; }),
                    file.name(), ": tensor '", printable(entry.name),
                    "' is BOOL and holds other bytes than 0 and 1; the file is damaged");
  }
  return tensor;
}

// `memory`: the whole file.
torch::Tensor map_tensor(const std::shared_ptr<const FileReader>& file, std::shared_ptr<char> memory,
                         const SafetensorsEntry& entry, uint64_t data_start, FileOnceMapped then) {
  const auto type = checked_type(entry, file->name());
  const uint64_t start = data_start + entry.begin;
  // Other programs' files need not be aligned.
  const bool mappable =
      entry.end > entry.begin && type != torch::kBool && start % c10::elementSize(type) == 0;
  if (!mappable) return read_tensor(*file, entry, data_start);
  return mapped_tensor(std::move(memory), start, entry.shape, type,
                       then == FileOnceMapped::stays_open ? file : nullptr);
}

struct FoundHeader {
  SafetensorsHeader header;
  uint64_t data_start = 0;  // where the tensors begin in the file
};

FoundHeader read_header(const FileReader& file) {
  CAVMAE_CHECK_AS(CheckpointError, file.size() >= 8, file.name(), ": has ", file.size(),
                  " bytes, too few for a .safetensors file");
  uint64_t header_bytes = 0;
  file.read(0, &header_bytes, sizeof header_bytes);
  CAVMAE_CHECK_AS(CheckpointError, header_bytes <= kMaxHeaderBytes && header_bytes <= file.size() - 8,
                  file.name(), ": a header of ", header_bytes, " bytes in a file of ", file.size(),
                  "; it is truncated, damaged or no .safetensors file");
  std::string text(header_bytes, '\0');
  file.read(8, text.data(), header_bytes);
  FoundHeader found{.header = parse_safetensors_header(text, file.name()), .data_start = 8 + header_bytes};
  check_ranges(found.header, file.size() - found.data_start, file.name());
  return found;
}

[[noreturn]] void throw_unknown(const std::string& name, const SafetensorsHeader& header,
                                const std::string& where) {
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : header.entries) names.push_back(entry.name);
  const std::string nearest = nearest_word(name, names);
  throw CheckpointError(concat(where, ": there is no tensor '", name, "' among ", names.size(),
                               nearest.empty() ? "" : " (did you mean '" + nearest + "'?)"));
}

// The entries in the given order. The data is laid out widest type first, so that each tensor lies at a
// multiple of its element size, as some readers want it; `order` receives that order.
SafetensorsHeader plan(const NamedTensors& tensors, std::vector<size_t>& order) {
  SafetensorsHeader header;
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    CAVMAE_CHECK(tensor.defined() && tensor.layout() == torch::kStrided && !tensor.is_quantized(), "tensor '",
                 name, "' is undefined, sparse or quantized, which .safetensors cannot hold");
    CAVMAE_CHECK(name != "__metadata__" && names.insert(name).second, "two tensors are called '", name,
                 "' (or it is a reserved name)");
    const auto dtype =
        std::find_if(kDtypes.begin(), kDtypes.end(),
                     [&, type = tensor.scalar_type()](const Dtype& d) { return d.type == type; });
    CAVMAE_CHECK(dtype != kDtypes.end(), "tensor '", name, "' has the type ", tensor.scalar_type(),
                 ", which .safetensors cannot hold");
    header.entries.push_back({.name = name, .dtype = dtype->name, .shape = tensor.sizes().vec()});
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return tensors[a].second.element_size() > tensors[b].second.element_size();
  });
  uint64_t position = 0;
  for (const size_t i : order) {
    header.entries[i].begin = position;
    header.entries[i].end = position += tensors[i].second.nbytes();
  }
  return header;
}

}  // namespace

const torch::Tensor* TensorFile::find(const std::string& name) const {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return &tensor;
  return nullptr;
}

const torch::Tensor& TensorFile::at(const std::string& name) const {
  if (const auto* tensor = find(name)) return *tensor;
  std::vector<std::string> names;
  for (const auto& [key, tensor] : tensors) names.push_back(key);
  const std::string nearest = nearest_word(name, names);
  throw CheckpointError(concat("there is no tensor '", name, "' among ", names.size(),
                               nearest.empty() ? "" : " (did you mean '" + nearest + "'?)"));
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  const FileReader file(path);
  auto [header, data_start] = read_header(file);
  TensorFile result;
  result.metadata = std::move(header.metadata);
  for (const auto& entry : header.entries)
    result.tensors.emplace_back(entry.name, read_tensor(file, entry, data_start));
  return result;
}

const TensorInfo* TensorFileInfo::find(const std::string& name) const {
  for (const TensorInfo& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

TensorFileInfo inspect_safetensors(const std::filesystem::path& path) {
  SafetensorsHeader header = read_header(FileReader(path)).header;
  TensorFileInfo info;
  info.metadata = std::move(header.metadata);
  for (SafetensorsEntry& entry : header.entries) {
    const auto type = checked_type(entry, path.string());
    info.tensors.push_back({.name = std::move(entry.name), .type = type, .shape = std::move(entry.shape)});
  }
  return info;
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) {
  return read_header(FileReader(path)).header.metadata;
}

torch::Tensor map_safetensors(const std::filesystem::path& path, const std::string& name) {
  const auto file = std::make_shared<const FileReader>(path);
  const FoundHeader found = read_header(*file);
  const SafetensorsHeader& header = found.header;
  const auto entry = std::ranges::find(header.entries, name, &SafetensorsEntry::name);
  if (entry == header.entries.end()) throw_unknown(name, header, path.string());
  return map_tensor(file, file->map(), *entry, found.data_start, FileOnceMapped::is_closed);
}

TensorFile map_safetensors(const std::filesystem::path& path, FileOnceMapped then) {
  const auto file = std::make_shared<const FileReader>(path);
  auto [header, data_start] = read_header(*file);
  const std::shared_ptr<char> memory = file->map();
  TensorFile result;
  result.metadata = std::move(header.metadata);
  for (const auto& entry : header.entries)
    result.tensors.emplace_back(entry.name, map_tensor(file, memory, entry, data_start, then));
  return result;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<size_t> order;
  SafetensorsHeader header = plan(tensors, order);
  header.metadata = metadata;
  const std::string text = format_safetensors_header(header);
  const uint64_t header_bytes = text.size();
  CAVMAE_CHECK(header_bytes <= kMaxHeaderBytes, path.string(), ": the names and metadata take ", header_bytes,
               " bytes; .safetensors allows ", kMaxHeaderBytes);
  require_free_space(path, 8 + header_bytes + (order.empty() ? 0 : header.entries[order.back()].end));

  write_file_with(path, [&](const std::filesystem::path& temporary) {
    FileWriter out(temporary, path);
    out.write(&header_bytes, sizeof header_bytes);
    out.write(text.data(), text.size());
    for (const size_t i : order) {
      // One tensor at a time, so that a copy (from a device, of a view) never doubles the whole file.
      const auto plain = tensors[i].second.detach().resolve_neg().to(torch::kCPU).contiguous();
      out.write(plain.data_ptr(), plain.nbytes());
    }
    out.close();
  });
}

}  // namespace cavmae
