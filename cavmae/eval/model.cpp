#include "cavmae/eval/model.h"

#include "cavmae/core/own_errors.h"
#include "cavmae/data/media_files.h"
#include "cavmae/eval/embed.h"

namespace cavmae {
namespace {

constexpr uint64_t kNothingRandom = 0;

torch::Tensor only_row(const torch::Tensor& rows) {
  return rows.defined() ? rows[0].clone() : rows;
}

}  // namespace

Need needed_of(const CavMaeConfig& network) {
  return !network.has_video() ? Need::audio : !network.has_audio() ? Need::video : Need::any;
}

Inputs batch_of_one(const Sample& sample) {
  Inputs inputs;
  if (sample.audio.defined()) inputs.audio = sample.audio.unsqueeze(0);
  if (sample.video.defined()) inputs.video = sample.video.unsqueeze(0);
  return inputs;
}

Model::Model(const std::filesystem::path& checkpoint, const LoadOptions& options)
    : pretrained_(with_own_errors([&] {
        LoadOptions without_decoder = options;  // which answers no question
        without_decoder.decoder = DecoderUse::none;
        return load_pretrained(checkpoint, without_decoder);
      })),
      reader_(std::make_shared<const ClipReader>(pretrained_.spec)) {}

ClipVectors Model::embed(const MediaSource& source, const ViewOptions& view) const {
  return embed(clip_of_file(source), view);
}

ClipVectors Model::embed(const ClipSource& clip, const ViewOptions& view) const {
  return with_own_errors([&] {
    CavMae network = pretrained_.network();
    const Sample sample = reader_->read(clip, view, needed_of(network->config()), kNothingRandom);
    const Embeddings embeddings = embed_batch(network, batch_of_one(sample));
    return ClipVectors{.audio = only_row(embeddings.audio), .video = only_row(embeddings.video)};
  });
}

std::vector<ScoredClass> Model::classify(const MediaSource& source, const ViewOptions& view) const {
  return classify(clip_of_file(source), view);
}

std::vector<ScoredClass> Model::classify(const ClipSource& clip, const ViewOptions& view) const {
  return with_own_errors([&] {
    Classifier classifier = pretrained_.classifier();
    const LabelSet labels = labels_of(pretrained_);
    const Need need = needed_of_head(classifier->head_options());
    const Sample sample = reader_->read(clip, view, need, kNothingRandom);
    return rank_classes(classify_batch(classifier, batch_of_one(sample)).scores[0], labels);
  });
}

}  // namespace cavmae
