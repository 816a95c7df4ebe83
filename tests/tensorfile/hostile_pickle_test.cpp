// Pickles that a checkpoint from a stranger could hold, in the older container, which has no checksums.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/tensorfile/pickle.h"
#include "cavmae/tensorfile/pth.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

// ---- a small assembler

std::string raw(std::initializer_list<int> bytes) {
  std::string out;
  for (const int b : bytes) out += static_cast<char>(b);
  return out;
}
template <class T>
std::string number(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
std::string proto() {
  return raw({0x80, 2});
}
std::string text(const std::string& s) {
  return "X" + number(static_cast<uint32_t>(s.size())) + s;
}
std::string integer(int64_t value) {
  return raw({0x8a, 8}) + number(value);
}
std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string integers(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (const int64_t v : values) out += integer(v);
  return out + "t";
}
std::string storage(const std::string& key, int64_t elements, const std::string& view = "N") {
  return "(" + text("storage") + global("torch", "FloatStorage") + text(key) + text("cpu") +
         integer(elements) + view + "tQ";
}
std::string tensor(const std::string& storage_code, int64_t offset, const std::vector<int64_t>& sizes,
                   const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage_code + integer(offset) +
         integers(sizes) + integers(strides) + raw({0x89}) + "}tR";
}
std::string dict(const std::string& items) {
  return "}(" + items + "u";
}

// A whole file around the object's pickle, with one storage "0" of six floats where the object names a
// storage.
std::string file_around(const std::string& object) {
  const bool has_storage = object.find("FloatStorage") != std::string::npos;
  std::string out = proto() + raw({0x8a, 10}) + "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  out += proto() + "M\xe9\x03.";
  out += proto() + dict(text("little_endian") + raw({0x88})) + ".";
  out += proto() + object + ".";
  out += proto() + "](" + (has_storage ? text("0") : "") + "e.";
  if (!has_storage) return out;
  out += number(int64_t{6});
  for (int i = 0; i < 6; ++i) out += number(static_cast<float>(i));
  return out;
}

NamedTensors read_object(const std::string& object) {
  TemporaryFolder folder;
  write_file(folder / "x.pth", file_around(object));
  return read_pth(folder / "x.pth");
}
std::string error_of(const std::string& object) {
  return message_from<CheckpointError>([&] { read_object(object); });
}

const std::string kGood = tensor(storage("0", 6), 0, {2, 3}, {3, 1});

TEST(HostilePickle, TheAssemblerMakesAReadableFile) {
  const auto tensors = read_object(dict(text("w") + kGood));
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].first, "w");
  EXPECT_TRUE(torch::equal(tensors[0].second, torch::arange(6, torch::kFloat32).reshape({2, 3})));
}

TEST(InspectPth, OfAnOldFileReadsThePicklesAlone) {
  // 20 GB of numbers of which none is on the disk: reading them would take minutes and the memory.
  constexpr int64_t kElements = 5'000'000'000;
  TemporaryFolder folder;
  std::string file =
      file_around(dict(text("w") + tensor(storage("0", kElements), 0, {kElements / 100, 100}, {100, 1})));
  file.resize(file.size() - 6 * sizeof(float) - sizeof(int64_t));
  file += number(kElements);
  write_file(folder / "x.pth", file);
  std::filesystem::resize_file(folder / "x.pth", file.size() + kElements * sizeof(float));
  const auto tensors = inspect_pth(folder / "x.pth");
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_EQ(tensors[0].type, torch::kFloat32);
  EXPECT_THAT(tensors[0].shape, ElementsAre(kElements / 100, 100));
  std::filesystem::resize_file(folder / "x.pth", file.size() + 1000);
  EXPECT_THAT(message_from<CheckpointError>([&] { inspect_pth(folder / "x.pth"); }),
              HasSubstr("runs past the end"));
}

