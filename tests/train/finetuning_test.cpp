#include "cavmae/train/finetuning.h"

#include <csignal>

#include <gmock/gmock.h>

#include "cavmae/core/error.h"
#include "cavmae/eval/class_ranking.h"
#include "cavmae/train/evaluation.h"

#include "tests/train/same_end.h"
#include "tests/train/toy_finetune.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class FinetuningTest : public ::testing::Test {
 protected:
  static const ToyFinetune& toy() {
    static const ToyFinetune toy;
    return toy;
  }
  // The run that nothing interrupts; made once for all tests.
  static fs::path uninterrupted() {
    static const fs::path run = [] {
      run_finetune(toy().options(), toy().paths("uninterrupted"));
      return toy() / "uninterrupted";
    }();
    return run;
  }
  void TearDown() override { fs::remove_all(toy() / "run"); }

  RunPaths fresh_ = toy().paths("run");
  RunPaths resume_ = toy().paths("run", RunStart::resume);
  fs::path run_ = toy() / "run";
};

TEST_F(FinetuningTest, LeavesAWholeRun) {
  const FinetuneResult result = run_finetune(toy().options(), fresh_);
  EXPECT_EQ(result.run.steps, 9);
  ASSERT_TRUE(result.run.validation && result.run.validation->classification);
  EXPECT_EQ(result.run.validation->classification->clips, 6);
  ASSERT_TRUE(result.run.averaged_validation);
  ASSERT_TRUE(result.evaluation);
  EXPECT_EQ(result.evaluated, run_ / "checkpoints/averaged");
  const Json evaluation = read_json(run_ / "evaluation.json");
  EXPECT_EQ(evaluation.at("checkpoint"), "checkpoints/averaged");
  EXPECT_EQ(evaluation.at("classes").size(), 3u);
  std::vector<std::string> kinds;
  for (const Json& record : read_metrics(run_))
    if (record.at("kind") != "train") kinds.push_back(record.at("kind"));
  EXPECT_THAT(kinds, ::testing::ElementsAre("validation", "validation", "validation", "averaged"));
  const Pretrained best = load_pretrained(run_);
  EXPECT_EQ(best.classifier()->head_options().num_classes, 3);
  EXPECT_EQ(best.labels.at(0).display_name, "a");
}

TEST_F(FinetuningTest, LearnsTheClassesInEveryMode) {
  for (const auto mode : {Modalities::both, Modalities::audio, Modalities::video}) {
    FinetuneOptions options = toy().options();
    options.mode = mode;
    options.epochs = 20;
    options.average_from_epoch = 18;
    options.schedule.lr = 3e-3;
    options.schedule.lr_schedule = LrSchedule::constant;
    options.view = ViewOptions{};
    const FinetuneResult result = run_finetune(options, fresh_);
    EXPECT_GT(result.evaluation->values.at("map"), 0.9) << enum_name(mode);
    EXPECT_GT(result.evaluation->values.at("top1"), 0.8) << enum_name(mode);
    fs::remove_all(run_);
  }
}

TEST_F(FinetuningTest, AStoppedRunResumesBitForBit) {
  // In the middle of an epoch, after its last step, and while the average is being made.
  for (const int64_t stop : {2, 3, 7}) {
    EXPECT_TRUE(run_finetune(toy().options(), fresh_, [&](int64_t step) {
                  if (step == stop) std::raise(SIGTERM);
                }).run.interrupted);
    EXPECT_EQ(run_finetune(toy().options(), resume_).run.steps, 9);
    expect_same_end(run_, uninterrupted());
    expect_same_tensors(run_ / "checkpoints/averaged/model.safetensors",
                        uninterrupted() / "checkpoints/averaged/model.safetensors");
    fs::remove_all(run_);
  }
}

TEST_F(FinetuningTest, TheNumberOfWorkersChangesNothing) {
  FinetuneOptions options = toy().options();
  options.loader.num_workers = 3;
  run_finetune(options, fresh_);
  expect_same_end(run_, uninterrupted());
}

TEST_F(FinetuningTest, TheAverageIsTheMeanOfTheEpochsModels) {
  FinetuneOptions options = toy().options();
  options.checkpoint.keep_checkpoints = 9;
  options.checkpoint.checkpoint_interval_steps = 3;  // the last step of each epoch
  run_finetune(options, fresh_);
  const auto model = [&](const std::string& name) {
    return read_safetensors(run_ / "checkpoints" / name / "model.safetensors");
  };
  const TensorFile averaged = model("averaged"), second = model("step-00000006"),
                   third = model("step-00000009");
  for (const auto& [name, tensor] : averaged.tensors)
    EXPECT_TRUE(torch::equal(tensor, (second.at(name) + third.at(name)) / 2.0)) << name;
  EXPECT_EQ(averaged.metadata.at("classifier"), third.metadata.at("classifier"));
}

