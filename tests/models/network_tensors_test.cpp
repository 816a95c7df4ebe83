#include "cavmae/models/network_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The names of a small network with `prefix` before each.
std::vector<TensorPlace> network(const std::string& holder, const std::string& prefix) {
  std::vector<TensorPlace> places;
  for (const char* name : {"modality_a", "blocks_a.0.attn.qkv.weight", "blocks_v.0.attn.qkv.weight",
                           "blocks_u.0.norm1.weight", "norm.weight"})
    places.push_back({.holder = holder, .name = prefix + name});
  return places;
}

std::vector<TensorPlace> operator+(std::vector<TensorPlace> a, const std::vector<TensorPlace>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<std::string> names(const NetworkTensors& found) {
  std::vector<std::string> names;
  for (const auto& [place, name] : found.tensors) names.push_back(name);
  return names;
}

const auto kNames = ElementsAre("modality_a", "blocks_a.0.attn.qkv.weight", "blocks_v.0.attn.qkv.weight",
                                "blocks_u.0.norm1.weight", "norm.weight");

NetworkTensors find(const std::vector<TensorPlace>& places, const std::string& wanted = "") {
  return find_network(places, wanted, "file");
}

TEST(NetworkTensors, AnyCommonPrefixIsTakenOff) {
  for (const std::string prefix : {"", "module.", "_orig_mod.", "model.", "module._orig_mod.", "net.encoder.",
                                   "_forward_module.model.", "a.b.c.d."})
    EXPECT_THAT(names(find(network("", prefix))), kNames) << prefix;
}

TEST(NetworkTensors, WrappersAreTakenOffWhereverTheyStand) {
  const NetworkTensors found =
      find({{.holder = "", .name = "model.blocks_a._orig_mod.0.attn.qkv.weight"},
            {.holder = "", .name = "model.blocks_v.0._checkpoint_wrapped_module.norm1.bias"},
            {.holder = "", .name = "_orig_mod.model.norm._fsdp_wrapped_module.bias"}});
  EXPECT_THAT(names(found), ElementsAre("blocks_a.0.attn.qkv.weight", "blocks_v.0.norm1.bias", "norm.bias"));
}

TEST(NetworkTensors, WhatElseTheFileHoldsIsPassedOver) {
  const auto beside = network("optimizer.exp_avg", "") +
                      std::vector<TensorPlace>{{.holder = "callbacks.stop", .name = "best_score"},
                                               {.holder = "optimizer_states.0.state.0", .name = "exp_avg"}};
  for (const char* holder : {"model", "state_dict", "module", "checkpoint.weights"}) {
    const NetworkTensors found = find(beside + network(holder, "module."));
    EXPECT_THAT(names(found), kNames) << holder;
    EXPECT_EQ(found.network, holder);
    EXPECT_THAT(found.copies, ElementsAre("optimizer.exp_avg"));
  }
}

TEST(NetworkTensors, TensorsOfTheSameDictionaryStay) {
  const NetworkTensors found =
      find(network("state_dict", "model.") +
           std::vector<TensorPlace>{{.holder = "state_dict", .name = "criterion.weight"},
                                    {.holder = "state_dict", .name = "model.register_tokens"}});
  EXPECT_THAT(names(found),
              ElementsAre("modality_a", "blocks_a.0.attn.qkv.weight", "blocks_v.0.attn.qkv.weight",
                          "blocks_u.0.norm1.weight", "norm.weight", "criterion.weight", "register_tokens"));
}

TEST(NetworkTensors, AnAveragedNetworkIsTakenOnRequest) {
  const std::vector<std::vector<TensorPlace>> files = {
      network("state_dict_ema", "module.") + network("state_dict", ""),
      network("model_ema", "") + network("model", "module."),
      network("state_dict", "ema_model.") + network("state_dict", "model."),
      network("", "teacher.") + network("", "student."), network("ema", "") + network("", "")};
  const std::vector<std::pair<std::string, std::string>> places = {
      {"state_dict", "state_dict_ema"},
      {"model", "model_ema"},
      {"state_dict.model", "state_dict.ema_model"},
      {"student", "teacher"},
      {"", "ema"}};
  for (size_t i = 0; i < files.size(); ++i) {
    const NetworkTensors found = find(files[i]);
    EXPECT_EQ(found.network, places[i].first);
    EXPECT_THAT(found.copies, ElementsAre(places[i].second));
    EXPECT_THAT(names(found), kNames) << i;
    EXPECT_GE(found.tensors.front().first, 5u) << "the one that stands behind";
    const NetworkTensors averaged = find(files[i], places[i].second);
    EXPECT_THAT(names(averaged), kNames) << i;
    EXPECT_LT(averaged.tensors.back().first, 5u);
  }
  EXPECT_THAT(message_from<ConfigError>([&] { find(files[0], "ema"); }),
              HasSubstr("holds no network under 'ema'; it holds 'state_dict_ema', 'state_dict'"));
  EXPECT_EQ(find(network("ema", "")).network, "ema") << "there is no other";
}

// Halves of one network in two places are no copies: neither is dropped without a word.
TEST(NetworkTensors, PartsInSeveralPlacesAreAllKept) {
  const NetworkTensors found = find({{.holder = "encoder", .name = "blocks_a.0.attn.qkv.weight"},
                                     {.holder = "encoder", .name = "norm.weight"},
                                     {.holder = "decoder", .name = "decoder_pred_a.weight"},
                                     {.holder = "", .name = "audio.pos_embed_a"}});
  EXPECT_THAT(names(found), ElementsAre("blocks_a.0.attn.qkv.weight", "norm.weight",
                                        "decoder.decoder_pred_a.weight", "audio.pos_embed_a"));
}

TEST(NetworkTensors, AnImageMaeIsFoundWhereThereIsNoneOfOurs) {
  EXPECT_THAT(names(find({{.holder = "model", .name = "encoder.cls_token"},
                          {.holder = "model", .name = "encoder.blocks.0.attn.qkv.weight"},
                          {.holder = "model", .name = "encoder.norm.weight"}})),
              ElementsAre("cls_token", "blocks.0.attn.qkv.weight", "norm.weight"));
  EXPECT_THAT(names(find({{.holder = "", .name = "layer1.weight"}})), ElementsAre("layer1.weight"));
  EXPECT_THAT(find({}).tensors, IsEmpty());
}

TEST(NetworkTensors, TwoTensorsOfOneNameAreAnError) {
  EXPECT_THAT(message_from<CheckpointError>([&] {
                find({{.holder = "", .name = "module.norm.weight"},
                      {.holder = "", .name = "norm.weight"},
                      {.holder = "", .name = "blocks_a.0.norm1.weight"}});
              }),
              HasSubstr("two tensors are 'norm.weight' without their prefixes"));
}

}  // namespace
}  // namespace cavmae
