#include "cavmae/tensorfile/mapped_tensor.h"

#include <gtest/gtest.h>

#include "cavmae/tensorfile/safetensors.h"

#include "tests/support/temporary_folder.h"

namespace cavmae::mapped_tensor_test {
namespace {

class MappedTensor : public testing::Test {
 protected:
  void SetUp() override { write_safetensors(file_, {{"a", torch::arange(3.0f)}, {"b", values_}}); }

  torch::Tensor mapped(FileOnceMapped then = FileOnceMapped::stays_open) const {
    return map_safetensors(file_, then).at("b");
  }
  // What can be read of a tensor's values, without its memory.
  static torch::Tensor read(const torch::Tensor& tensor) {
    const std::optional<PlaceInFile> place = place_in_file(tensor);
    if (!place) return {};
    torch::Tensor values = torch::empty(tensor.sizes());
    place->file->read(place->position, values.data_ptr(), values.nbytes());
    return values;
  }

  const torch::Tensor values_ = torch::arange(12.0f).reshape({4, 3}) + 100;
  TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "x.safetensors";
};

TEST_F(MappedTensor, CanBeReadFromItsFile) {
  const torch::Tensor tensor = mapped();
  EXPECT_TRUE(tensor.equal(values_));
  EXPECT_TRUE(read(tensor).equal(values_));
  EXPECT_TRUE(read(tensor.narrow(0, 1, 2)).equal(values_.narrow(0, 1, 2)));
  EXPECT_TRUE(read(tensor.detach()).equal(values_));
}

TEST_F(MappedTensor, CanStillBeReadOnceTheFileIsGone) {
  const torch::Tensor tensor = mapped();
  std::filesystem::remove(file_);
  EXPECT_TRUE(read(tensor).equal(values_));
}

TEST_F(MappedTensor, IsNotReadOnceItWasWrittenTo) {
  const torch::Tensor tensor = mapped();
  tensor[2].fill_(7);
  EXPECT_FALSE(place_in_file(tensor));
  EXPECT_FALSE(place_in_file(tensor[1]));
  EXPECT_EQ(tensor[2][0].item<float>(), 7);
  EXPECT_TRUE(mapped().equal(values_));  // the file is as it was
}

TEST_F(MappedTensor, IsNotReadWhereItsMemoryIsNoPartOfAnOpenFile) {
  EXPECT_FALSE(place_in_file(mapped(FileOnceMapped::is_closed)));
  EXPECT_FALSE(place_in_file(mapped().t()));
  EXPECT_FALSE(place_in_file(mapped().clone()));
  EXPECT_FALSE(place_in_file(values_));
}

}  // namespace
}  // namespace cavmae::mapped_tensor_test