TEST_F(FinetuningTest, ARunTooShortForTheAverageEvaluatesItsBestEpoch) {
  FinetuneOptions options = toy().options();
  options.epochs = 1;
  options.average_from_epoch = 3;
  options.average_to_epoch = 15;
  const FinetuneResult result = run_finetune(options, fresh_);
  EXPECT_TRUE(result.run.averaged_checkpoint.empty());
  EXPECT_FALSE(fs::exists(run_ / "checkpoints/averaged"));
  EXPECT_TRUE(result.evaluation.has_value());
}

TEST_F(FinetuningTest, ALinearProbeTrainsTheHeadAlone) {
  for (const bool always_the_same : {false, true}) {  // with it, the encoder's outputs are kept
    FinetuneOptions options = toy().options();
    options.freeze_encoder = true;
    options.average_from_epoch = 0;
    if (always_the_same) options.view = ViewOptions{};
    run_finetune(options, fresh_);
    const TensorFile init = read_safetensors(toy().init());
    const TensorFile last = read_safetensors(run_ / "checkpoints/last/model.safetensors");
    for (const auto& [name, tensor] : last.tensors)
      EXPECT_TRUE(name.starts_with("mlp_head.") || torch::equal(tensor, init.at(name))) << name;
    EXPECT_GT(last.at("mlp_head.1.bias").abs().max().item<float>(), 0.0F);
    fs::remove_all(run_);
  }
}

TEST_F(FinetuningTest, EvaluationReproducesTheRunsNumbers) {
  FinetuneOptions options = toy().options();
  options.average_from_epoch = 0;
  const FinetuneResult result = run_finetune(options, fresh_);
  const Pretrained loaded = load_pretrained(run_);
  const auto clips = read_clip_sources(fresh_.val, *null_log());
  const LabelSet labels = labels_of(loaded, {});
  const ClassifierEvaluation again = evaluate_classifier(loaded.classifier(), loaded.spec, clips, labels,
                                                         {.show_progress = false}, null_log());
  EXPECT_EQ(to_json(again.result, labels.display_names()),
            to_json(*result.evaluation, labels.display_names()));
}

// A network with global tokens, whose sound is cut beside each picture of a clip.
class AlignedFinetuningTest : public FinetuningTest {
 protected:
  static FinetuneOptions aligned_options() {
    FinetuneOptions options = toy().options();
    CavMaeConfig config = toy_config();
    config.global_tokens = true;
    config.audio_window_frames = 32;
    RunInput data = toy_options().data;
    data.num_frames = 3;
    data.alignment = Alignment::picture;
    options.init = toy() / "aligned.safetensors";
    if (!fs::exists(options.init)) {
      CavMae model(config);
      initialize(model, 7);
      save_model(options.init, model, input_spec(config, data));
    }
    options.model = finetune_defaults(options.init).options.model;
    options.data = data;
    options.view.noise = options.view.roll = false;
    options.epochs = 2;
    options.average_from_epoch = 0;
    return options;
  }
};

TEST_F(AlignedFinetuningTest, AProbeOfGlobalTokensTrainsTheHeadAlone) {
  for (const FrameChoice frames : {FrameChoice::random, FrameChoice::middle}) {  // whose outputs are kept
    FinetuneOptions options = aligned_options();
    options.freeze_encoder = true;
    options.representation = Representation::global;
    options.view = ViewOptions{};
    options.view.frames = frames;
    const FinetuneResult result = run_finetune(options, fresh_);
    ASSERT_TRUE(result.evaluation);
    const TensorFile init = read_safetensors(options.init);
    const TensorFile last = read_safetensors(run_ / "checkpoints/last/model.safetensors");
    for (const auto& [name, tensor] : last.tensors)
      EXPECT_TRUE(name.starts_with("mlp_head.") || torch::equal(tensor, init.at(name))) << name;
    EXPECT_GT(last.at("mlp_head.1.bias").abs().max().item<float>(), 0.0F);

    const Pretrained loaded = load_pretrained(run_);
    torch::manual_seed(1);
    const Inputs inputs{.audio = torch::randn({2, 32, 32}), .video = torch::randn({2, 3, 32, 32})};
    const torch::NoGradGuard no_grad;
    const Latents latents = loaded.network()->encode(inputs);
    EXPECT_TRUE(loaded.classifier()->pooled(inputs).equal((latents.audio_token + latents.video_token) / 2));
    fs::remove_all(run_);
  }
}

