// A trained model that is asked about one clip after another: where a program that uses cavmae begins. Passes
// over whole data sets, with workers and a cache, are embed_clips() and classify_clips(). All questions are
// safe from several threads at once and give each the numbers that it gives alone.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "cavmae/data/clip_reader.h"
#include "cavmae/eval/class_ranking.h"
#include "cavmae/media/media_source.h"
#include "cavmae/models/pretrained.h"

namespace cavmae {

// Not normalised; nearest() does not mind. Of a modality that the clip or the network lacks: undefined.
struct ClipVectors {
  torch::Tensor audio, video;  // float [D] on the CPU
};

class Model {
 public:
  // `checkpoint`: a run's folder, one of its checkpoints, a .safetensors file or the authors' .pth. Throws
  // CheckpointError and ConfigError as load_pretrained() does, with DecoderUse::none.
  explicit Model(const std::filesystem::path& checkpoint, const LoadOptions& options = {});

  // A source is a file's path, bytes in memory (media_in_memory()) or a part of a file. Of it the network
  // takes as long a part as it is made for: the middle, unless `view.window_start` says which. Throws
  // MediaError that names the source: not there, damaged, nothing in it that the network could take.
  ClipVectors embed(const MediaSource& source, const ViewOptions& view = {}) const;
  ClipVectors embed(const ClipSource& clip, const ViewOptions& view = {}) const;

  // Every class, best first: the mean of the scores over the clip's pictures. Throws CheckpointError when the
  // model is no classifier, or its file does not name the classes.
  std::vector<ScoredClass> classify(const MediaSource& source,
                                    const ViewOptions& view = all_pictures()) const;
  std::vector<ScoredClass> classify(const ClipSource& clip, const ViewOptions& view = all_pictures()) const;

  const Pretrained& pretrained() const { return pretrained_; }

 private:
  static ViewOptions all_pictures() { return {.frames = FrameChoice::all}; }

  Pretrained pretrained_;
  std::shared_ptr<const ClipReader> reader_;
};

// What a network takes of a clip, and a batch of that one clip.
Need needed_of(const CavMaeConfig& network);
Inputs batch_of_one(const Sample& sample);

}  // namespace cavmae
