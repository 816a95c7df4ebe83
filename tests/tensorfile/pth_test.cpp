#include "cavmae/tensorfile/pth.h"

#include <csignal>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/random.h"

#include "tests/support/temporary_folder.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kZip = CAVMAE_TEST_DATA "/golden/authors_pretrain.pth";
constexpr const char* kLegacy = CAVMAE_TEST_DATA "/golden/authors_finetune_legacy.pth";

const torch::Tensor& at(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  throw Error("no tensor " + name);
}

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

void expect_same(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(names_of(a), names_of(b));
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].second.dtype(), b[i].second.dtype()) << a[i].first;
    EXPECT_TRUE(torch::equal(a[i].second, b[i].second)) << a[i].first;
  }
}

TEST(Pth, ReadsTheAuthorsZipCheckpoint) {
  const auto tensors = read_pth(kZip);
  EXPECT_EQ(tensors.front().first, "module.modality_a");
  EXPECT_EQ(tensors.front().second.sizes(), (std::vector<int64_t>{1, 1, 32}));
  EXPECT_EQ(at(tensors, "module.patch_embed_v.proj.weight").sizes(), (std::vector<int64_t>{32, 3, 16, 16}));
  for (const auto& [name, tensor] : tensors) {
    EXPECT_THAT(name, StartsWith("module."));
    EXPECT_EQ(tensor.dtype(), torch::kFloat32);
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  }
}

// The fixed position embeddings stand in both checkpoints and, as .safetensors, beside the Adam trajectory.
TEST(Pth, ValuesAreThoseOfTheSafetensorsTwin) {
  const auto twin = read_safetensors(CAVMAE_TEST_DATA "/golden/adam_trajectory.safetensors");
  for (const char* path : {kZip, kLegacy}) {
    const auto tensors = read_pth(path);
    for (const char* name : {"pos_embed_a", "pos_embed_v"})
      EXPECT_TRUE(torch::equal(at(tensors, concat("module.", name)), twin.at(concat("param.", name))))
          << path << " " << name;
  }
}

TEST(Pth, ReadsTheAuthorsLegacyCheckpoint) {
  const auto tensors = read_pth(kLegacy);
  EXPECT_EQ(tensors.front().first, "module.modality_a");
  for (const auto& [name, tensor] : tensors)
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name << " is not where it should be in the file";
  EXPECT_GT(tensors.size(), 100u);
}

TEST(Pth, RoundTripKeepsNamesOrderTypesAndValues) {
  TemporaryFolder folder;
  NamedTensors tensors;
  const auto base = torch::arange(-6, 6).reshape({2, 2, 3});
  for (const auto type : {torch::kBool, torch::kUInt8, torch::kInt8, torch::kInt16, torch::kInt32,
                          torch::kInt64, torch::kFloat16, torch::kBFloat16, torch::kFloat32, torch::kFloat64})
    tensors.emplace_back(std::string("module.") + torch::toString(type), base.to(type));
  tensors.emplace_back("scalar", torch::tensor(3));
  tensors.emplace_back("empty", torch::empty({2, 0, 5}));
  tensors.emplace_back("view", base.to(torch::kFloat32).transpose(0, 2).slice(0, 1));
  write_pth(folder / "x.pth", tensors);
  expect_same(read_pth(folder / "x.pth"), tensors);
  write_pth(folder / "y.pth", read_pth(kLegacy));
  expect_same(read_pth(folder / "y.pth"), read_pth(kLegacy));
}

TEST(Pth, StripPrefixLeavesOtherNamesAlone) {
  const auto one = torch::ones({1});
  EXPECT_THAT(names_of(strip_prefix({{"module.a", one}, {"b.module.", one}}, "module.")),
              ElementsAre("a", "b.module."));
}

TEST(Pth, AFailedWriteKeepsTheOldFile) {
  TemporaryFolder folder;
  write_pth(folder / "x.pth", {{"old", torch::ones({4})}});
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {.rlim_cur = 100'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = message_from<Error>([&] {
    write_pth(folder / "x.pth", {{"a", torch::ones({1'000'000})}, {"b", torch::ones({4})}});
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, HasSubstr("x.pth: cannot be written: File too large"));
  EXPECT_THAT(names_of(read_pth(folder / "x.pth")), ElementsAre("old"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(InspectPth, NamesTypesAndShapesAreThoseOfTheTensors) {
  for (const char* path : {kZip, kLegacy}) {
    const auto tensors = read_pth(path);
    const auto infos = inspect_pth(path);
    ASSERT_EQ(infos.size(), tensors.size());
    for (size_t i = 0; i < infos.size(); ++i) {
      EXPECT_EQ(infos[i].name, tensors[i].first);
      EXPECT_EQ(infos[i].type, tensors[i].second.scalar_type());
      EXPECT_EQ(torch::IntArrayRef(infos[i].shape), tensors[i].second.sizes()) << infos[i].name;
    }
  }
}

TEST(InspectPth, OfAZipReadsThePickleAlone) {
  TemporaryFolder folder;
  write_pth(folder / "x.pth", {{"w", torch::full({2, 3}, 0.75)}});
  std::string bytes = read_text(folder / "x.pth");
  const float number = 0.75f;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&number), sizeof number));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  write_file(folder / "x.pth", bytes);
  EXPECT_THAT(message_from<CheckpointError>([&] { read_pth(folder / "x.pth"); }),
              HasSubstr("checksum is wrong"));
  const auto infos = inspect_pth(folder / "x.pth");
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_THAT(infos[0].shape, ElementsAre(2, 3));
}