class AttentionOverPictures : public AlignedFinetuningTest {
 protected:
  static FinetuneOptions options() {
    FinetuneOptions options = aligned_options();
    options.head_kind = HeadKind::self_attention;
    options.view.frames = options.validation_frames = FrameChoice::all;
    return options;
  }
};

TEST_F(AttentionOverPictures, TrainsResumesAndIsEvaluated) {
  const FinetuneResult whole = run_finetune(options(), toy().paths("attending"));
  EXPECT_EQ(whole.run.steps, 6);
  EXPECT_TRUE(run_finetune(options(), fresh_, [](int64_t step) {
                if (step == 2) std::raise(SIGTERM);
              }).run.interrupted);
  run_finetune(options(), resume_);
  expect_same_end(run_, toy() / "attending");

  const Pretrained loaded = load_pretrained(run_);
  EXPECT_TRUE(loaded.classifier()->attends_to_pictures());
  const auto parameters = loaded.network()->named_parameters();
  const TensorFile init = read_safetensors(options().init);
  EXPECT_GT(parameters["cls_cls_token"].detach().abs().max().item<float>(), 0.0F);
  EXPECT_FALSE(parameters["cls_token_a"].equal(init.at("cls_token_a"))) << "the encoders are trained";
  const LabelSet labels = labels_of(loaded, {});
  const ClassifierEvaluation again =
      evaluate_classifier(loaded.classifier(), loaded.spec, read_clip_sources(fresh_.val, *null_log()),
                          labels, {.view = {.frames = FrameChoice::all}, .show_progress = false}, null_log());
  EXPECT_EQ(to_json(again.result, labels.display_names()),
            to_json(*whole.evaluation, labels.display_names()));
}

TEST_F(AttentionOverPictures, IsTrainedAndJudgedOnAllOfThem) {
  FinetuneOptions some = options();
  EXPECT_NO_THROW(some.validate());
  some.view.frames = FrameChoice::random;
  some.validation_frames = some.final_frames = FrameChoice::middle;
  EXPECT_THAT(message_from<ConfigError>([&] { some.validate(); }),
              AllOf(HasSubstr("but frames is random"), HasSubstr("but validation_frames is middle"),
                    HasSubstr("but final_frames is middle")));
  FinetuneOptions linear = options();
  linear.head_kind = HeadKind::linear;
  EXPECT_THAT(message_from<ConfigError>([&] { linear.validate(); }), HasSubstr("frames is 'all'"));
}

// One that lacks a modality is named, and does not end the rest.
TEST_F(AttentionOverPictures, NeedsBothModalitiesOfEachClip) {
  Classifier classifier(options().model, options().head(3));
  CavMae network = as_network(classifier);
  initialize(network, 3);
  const fs::path folder = fresh_.val.front().parent_path();
  write_file(folder / "lacking.jsonl",
             R"({"id": "whole", "audio": "clip0.wav", "image": "clip0.png", "labels": ["a"]})"
             "\n"
             R"({"id": "silent", "image": "clip1.png", "labels": ["b"]})"
             "\n"
             R"({"id": "unseen", "audio": "clip2.wav", "labels": ["c"]})"
             "\n"
             R"({"id": "other", "audio": "clip4.wav", "image": "clip4.png", "labels": ["b"]})"
             "\n");
  const auto clips = read_clip_sources({folder / "lacking.jsonl"}, *null_log());
  const InputSpec spec = input_spec(options().model, options().data);
  PassOptions pass{.view = {.frames = FrameChoice::all}, .show_progress = false};
  pass.loader.batch_size = 2;
  pass.loader.max_bad_ratio = 0.5;
  const ClipScores scores = classify_clips(classifier, spec, clips, pass, null_log());
  EXPECT_THAT(scores.indices, ::testing::ElementsAre(0, 3));
  EXPECT_THAT(scores.audio_only, ::testing::IsEmpty());
  ASSERT_EQ(scores.failed.size(), 2u);
  EXPECT_EQ(scores.failed[0].id, "silent");
  EXPECT_THAT(scores.failed[0].reason, HasSubstr("no audio"));
  EXPECT_EQ(scores.failed[1].id, "unseen");

  EXPECT_THAT(message_from<ConfigError>(
                  [&] { classify_clips(classifier, spec, clips, pass, null_log(), Modalities::audio); }),
              HasSubstr("by its audio alone"));
  const LabelSet labels = labels_of_clips(clips);
  EXPECT_FALSE(
      evaluate_classifier(classifier, spec, clips, labels, pass, null_log(), EachAlone::yes).confusion);
}

