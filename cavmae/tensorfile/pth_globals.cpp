#include "cavmae/tensorfile/pth_globals.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace cavmae {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 10> kRecorded = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "torch.Size",
    "torch.Tensor",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch.nn.parameter.Parameter",
};

constexpr std::pair<std::string_view, torch::ScalarType> kStorages[] = {
    {"DoubleStorage", torch::kFloat64},
    {"FloatStorage", torch::kFloat32},
    {"HalfStorage", torch::kFloat16},
    {"BFloat16Storage", torch::kBFloat16},
    {"LongStorage", torch::kInt64},
    {"IntStorage", torch::kInt32},
    {"ShortStorage", torch::kInt16},
    {"CharStorage", torch::kInt8},
    {"ByteStorage", torch::kUInt8},
    {"BoolStorage", torch::kBool},
    {"ComplexFloatStorage", torch::kComplexFloat},
    {"ComplexDoubleStorage", torch::kComplexDouble},
    // Of tensors that are not read; the size of their elements is wanted.
    {"QInt8Storage", torch::kInt8},
    {"QUInt8Storage", torch::kUInt8},
    {"QInt32Storage", torch::kInt32},
    {"storage.UntypedStorage", torch::kUInt8},
};

// Protocols before 3 give some modules the names that they had in Python 2.
constexpr std::pair<std::string_view, std::string_view> kOldModules[] = {
    {"UserDict.IterableUserDict", "collections.UserDict"},
    {"UserDict.UserDict", "collections.UserDict"},
    {"UserList.", "collections."},
    {"__builtin__.", "builtins."},
    {"copy_reg.", "copyreg."},
    {"numpy._core.", "numpy.core."},
    {"pathlib._local.", "pathlib."},
};

constexpr std::string_view kPython[] = {
    "_codecs.encode",  // bytes, in protocols before 3
    "argparse.Namespace",
    "builtins.Ellipsis",
    "builtins.NotImplemented",
    "builtins.bool",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.dict",
    "builtins.float",
    "builtins.frozenset",
    "builtins.int",
    "builtins.list",
    "builtins.long",
    "builtins.object",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "builtins.type",  // of None and the like
    "builtins.unicode",
    "builtins.xrange",
    "collections.ChainMap",
    "collections.Counter",
    "collections.UserDict",
    "collections.UserList",
    "collections.deque",
    "copyreg.__newobj__",
    "copyreg._reconstructor",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "re._compile",
    "time.struct_time",
    "types.SimpleNamespace",
    "typing.Any",
    "uuid.UUID",
};

// Numbers and arrays, and the state of random generators.
constexpr std::string_view kNumpy[] = {
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.ma.core.MaskedArray",
    "numpy.ma.core._mareconstruct",
    "numpy.matrix",
    "numpy.matrixlib.defmatrix.matrix",
    "numpy.ndarray",
    "numpy.rec.recarray",
    "numpy.recarray",
    "numpy.record",
    "numpy.random._mt19937.MT19937",
    "numpy.random._pcg64.PCG64",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
};

// The scalar types as values: numpy.float64, numpy.bool_, ...
constexpr std::string_view kNumpyScalars[] = {
    "bool",   "bool_",   "bytes_",  "cdouble",  "complex128", "complex64", "csingle", "datetime64",
    "double", "float16", "float32", "float64",  "half",       "int16",     "int32",   "int64",
    "int8",   "int_",    "intc",    "longlong", "object_",    "single",    "str_",    "timedelta64",
    "uint16", "uint32",  "uint64",  "uint8",    "ulonglong",  "void",
};

// Of torch: types, devices and layouts as values, and tensors of kinds that no network of ours has.
constexpr std::string_view kTorch[] = {
    "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    "torch._utils._rebuild_device_tensor_from_numpy",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_csr_tensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_wrapper_subclass",
    "torch.channels_last",
    "torch.contiguous_format",
    "torch.device",
    "torch.per_channel_affine",
    "torch.per_tensor_affine",
    "torch.preserve_format",
    "torch.serialization._get_layout",
    "torch.sparse_coo",
    "torch.sparse_csr",
    "torch.strided",
    "torch.torch_version.TorchVersion",
};

constexpr std::string_view kTorchTypes[] = {
    "bfloat16", "bool",  "chalf",   "cdouble", "cfloat",  "complex128",    "complex32",   "complex64",
    "double",   "float", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "half",
    "int",      "int16", "int32",   "int64",   "int8",    "long",          "qint32",      "qint8",
    "quint8",   "short", "uint16",  "uint32",  "uint64",  "uint8",
};

// Options and the state of training programs.
constexpr std::string_view kTrainers[] = {
    "addict.addict.Dict",
    "box.box.Box",
    "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler",
    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
    "deepspeed.runtime.zero.config.ZeroStageEnum",
    "easydict.EasyDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "ml_collections.config_dict.config_dict.ConfigDict",
    "ml_collections.config_dict.config_dict.FrozenConfigDict",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "munch.Munch",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "yacs.config.CfgNode",
};

// Modules whose classes are all of this kind.
constexpr std::string_view kTrainerModules[] = {
    "lightning.pytorch.callbacks.",  // names of callbacks, which are keys of dictionaries
    "omegaconf.",
    "pytorch_lightning.callbacks.",
};

bool is_one_of(std::string_view name, Names names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_one_of(std::string_view name, std::string_view module, Names names) {
  return name.starts_with(module) && is_one_of(name.substr(module.size()), names);
}

// Under today's name of the module.
std::string todays_name(const std::string& name) {
  for (const auto& [old, now] : kOldModules)
    if (name.starts_with(old)) return std::string(now) + name.substr(old.size());
  return name;
}

bool is_opaque(const std::string& given) {
  const std::string name = todays_name(given);
  const auto in_module = [&](std::string_view module) { return name.starts_with(module); };
  return is_one_of(name, kPython) || is_one_of(name, kNumpy) || is_one_of(name, kTorch) ||
         is_one_of(name, kTrainers) || is_one_of(name, "numpy.", kNumpyScalars) ||
         is_one_of(name, "torch.", kTorchTypes) ||
         std::any_of(std::begin(kTrainerModules), std::end(kTrainerModules), in_module);
}

}  // namespace

std::optional<torch::ScalarType> storage_type(std::string_view name) {
  for (const std::string_view module : {"torch.", "torch.cuda."})
    for (const auto& [storage, type] : kStorages)
      if (name.starts_with(module) && name.substr(module.size()) == storage) return type;
  return std::nullopt;
}

GlobalUse use_of_global(const std::string& name) {
  if (is_one_of(name, kRecorded) || storage_type(name)) return GlobalUse::record;
  return is_opaque(name) ? GlobalUse::opaque : GlobalUse::refuse;
}

}  // namespace cavmae