// Python's own reader has the last word on what we write.
TEST(Pth, PythonLoadsWhatWeWrite) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python_torch(), "python3-torch");
  TemporaryFolder folder;
  auto tensors = read_pth(kZip);
  tensors.emplace_back("half", torch::arange(6).reshape({2, 3}).t().to(torch::kBFloat16));
  write_pth(folder / "x.pth", tensors);
  write_file(folder / "check.py",
             "import sys, torch, collections\n"
             "d = torch.load(sys.argv[1], map_location='cpu')\n"
             "assert type(d) is collections.OrderedDict\n"
             "want = torch.load(sys.argv[2], map_location='cpu')\n"
             "assert list(d)[:-1] == list(want)\n"
             "assert all(torch.equal(d[k], v) and d[k].stride() == v.stride() for k, v in want.items())\n"
             "assert d['half'].dtype == torch.bfloat16 and d['half'].tolist() == [[0, 3], [1, 4], [2, 5]]\n"
             "torch.save(d, sys.argv[3], _use_new_zipfile_serialization=False)\n"
             "torch.save({'model': d, 'epoch': 3, 'lr': 0.5, 'big': 2**70}, sys.argv[4])\n");
  const auto command = concat("/usr/bin/python3 ", folder / "check.py", " ", folder / "x.pth", " ", kZip, " ",
                              folder / "old.pth", " ", folder / "nested.pth");
  ASSERT_EQ(std::system(command.c_str()), 0);
  expect_same(read_pth(folder / "old.pth"), tensors);
  for (auto& [name, tensor] : tensors) name.insert(0, "model.");
  expect_same(read_pth(folder / "nested.pth"), tensors);
}

// ---- damaged files

std::string outcome(const std::filesystem::path& path) {
  return message_from<CheckpointError>([&] { read_pth(path); });
}

TEST(Pth, OtherFilesAreNamed) {
  TemporaryFolder folder;
  EXPECT_THAT(outcome(folder / "none.pth"), AllOf(HasSubstr("none.pth"), HasSubstr("No such file")));
  write_file(folder / "empty.pth", "");
  EXPECT_THAT(outcome(folder / "empty.pth"), HasSubstr("is no PyTorch checkpoint"));
  write_file(folder / "text.pth", "some words\n");
  EXPECT_THAT(outcome(folder / "text.pth"), HasSubstr("is no PyTorch checkpoint"));
  write_file(folder / "zip.pth", "PK\x03\x04 and nothing more");
  EXPECT_THAT(outcome(folder / "zip.pth"), HasSubstr("the zip directory is missing"));
  write_file(folder / "plain.pth", std::string("\x80\x02K\x01.", 5));
  EXPECT_THAT(outcome(folder / "plain.pth"), HasSubstr("is no PyTorch checkpoint"));
}

TEST(Pth, AFlippedBitInTheWeightsIsFound) {
  TemporaryFolder folder;
  std::string bytes = read_text(kZip);
  bytes[bytes.size() / 2] ^= 1;
  write_file(folder / "x.pth", bytes);
  EXPECT_THAT(outcome(folder / "x.pth"), HasSubstr("checksum is wrong"));
}

// Whatever the bytes are, reading ends in tensors or in a CheckpointError.
void fuzz(const std::string& good, int64_t begin, int64_t end, int rounds) {
  TemporaryFolder folder;
  const auto attempt = [&](const std::string& bytes) {
    std::ofstream(folder / "bad", std::ios::binary) << bytes;
    return outcome(folder / "bad");
  };
  Random random(11);
  for (int i = 0; i < rounds; ++i) {
    std::string bad = good;
    for (int64_t n = random.integer(1, 3); n > 0; --n) {
      const auto place = static_cast<size_t>(random.integer(begin, end - 1));
      // Often a value at the edge of its type, since those reach what random ones do not.
      bad[place] = random.uniform() < 0.5 ? static_cast<char>(random.integer(0, 255))
                                          : (random.uniform() < 0.5 ? '\xff' : '\x7f');
    }
    attempt(bad);
  }
  for (int i = 0; i < 60; ++i) {
    const auto size = static_cast<size_t>(random.integer(0, static_cast<int64_t>(good.size()) - 1));
    EXPECT_NE(attempt(good.substr(0, size)), "(nothing was thrown)") << size;
  }
}

NamedTensors a_few() {
  return {{"a", torch::arange(6).reshape({2, 3})}, {"b", torch::ones({4})}, {"flag", torch::tensor(true)}};
}

TEST(Pth, DamagedZipFilesNeverDoWorseThanAnError) {
  TemporaryFolder folder;
  write_pth(folder / "x.pth", a_few());
  const std::string good = read_text(folder / "x.pth");
  fuzz(good, 0, static_cast<int64_t>(good.size()), 1200);
  const auto directory = static_cast<int64_t>(good.find("PK\x01\x02"));
  fuzz(good, directory, static_cast<int64_t>(good.size()), 1200);
}

TEST(Pth, DamagedLegacyFilesNeverDoWorseThanAnError) {
  const std::string good = read_text(kLegacy);
  constexpr int64_t kPickles = 80'000;  // the object's pickle and the list of keys come first
  fuzz(good, 0, kPickles, 60);
}

}  // namespace
}  // namespace cavmae
