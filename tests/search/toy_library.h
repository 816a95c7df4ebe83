// A small network in a file, films to fill a library with, and the library. Test code only.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cavmae/data/media_files.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"
#include "cavmae/search/indexer.h"
#include "cavmae/search/open_library.h"

#include "tests/data/toy_media.h"
#include "tests/support/temporary_folder.h"

namespace cavmae {

// For windows of two seconds with ten pictures.
inline CavMaeConfig toy_network() {
  const InputSpec spec = tiny_features();
  return {.num_fbank_frames = spec.num_fbank_frames,
          .num_mel_bins = spec.num_mel_bins,
          .image_size = spec.image_size,
          .patch_size = 16,
          .embed_dim = 24,
          .num_heads = 3,
          .modality_depth = 1,
          .joint_depth = 1,
          .decoder_depth = 1,
          .decoder_embed_dim = 16,
          .decoder_num_heads = 2};
}

// With alignment picture its sound is by segments of 32 frames.
inline std::filesystem::path save_toy_model(const std::filesystem::path& file, uint64_t seed,
                                            Alignment alignment = Alignment::clip) {
  InputSpec spec = tiny_features();
  CavMaeConfig config = toy_network();
  spec.alignment = alignment;
  if (alignment == Alignment::picture) config.audio_window_frames = spec.audio_window_frames = 32;
  CavMae network(config);
  initialize(network, seed);
  save_model(file, network, spec);
  return file;
}

// As the commands load it: a decoder would be a part of the parameters' hash.
inline LoadOptions without_decoder() {
  LoadOptions options;
  options.decoder = DecoderUse::none;
  return options;
}

// Fills a library from a folder; what became of it.
class ToyLibrary {
 public:
  // `name`: of the library, where it is to be no folder. `alignment`: of the model.
  explicit ToyLibrary(const std::filesystem::path& folder, std::string name = {},
                      Alignment alignment = Alignment::clip)
      : folder_(folder),
        name_(name.empty() ? library().string() : std::move(name)),
        model_(
            load_pretrained(save_toy_model(folder / "model.safetensors", 3, alignment), without_decoder())) {
    std::filesystem::create_directories(folder / "films");
  }

  std::filesystem::path library() const { return folder_ / "library"; }
  const std::string& name() const { return name_; }
  std::filesystem::path films() const { return folder_ / "films"; }
  const Pretrained& model() const { return model_; }

  LibrarySettings settings(double hop_seconds = 1.0) const {
    LibrarySettings settings;
    settings.model = library_model(model_);
    settings.hop_seconds = hop_seconds;
    settings.data = {films().string()};
    return settings;
  }
  IndexResult index(const LibrarySettings& settings, LibraryStart start = LibraryStart::add,
                    bool prune = false, const std::shared_ptr<Log>& log = null_log()) const {
    const auto writer = open_library_to_write(name_, settings, start, log);
    const IndexResult result =
        index_files(*writer, model_, read_clip_sources({films()}, *log), {.prune = prune}, false, log);
    writer->finish();
    return result;
  }
  IndexResult index(double hop_seconds = 1.0) const { return index(settings(hop_seconds)); }
  IndexResult prune() const { return index(settings(), LibraryStart::add, true); }

 private:
  std::filesystem::path folder_;
  std::string name_;
  Pretrained model_;
};

// All moments of a library, in the order of their files' paths and starts.
struct FoundMoment {
  std::string path;
  Moment moment;
  ClipVectors vectors;
};
inline std::vector<FoundMoment> moments_in(LibraryReader& library) {
  std::vector<FoundMoment> out;
  const torch::Tensor files = library.files_under("/");
  for (int64_t i = 0; i < files.numel(); ++i)
    for (const Moment& moment : library.moments_of(files[i].item<int64_t>()))
      out.push_back(
          {.path = library.file(moment.file)->path, .moment = moment, .vectors = library.vectors(moment.id)});
  std::ranges::sort(out, {}, [](const FoundMoment& m) { return std::pair(m.path, m.moment.start_ms); });
  return out;
}

}  // namespace cavmae
