#include <array>
#include <cstring>
#include <exception>
#include <unordered_set>

#include <caffe2/serialize/inline_container.h>

#include "cavmae/core/error.h"
#include "cavmae/core/file_stream.h"
#include "cavmae/core/files.h"
#include "cavmae/tensorfile/pickle_opcodes.h"
#include "cavmae/tensorfile/pth.h"

namespace cavmae {
namespace {

using namespace pickle_opcodes;

const char* storage_class_of(const std::string& name, torch::ScalarType type) {
  switch (type) {
    case torch::kFloat64:
      return "DoubleStorage";
    case torch::kFloat32:
      return "FloatStorage";
    case torch::kFloat16:
      return "HalfStorage";
    case torch::kBFloat16:
      return "BFloat16Storage";
    case torch::kInt64:
      return "LongStorage";
    case torch::kInt32:
      return "IntStorage";
    case torch::kInt16:
      return "ShortStorage";
    case torch::kInt8:
      return "CharStorage";
    case torch::kUInt8:
      return "ByteStorage";
    case torch::kBool:
      return "BoolStorage";
    default:
      throw Error(concat("tensor '", name, "' has the type ", type, ", which a .pth is not written with"));
  }
}

// The pickle of an OrderedDict of tensors, as torch.save() would write it but without back references.
class Pickler {
 public:
  Pickler() { out_ = std::string{static_cast<char>(kProto), 2}; }

  std::string run(const NamedTensors& tensors) {
    ordered_dict();
    code(kMark);
    for (size_t i = 0; i < tensors.size(); ++i) {
      text(tensors[i].first);
      tensor(tensors[i].first, tensors[i].second, std::to_string(i));
    }
    code(kSetItems);
    code(kStop);
    return std::move(out_);
  }

 private:
  void code(Opcode opcode) { out_ += static_cast<char>(opcode); }
  template <class T>
  void number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    code(kBinUnicode);
    number(static_cast<uint32_t>(value.size()));
    out_ += value;
  }
  void integer(int64_t value) {
    code(kLong1);
    number(uint8_t{8});
    number(value);
  }
  void integers(torch::IntArrayRef values) {
    code(kMark);
    for (const int64_t value : values) integer(value);
    code(kTuple);
  }
  void global(const std::string& module, const std::string& name) {
    code(kGlobal);
    out_ += module + "\n" + name + "\n";
  }
  void ordered_dict() {
    global("collections", "OrderedDict");
    code(kEmptyTuple);
    code(kReduce);
  }

  // _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks)
  void tensor(const std::string& name, const torch::Tensor& value, const std::string& key) {
    global("torch._utils", "_rebuild_tensor_v2");
    code(kMark);
    code(kMark);
    text("storage");
    global("torch", storage_class_of(name, value.scalar_type()));
    text(key);
    text("cpu");
    integer(value.numel());
    code(kTuple);
    code(kBinPersId);
    integer(0);
    integers(value.sizes());
    integers(torch::empty(value.sizes(), torch::TensorOptions(torch::kMeta)).strides());
    code(kNewFalse);
    ordered_dict();
    code(kTuple);
    code(kReduce);
  }

  std::string out_;
};

void check_writable(const NamedTensors& tensors) {
  std::unordered_set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    CAVMAE_CHECK(tensor.defined() && tensor.layout() == torch::kStrided && !tensor.is_quantized(), "tensor '",
                 name, "' is undefined, sparse or quantized, which a .pth is not written with");
    CAVMAE_CHECK(names.insert(name).second, "two tensors are called '", name, "'");
  }
}

}  // namespace

void write_pth(const std::filesystem::path& path, const NamedTensors& tensors) {
  check_writable(tensors);
  const std::string pickle = Pickler().run(tensors);
  uint64_t total = pickle.size();
  constexpr uint64_t kRecordOverhead = 512;  // headers and alignment of a record, at most
  for (const auto& [name, tensor] : tensors) total += tensor.nbytes() + kRecordOverhead;
  require_free_space(path, total);

  write_file_with(path, [&](const std::filesystem::path& temporary) {
    FileWriter out(temporary, path);
    // LibTorch's writer ends the process when its sink fails (its destructor throws), so the sink never does:
    // the first failure is kept, the rest dropped.
    std::exception_ptr failure;
    const auto sink = [&](const void* data, size_t bytes) -> size_t {
      try {
        if (!failure) out.write(data, bytes);
      } catch (...) {
        failure = std::current_exception();
      }
      return bytes;
    };
    caffe2::serialize::PyTorchStreamWriter writer(sink);
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    for (size_t i = 0; i < tensors.size() && !failure; ++i) {
      const auto plain = tensors[i].second.detach().resolve_neg().to(torch::kCPU).contiguous();
      writer.writeRecord("data/" + std::to_string(i), plain.data_ptr(), plain.nbytes());
    }
    writer.writeEndOfFile();
    if (failure) std::rethrow_exception(failure);
    out.close();
  });
}

}  // namespace cavmae
