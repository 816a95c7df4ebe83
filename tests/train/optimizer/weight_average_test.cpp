#include "cavmae/train/optimizer/weight_average.h"

#include <gmock/gmock.h>

#include "cavmae/core/error.h"

#include "tests/train/toy_run.h"

namespace cavmae {
namespace {

CavMae model_of(uint64_t seed) {
  CavMae model(toy_config());
  initialize(model, seed);
  return model;
}

TEST(WeightAverage, IsTheMeanOfWhatWasAdded) {
  CavMae first = model_of(1), second = model_of(2);
  WeightAverage average;
  EXPECT_EQ(average.count(), 0);
  average.add(first);
  average.add(second);
  EXPECT_EQ(average.count(), 2);
  const auto a = first->named_parameters(), b = second->named_parameters();
  const NamedTensors mean = average.mean();
  ASSERT_EQ(mean.size(), a.size());
  for (const auto& [name, value] : mean) EXPECT_TRUE(value.equal((a[name] + b[name]) / 2.0)) << name;
}

TEST(WeightAverage, GoesOnFromItsState) {
  CavMae first = model_of(1), second = model_of(2);
  WeightAverage whole, begun, resumed;
  whole.add(first);
  whole.add(second);
  begun.add(first);
  resumed.load_state({.tensors = begun.state(), .metadata = {}});
  resumed.add(second);
  EXPECT_EQ(begun.count(), 1) << "the state was copied";
  const NamedTensors got = resumed.mean(), wanted = whole.mean();
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_TRUE(got[i].second.equal(wanted[i].second)) << wanted[i].first;
  EXPECT_THROW(resumed.load_state({}), CheckpointError);
}

TEST(TemporaryParameters, PutBackWhatWasThere) {
  CavMae model = model_of(1), other = model_of(2);
  WeightAverage average;
  average.add(other);
  const auto before = model->named_parameters()["patch_embed_a.proj.weight"].detach().clone();
  const auto wanted = other->named_parameters()["patch_embed_a.proj.weight"];
  {
    const TemporaryParameters averaged(model, average.mean());
    EXPECT_TRUE(model->named_parameters()["patch_embed_a.proj.weight"].equal(wanted));
  }
  EXPECT_TRUE(model->named_parameters()["patch_embed_a.proj.weight"].equal(before));
}

}  // namespace
}  // namespace cavmae