TEST(HostilePickle, UnknownGlobalsAreNamedAndNeverRun) {
  EXPECT_THAT(error_of(dict(text("w") + global("os", "system") + "(" + text("touch /tmp/x") + "tR")),
              AllOf(HasSubstr("x.pth"), HasSubstr("asks for os.system under 'w', which cavmae never runs")));
  EXPECT_THAT(error_of(text("builtins") + text("eval") + raw({0x93})), HasSubstr("builtins.eval"));
  EXPECT_THAT(error_of(global("torch", "load")), HasSubstr("asks for torch.load as the whole object"));
  // Wherever it is: in a list, in options, in what an object is made of, as a key.
  const std::string bad = global("__main__", "Config");
  EXPECT_THAT(error_of(dict(text("a") + dict(text("b") + "](N" + bad + "e"))),
              HasSubstr("asks for __main__.Config under 'a.b.1'"));
  EXPECT_THAT(error_of(dict(text("hyper_parameters") + global("argparse", "Namespace") + ")" + raw({0x81}) +
                            dict(text("cfg") + bad) + "b")),
              HasSubstr("under 'hyper_parameters.cfg'"));
  EXPECT_THAT(error_of(dict(text("x") + global("collections", "Counter") + "(" + bad + "tR")),
              HasSubstr("under 'x'"));
  EXPECT_THAT(error_of(dict(bad + kGood)), HasSubstr("__main__.Config"));
  EXPECT_THAT(error_of(dict(text("x") + bad + text("y") + global("os", "system"))),
              AllOf(HasSubstr("__main__.Config under 'x'"), HasSubstr("os.system under 'y'")));
  // What was dropped again, or stands in a file that ends too early, is named all the same.
  EXPECT_THAT(error_of(bad + "0N"), HasSubstr("__main__.Config"));
  EXPECT_THAT(error_of(bad + "t"), HasSubstr("__main__.Config"));
  EXPECT_THAT(error_of(global("torch._utils", "_rebuild_tensor_v2.__globals__")), HasSubstr("never runs"));
  // What goes to a terminal is printable and short.
  const auto message = error_of(global("\x1b[31m", std::string(900, 'a')));
  EXPECT_THAT(message, AllOf(HasSubstr("?[31m.aaa"), Not(HasSubstr("\x1b"))));
  EXPECT_LT(message.size(), 400u);
  EXPECT_THAT(error_of("c" + std::string(5000, 'a') + "\nb\n"), HasSubstr("longer than 1024"));
}

TEST(HostilePickle, InstructionsThatPyTorchDoesNotUseAreErrors) {
  for (const char code : {'i', 'o', 'P', 'I', 'L', 'F', 'S', 'V', '\x82', '\x97', '\x98', '\x00'})
    EXPECT_THAT(error_of(std::string(1, code)), HasSubstr("does not occur in PyTorch's files")) << code;
}

TEST(HostilePickle, UnderflowsAndStrayMarksAreErrors) {
  for (const char* code :
       {"",      "0",  "00", "t", "(u",  "}(u0", "R",  "b",   "a",    "s",    "}s",   "Q", "2",   "h\x05",
        "q\x01", "(.", "l",  "1", "N(R", "NNR",  "Nb", "NNb", "N(Ne", "}(Nu", "\x85", "d", "\x93"})
    EXPECT_NE(error_of(code), "(nothing was thrown)") << code;
}

