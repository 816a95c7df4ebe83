#include "cavmae/models/convert_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/models/pretrained.h"

#include "tests/models/toy_model.h"
#include "tests/support/program.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::golden_path;
using testing_support::random_model;
using testing_support::run_shell;
using testing_support::small_config;
using testing_support::stated;

void expect_same(const NamedTensors& ours, const NamedTensors& theirs) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].first, theirs[i].first);
    EXPECT_EQ(ours[i].second.scalar_type(), theirs[i].second.scalar_type()) << ours[i].first;
    EXPECT_TRUE(ours[i].second.equal(theirs[i].second)) << ours[i].first;
  }
}

class AuthorsFile : public ::testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path original() const { return golden_path(GetParam()); }
  TemporaryFolder folder_;
};

TEST_P(AuthorsFile, GoesToOursAndBackBitForBit) {
  EXPECT_THAT(convert_model(original(), folder_ / "ours.safetensors", stated()).left_out, IsEmpty());
  const Conversion back = convert_model(folder_ / "ours.safetensors", folder_ / "theirs.pth");
  EXPECT_THAT(back.left_out, IsEmpty());
  EXPECT_THAT(back.unstated, IsEmpty());
  EXPECT_EQ(read_json(back.description)["model"]["num_heads"], 4);
  const NamedTensors expected = read_pth(original());
  expect_same(read_pth(folder_ / "theirs.pth"), expected);
  expect_same(read_safetensors(folder_ / "ours.safetensors").tensors, strip_prefix(expected, "module."));
  EXPECT_EQ(load_pretrained(folder_ / "ours.safetensors").network()->config().num_heads, 4);
}

// What the authors' code does: torch.load, then load_state_dict, which wants these names, sizes and bits.
TEST_P(AuthorsFile, LoadsInPythonWithNothingMissing) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_python_torch(), "python3-torch");
  convert_model(original(), folder_ / "ours.safetensors", stated());
  convert_model(folder_ / "ours.safetensors", folder_ / "theirs.pth");
  std::ofstream(folder_ / "compare.py") << R"(
import collections, sys, torch
theirs, ours = (torch.load(path, map_location='cpu') for path in sys.argv[1:])
assert type(ours) is collections.OrderedDict, type(ours)
strip = lambda weights: [(name[len('module.'):], tensor) for name, tensor in weights.items() if name.startswith('module.')]
theirs, ours = strip(theirs), strip(ours)
assert [name for name, _ in ours] == [name for name, _ in theirs]
assert all(a.dtype == b.dtype and torch.equal(a, b) for (_, a), (_, b) in zip(ours, theirs))
print(len(ours), 'tensors')
)";
  const auto outcome = run_shell("/usr/bin/python3 '" + (folder_ / "compare.py").string() + "' '" +
                                 original().string() + "' '" + (folder_ / "theirs.pth").string() + "'");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, std::to_string(read_pth(original()).size()) + " tensors\n");
}

INSTANTIATE_TEST_SUITE_P(Files, AuthorsFile,
                         ::testing::Values("authors_pretrain.pth", "authors_finetune_legacy.pth"),
                         [](const auto& chosen) {
                           const std::string name = chosen.param;
                           return name.substr(0, name.find('.'));
                         });

TEST(ConvertModel, WhatIsNoPartOfAModelIsRefusedOrLeftOutAndNamed) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 1);
  save_model(folder / "model.safetensors", model, InputSpec{.fbank_mean = -3.5});
  TensorFile file = read_safetensors(folder / "model.safetensors");
  file.tensors.emplace_back("extra", torch::zeros({1}));
  write_safetensors(folder / "model.safetensors", file.tensors, file.metadata);
  const auto convert = [&](const LoadOptions& options) {
    return convert_model(folder / "model.safetensors", folder / "again.safetensors", options);
  };
  EXPECT_THAT(message_from<CheckpointError>([&] { convert({}); }), HasSubstr("no place for: extra"));
  EXPECT_THAT(convert({.partial = PartialFile::allow}).left_out, ElementsAre("extra"));
  EXPECT_EQ(load_pretrained(folder / "again.safetensors").spec.fbank_mean, -3.5);
}

TEST(ConvertModel, AnIncompleteModelIsRefusedAndNothingIsWritten) {
  TemporaryFolder folder;
  auto model = random_model(small_config(), 2);
  save_model(folder / "model.safetensors", model, InputSpec{});
  TensorFile file = read_safetensors(folder / "model.safetensors");
  std::erase_if(file.tensors, [](const auto& item) { return item.first.ends_with("fc1.weight"); });
  write_safetensors(folder / "model.safetensors", file.tensors, file.metadata);
  try {
    convert_model(folder / "model.safetensors", folder / "model.pth");
    FAIL() << "no error";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("blocks_a.*.mlp.fc1.weight (2)"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "model.pth"));
  EXPECT_THROW(convert_model(folder / "model.safetensors", folder / "model.bin"), ConfigError);
}

}  // namespace
}  // namespace cavmae