// Of the clips that have both, whatever the others lack: what scoring each of them three times says.
TEST_F(FinetuningTest, ModalityConfusionIsOfTheClipsThatHaveBoth) {
  const fs::path folder = fresh_.val.front().parent_path();
  std::string lines;
  for (int64_t clip = 0; clip < 6; ++clip) {
    const std::string number = std::to_string(clip), label = std::string(1, "abcabc"[clip]);
    const bool silent = clip == 1, unseen = clip == 2;
    lines +=
        R"({"id": "c)" + number + R"(", )" + (silent ? "" : R"("audio": "clip)" + number + R"(.wav", )") +
        (unseen ? "" : R"("image": "clip)" + number + R"(.png", )") + R"("labels": [")" + label + "\"]}\n";
  }
  write_file(folder / "mixed.jsonl", lines);
  const auto clips = read_clip_sources({folder / "mixed.jsonl"}, *null_log());
  const auto whole = clips.at({0, 3, 4, 5});
  const LabelSet labels = labels_of_clips(clips);
  const InputSpec spec = input_spec(toy().options().model, toy().options().data);
  PassOptions pass{.view = {.frames = FrameChoice::middle}, .show_progress = false};
  pass.loader.batch_size = 2;
  pass.loader.max_bad_ratio = 0;  // none is damaged
  bool told_apart = false;
  for (uint64_t seed = 0; seed < 40 && !told_apart; ++seed) {
    Classifier classifier(toy().options().model, HeadOptions{.num_classes = 3});
    CavMae network = as_network(classifier);
    initialize(network, seed);
    const torch::NoGradGuard no_grad;
    classifier->named_parameters()["mlp_head.1.weight"].normal_(0, 3);
    const auto hits = [&](Modalities given) {
      const ClipScores scores = classify_clips(classifier, spec, whole, pass, null_log(), given);
      EXPECT_EQ(scores.indices.size(), 4u);
      std::vector<bool> out;
      for (int64_t row = 0; row < 4; ++row)
        out.push_back(scores.scores[row].argmax().item<int64_t>() == (row == 0 ? 0 : row - 1));  // a, a, b, c
      return out;
    };
    const auto both = hits(Modalities::both), audio = hits(Modalities::audio),
               video = hits(Modalities::video);
    double by_audio = 0, by_video = 0;
    for (size_t clip = 0; clip < 4; ++clip) {
      by_audio += audio[clip] && !both[clip] ? 0.25 : 0;
      by_video += video[clip] && !both[clip] ? 0.25 : 0;
    }
    const auto found = evaluate_classifier(classifier, spec, clips, labels, pass, null_log(), EachAlone::yes);
    EXPECT_EQ(found.scores.indices.size(), 6u);
    ASSERT_TRUE(found.confusion);
    EXPECT_EQ(found.confusion->clips, 4);
    EXPECT_DOUBLE_EQ(found.confusion->audio, by_audio);
    EXPECT_DOUBLE_EQ(found.confusion->video, by_video);
    told_apart = by_audio != by_video;
  }
  EXPECT_TRUE(told_apart) << "of no network did sound and pictures say different things";
}

// ---- before the first step

TEST_F(FinetuningTest, WhatIsWrongIsToldBeforeAnythingIsWritten) {
  const auto refused = [&](const FinetuneOptions& options, const RunPaths& paths) {
    const std::string message = message_from<Error>([&] { run_finetune(options, paths); });
    EXPECT_FALSE(fs::exists(run_)) << message;
    return message;
  };
  FinetuneOptions options = toy().options();
  RunPaths paths = fresh_;

  write_file(toy() / "two.csv", "index,mid,display_name\n0,a,A\n1,b,B\n");
  options.labels = toy() / "two.csv";
  EXPECT_THAT(refused(options, paths), AllOf(HasSubstr("c"), HasSubstr("two.csv")));
  write_file(toy() / "four.csv", "index,mid,display_name\n0,a,A\n1,b,B\n2,c,C\n3,d,D\n");
  options.labels = toy() / "four.csv";
  EXPECT_THAT(refused(options, paths), HasSubstr("D")) << "a class without a clip";
  options.labels.clear();

  write_file(toy() / "stranger.jsonl", R"({"id": "y", "image": "train/clip0.png", "labels": ["z"]})"
                                       "\n");
  paths.val = {toy() / "stranger.jsonl"};
  EXPECT_THAT(refused(options, paths), AllOf(HasSubstr("--val: "), HasSubstr("'z' of clip 'y'")));
  paths.val = fresh_.val;

  options.loss = ClassificationLoss::ce;
  paths.data = {make_labelled_clips(toy() / "several", 12, 3, {.several = true})};
  EXPECT_THAT(refused(options, paths), HasSubstr("clip0"));
  options.loss = ClassificationLoss::bce;

  write_file(toy() / "silent.jsonl", R"({"id": "x", "image": "train/clip0.png", "labels": ["a"]})"
                                     "\n");
  paths.data = {toy() / "silent.jsonl"};
  paths.val = {};
  EXPECT_THAT(refused(options, paths),
              AllOf(HasSubstr("x"), HasSubstr("no audio"), HasSubstr("--mode video")));
}