TEST(HostilePickle, DeepNestingIsAnError) {
  std::string deep, marks(5000, '(');
  for (int i = 0; i < 100; ++i) deep += "}" + text("a");
  deep += kGood + std::string(100, 's');
  EXPECT_THAT(error_of(deep), HasSubstr("nested without end"));
  EXPECT_THAT(error_of(marks), HasSubstr("nested deeper"));
  // A million lists in each other are read and freed without recursion.
  EXPECT_THAT(error_of(std::string(1'000'000, ']') + std::string(999'999, 'a')),
              HasSubstr("nested without end"));
}

TEST(HostilePickle, CirclesAreAnError) {
  // d = {}; d["a"] = d
  EXPECT_THAT(error_of("}q\x01" + text("a") + "h\x01s"), HasSubstr("nested without end"));
  // l = []; l += [l, l]: twice as many at each level
  EXPECT_THAT(error_of("]q\x01(h\x01h\x01" + std::string("e")), HasSubstr("nested without end"));
}

TEST(HostilePickle, RepeatedReferencesDoNotMultiply) {
  // Each of 30 lists holds the one before ten times: 10^30 on the way to the innermost.
  std::string code = "]q" + raw({0});
  for (int i = 1; i <= 30; ++i) {
    code += "](";
    for (int j = 0; j < 10; ++j) code += "h" + raw({i - 1});
    code += "eq" + raw({i});
  }
  EXPECT_THAT(error_of(code), HasSubstr("nested without end"));
}

TEST(HostilePickle, HugeLengthsAreErrorsAtOnce) {
  EXPECT_THAT(error_of("X\xff\xff\xff\xff"), HasSubstr("text"));
  EXPECT_THAT(error_of(raw({0x8d}) + number(~uint64_t{0})), HasSubstr("text"));
  EXPECT_THAT(error_of(raw({0x8b}) + number(uint32_t{0x7fffffff})), HasSubstr("more than 64 bytes"));
  EXPECT_THAT(error_of("r\xff\xff\xff\xff"), HasSubstr("empty stack"));
  EXPECT_THAT(error_of(raw({0x80, 99})), HasSubstr("protocol 99"));
}

TEST(HostilePickle, LimitsHoldInTheReaderItself) {
  const auto read = [](const std::string& bytes, const PickleLimits& limits) {
    return message_from<CheckpointError>([&] {
      PickleInput input(
          bytes.size(),
          [&](uint64_t at, void* out, uint64_t n) { bytes.copy(static_cast<char*>(out), n, at); }, "test");
      read_pickle(
          input, [](const std::string&) { return GlobalUse::refuse; }, limits);
    });
  };
  EXPECT_THAT(read(std::string(200, 'N') + ".", {.values = 100}), HasSubstr("more values"));
  EXPECT_THAT(read("N" + std::string(200, '2') + ".", {.items = 100}), HasSubstr("stack is larger"));
  std::string list = "]q" + raw({0});
  for (int i = 0; i < 200; ++i) list += "h" + raw({0}) + "a";
  EXPECT_THAT(read(list + ".", {.items = 100}), HasSubstr("more items"));
  EXPECT_THAT(read(std::string(200, 'N') + ".", {.bytes = 100}), HasSubstr("too long"));
  EXPECT_EQ(read("N.", {}), "(nothing was thrown)");
}

TEST(HostilePickle, TensorsMustLieInTheirStorage) {
  const auto error = [](int64_t offset, const std::vector<int64_t>& sizes,
                        const std::vector<int64_t>& strides, int64_t elements = 6) {
    return error_of(dict(text("w") + tensor(storage("0", elements), offset, sizes, strides)));
  };
  EXPECT_EQ(error(0, {2, 3}, {3, 1}), "(nothing was thrown)");
  EXPECT_EQ(error(3, {3}, {1}), "(nothing was thrown)");
  EXPECT_EQ(error(0, {4, 0}, {9, 9}), "(nothing was thrown)");
  EXPECT_THAT(error(4, {3}, {1}), HasSubstr("'w' reaches past the end"));
  EXPECT_THAT(error(-1, {3}, {1}), HasSubstr("begins past the end"));
  EXPECT_THAT(error(7, {0}, {1}), HasSubstr("begins past the end"));
  EXPECT_THAT(error(0, {2, 3}, {4, 1}), HasSubstr("reaches past the end"));
  EXPECT_THAT(error(0, {3}, {-1}), HasSubstr("not possible"));
  EXPECT_THAT(error(0, {-3}, {1}), HasSubstr("not possible"));
  EXPECT_THAT(error(0, {3}, {1, 1}), HasSubstr("as many sizes as strides"));
  EXPECT_THAT(error(0, {1000}, {0}), HasSubstr("more elements than its storage"));
  EXPECT_THAT(error(0, {INT64_MAX}, {INT64_MAX}), HasSubstr("not possible"));
  EXPECT_THAT(error(0, {INT64_MAX, INT64_MAX, 0}, {1, 1, 1}), HasSubstr("not possible"));
  EXPECT_THAT(error(INT64_MAX, {2}, {INT64_MAX}), HasSubstr("begins past the end"));
  EXPECT_THAT(error(0, {2}, {INT64_MAX}), HasSubstr("reaches past the end"));
  EXPECT_THAT(error(0, {6}, {1}, 5), HasSubstr("'0' is not what the tensors describe"));
  EXPECT_THAT(error(0, {6}, {1}, INT64_MAX), HasSubstr("described wrongly"));
  EXPECT_THAT(error(0, {6}, {1}, -1), HasSubstr("described wrongly"));
}

TEST(HostilePickle, StoragesMustBeTheFilesOwn) {
  EXPECT_THAT(error_of(dict(text("w") + tensor(storage("7", 6), 0, {6}, {1}))),
              HasSubstr("not what the tensors describe"));
  EXPECT_THAT(error_of(dict(text("v") + kGood + text("w") + tensor(storage("7", 6), 0, {6}, {1}))),
              HasSubstr("storage '7' is missing"));
  EXPECT_THAT(error_of(dict(text("w") + tensor("N", 0, {6}, {1}))), HasSubstr("has no contents"));
  EXPECT_THAT(error_of(dict(text("w") + tensor("NQ", 0, {6}, {1}))), HasSubstr("described wrongly"));
  // The same storage in two sizes.
  EXPECT_THAT(error_of(dict(text("v") + kGood + text("w") + tensor(storage("0", 9), 0, {9}, {1}))),
              HasSubstr("describe in another way"));
}

TEST(HostilePickle, ViewsOfStoragesAreChecked) {
  const auto view = [](int64_t begin, int64_t elements) {
    return "(" + text("9") + integer(begin) + integer(elements) + "t";
  };
  const auto tensors = read_object(dict(text("w") + tensor(storage("0", 6, view(2, 3)), 1, {2}, {1})));
  EXPECT_TRUE(torch::equal(tensors[0].second, torch::tensor({3.f, 4.f})));
  EXPECT_THAT(error_of(dict(text("w") + tensor(storage("0", 6, view(2, 3)), 1, {3}, {1}))),
              HasSubstr("reaches past the end"));
  EXPECT_THAT(error_of(dict(text("w") + tensor(storage("0", 6, view(4, 3)), 0, {1}, {1}))),
              HasSubstr("described wrongly"));
}

TEST(HostilePickle, TruncatedPicklesAreErrors) {
  TemporaryFolder folder;
  const std::string good = file_around(dict(text("w") + kGood));
  for (size_t size = 0; size < good.size(); ++size) {
    std::ofstream(folder / "x.pth", std::ios::binary) << good.substr(0, size);
    EXPECT_NE(message_from<CheckpointError>([&] { read_pth(folder / "x.pth"); }), "(nothing was thrown)")
        << size;
  }
}

TEST(HostilePickle, FilesWithoutTensorsSaySo) {
  for (const char* object : {"N", "}", "]", "K\x01"})
    EXPECT_THAT(error_of(object), HasSubstr("holds no tensors")) << object;
}

// ---- what good files hold besides tensors by name

std::vector<std::string> names_in(const std::string& object) {
  std::vector<std::string> names;
  for (const auto& [name, value] : read_object(object)) names.push_back(name);
  return names;
}

TEST(PthContents, EveryTensorHasTheKeysThatLeadToIt) {
  const std::string network = dict(text("w.x") + kGood);
  const std::string optimizer = dict(text("state") + dict(integer(0) + dict(text("exp_avg") + kGood)));
  const std::string object =
      dict(text("optimizer") + optimizer + text("model") + network + text("epoch") + integer(3));
  EXPECT_THAT(names_in(object), ElementsAre("optimizer.state.0.exp_avg", "model.w.x"));
  TemporaryFolder folder;
  write_file(folder / "x.pth", file_around(object));
  const PthFile file(folder / "x.pth");
  EXPECT_EQ(file.tensors()[0].holder, "optimizer.state.0");
  EXPECT_EQ(file.tensors()[0].key, "exp_avg");
  EXPECT_EQ(file.tensors()[1].holder, "model");
  EXPECT_EQ(file.tensors()[1].key, "w.x");
  EXPECT_EQ(file.read({1}).at(0).sizes(), (std::vector<int64_t>{2, 3}));
  EXPECT_THAT(names_in(dict(text("model") + integer(1) + text("list") + "](" + kGood + kGood + "e")),
              ElementsAre("list.0", "list.1"));
  EXPECT_THAT(names_in(kGood), ElementsAre("tensor"));
}

TEST(PthContents, ValuesThatAreNoTensorsArePassedOver) {
  const std::string number = global("numpy.core.multiarray", "scalar") + "(" + global("numpy", "dtype") +
                             "(" + text("f8") + raw({0x89, 0x88}) + "tR" + text("bytes") + "tR";
  const std::string counter =
      global("collections", "Counter") + dict(text("a") + integer(1)) + raw({0x85}) + "R";
  const std::string set = global("__builtin__", "set") + "](" + integer(1) + "e" + raw({0x85}) + "R";
  const std::string deque = global("collections", "deque") + ")R(" + integer(1) + "e";
  const std::string options =
      global("omegaconf.dictconfig", "DictConfig") + ")" + raw({0x81}) + dict(text("_content") + "}") + "b";
  const std::string by_name = global("pathlib", "PosixPath") + ")}" + raw({0x92});  // __newobj_ex__
  const std::string defaults = global("collections", "defaultdict") + global("__builtin__", "list") +
                               raw({0x85}) + "R(" + text("w") + kGood + "u";
  EXPECT_THAT(names_in(dict(text("best") + number + text("seen") + counter + text("ids") + set + text("q") +
                            deque + text("cfg") + options + text("path") + by_name + text("type") +
                            global("torch", "float32") + text("model") + defaults)),
              ElementsAre("model.w"));
}

// What a class that nothing is known of is made of is no part of a checkpoint, tensors included, and none of
// it is called.
TEST(PthContents, TensorsInsideOtherObjectsAreNotFound) {
  const std::string space =
      global("argparse", "Namespace") + ")" + raw({0x81}) + dict(text("w") + kGood) + "b";
  EXPECT_THAT(error_of(dict(text("args") + space)), HasSubstr("holds no tensors"));
  EXPECT_THAT(error_of(global("numpy", "ndarray") + "N" + "R"), HasSubstr("a call has no arguments"));
}

TEST(PthContents, ParametersAttributesAndOptionsAreUnderstood) {
  const std::string ordered = global("collections", "OrderedDict") + ")R";
  const std::string parameter =
      global("torch._utils", "_rebuild_parameter") + "(" + kGood + raw({0x88}) + ordered + "tR";
  const std::string typed = global("torch._tensor", "_rebuild_from_type_v2") + "(" +
                            global("torch._utils", "_rebuild_tensor_v2") +
                            global("torch.nn.parameter", "Parameter") + "(" + storage("0", 6) + integer(0) +
                            integers({6}) + integers({1}) + raw({0x89}) + "}t}tR";
  const std::string sized = global("torch._utils", "_rebuild_tensor_v2") + "(" + storage("0", 6) +
                            integer(0) + global("torch", "Size") + integers({6}) + raw({0x85}) + "R" +
                            integers({1}) + raw({0x89}) + "}tR";
  const std::string options =
      global("argparse", "Namespace") + ")" + raw({0x81}) + dict(text("lr") + integer(1)) + "b";
  const std::string metadata = dict(text("_metadata") + "}") + "b";
  EXPECT_THAT(names_in(ordered + "(" + text("p") + parameter + text("t") + typed + text("s") + sized +
                       text("args") + options + "u" + metadata),
              ElementsAre("p", "t", "s"));
  // An OrderedDict as Python 2 wrote it: made of a list of pairs.
  EXPECT_THAT(
      names_in(global("collections", "OrderedDict") + "](](" + text("w") + kGood + "ee" + raw({0x85}) + "R"),
      ElementsAre("w"));
}

TEST(PthContents, TensorsOfOneStorageShareItsMemory) {
  const auto tensors =
      read_object(dict(text("all") + kGood + text("part") + tensor(storage("0", 6), 2, {2}, {2})));
  tensors[1].second.fill_(9);
  EXPECT_EQ(tensors[0].second[1][1].item<float>(), 9);
}

TEST(PthContents, ANameThatIsThereTwiceIsAnError) {
  EXPECT_THAT(error_of(dict(text("a.b") + kGood + text("a") + dict(text("b") + kGood))),
              HasSubstr("is there twice"));
  EXPECT_THAT(error_of(dict(text(std::string(2000, 'x')) + kGood)), HasSubstr("longer than"));
}

}  // namespace
}  // namespace cavmae