TEST_F(FinetuningTest, AResumedRunNeedsTheSameClasses) {
  FinetuneOptions options = toy().options();
  options.epochs = 1;
  options.average_from_epoch = 0;
  run_finetune(options, fresh_);
  RunPaths other = resume_;
  other.data = {make_labelled_clips(toy() / "renamed", 12, 1, {.last_label = "z"})};
  other.val = {};
  options.epochs = 2;
  EXPECT_THAT(message_from<Error>([&] { run_finetune(options, other); }), HasSubstr("classes"));
}

// Gong et al., ICLR 2023, as they released it.
struct FinetuneCase {
  const char* name;
  double lr, head_lr_scale;
  int64_t batch, epochs, decay_start;
  ClassificationLoss loss;
  bool balanced;
  int64_t average_from, average_to;
};

class FinetuneRecipe : public ::testing::TestWithParam<FinetuneCase> {};

TEST_P(FinetuneRecipe, IsTheAuthors) {
  const FinetuneCase& wanted = GetParam();
  FinetuneOptions options;
  const fs::path file = fs::path(CAVMAE_SOURCE_DIR) / "configs" / (std::string(wanted.name) + ".json");
  option_from_json(read_json(file), options, file.string());
  options.validate();
  EXPECT_EQ(options.schedule.lr, wanted.lr);
  EXPECT_EQ(options.head_lr_scale, wanted.head_lr_scale);
  EXPECT_EQ(options.loader.batch_size, wanted.batch);
  EXPECT_EQ(options.epochs, wanted.epochs);
  EXPECT_EQ(options.schedule.lr_schedule, LrSchedule::step_decay);
  EXPECT_EQ(options.schedule.decay_start, wanted.decay_start);
  EXPECT_EQ(options.schedule.decay_step, 1);
  EXPECT_EQ(options.schedule.decay_factor, 0.5);
  EXPECT_EQ(options.loss, wanted.loss);
  EXPECT_EQ(options.balanced_sampling, wanted.balanced);
  EXPECT_EQ(options.average_from_epoch, wanted.average_from);
  EXPECT_EQ(options.average_to_epoch, wanted.average_to);
  EXPECT_EQ(options.view.frequency_mask, 48);
  EXPECT_EQ(options.view.time_mask, 192);
  EXPECT_TRUE(options.view.noise && options.view.roll && options.view.frames == FrameChoice::random);
  EXPECT_EQ(options.targets.mixup, 0.5);
  EXPECT_EQ(options.targets.mixup_alpha, 10);
  EXPECT_EQ(options.targets.label_smoothing, 0.1);
  EXPECT_EQ(options.optimizer.beta1, 0.95);
  EXPECT_EQ(options.optimizer.beta2, 0.999);
  EXPECT_EQ(options.optimizer.weight_decay, 5e-7);
}

INSTANTIATE_TEST_SUITE_P(All, FinetuneRecipe,
                         ::testing::Values(FinetuneCase{"finetune-audioset-20k", 5e-5, 100, 36, 15, 5,
                                                        ClassificationLoss::bce, false, 3, 15},
                                           FinetuneCase{"finetune-audioset-2m", 1e-5, 50, 48, 10, 2,
                                                        ClassificationLoss::bce, true, 1, 10},
                                           FinetuneCase{"finetune-vggsound", 1e-4, 10, 48, 10, 2,
                                                        ClassificationLoss::ce, true, 3, 10}));

TEST(FinetuneOptions, NameEveryBadField) {
  FinetuneOptions options;
  options.head_lr_scale = 0;
  options.average_from_epoch = 5;
  options.average_to_epoch = 4;
  options.final_frames = FrameChoice::random;
  options.checkpoint.best_metric = BestMetric::retrieval;
  EXPECT_THAT(message_from<ConfigError>([&] { options.validate(); }),
              AllOf(HasSubstr("head_lr_scale is 0"), HasSubstr("average_to_epoch is 4"),
                    HasSubstr("final_frames is random"), HasSubstr("best_metric is retrieval")));
}

}  // namespace
}  // namespace cavmae
