#include "cavmae/models/cav_mae_config.h"

#include <cmath>

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace {

void require_positive(Problems& problems, const char* field, int64_t value) {
  problems.require(value > 0, field, " is ", value, ", it must be at least 1");
}

void require_not_negative(Problems& problems, const char* field, int64_t value) {
  problems.require(value >= 0, field, " is ", value, ", it must be at least 0");
}

struct Multiple {
  const char* field;
  int64_t value;
  const char* of;
  int64_t divisor;
};
void require_multiple(Problems& problems, const Multiple& m) {
  if (m.value > 0 && m.divisor > 0)
    problems.require(m.value % m.divisor == 0, m.field, " is ", m.value, ", it must be a multiple of ", m.of,
                     " (", m.divisor, ")");
}

void check_inputs(const CavMaeConfig& c, Problems& problems) {
  require_positive(problems, "patch_size", c.patch_size);
  if (c.has_audio()) {
    require_positive(problems, "num_fbank_frames", c.num_fbank_frames);
    require_positive(problems, "num_mel_bins", c.num_mel_bins);
    if (c.audio_window_frames == 0)
      require_multiple(problems, {"num_fbank_frames", c.num_fbank_frames, "patch_size", c.patch_size});
    require_multiple(problems, {"audio_window_frames", c.audio_window_frames, "patch_size", c.patch_size});
    problems.require(c.audio_window_frames >= 0 && c.audio_window_frames <= c.num_fbank_frames,
                     "audio_window_frames is ", c.audio_window_frames,
                     ", it must be 0 (all frames) to num_fbank_frames (", c.num_fbank_frames, ")");
    require_multiple(problems, {"num_mel_bins", c.num_mel_bins, "patch_size", c.patch_size});
  }
  if (c.has_video()) {
    require_positive(problems, "image_size", c.image_size);
    require_multiple(problems, {"image_size", c.image_size, "patch_size", c.patch_size});
  }
}

// A width is cut into heads, and its sin-cos positions into quarters.
void check_width(const char* width_field, int64_t width, const char* heads_field, int64_t heads,
                 Problems& problems) {
  require_positive(problems, width_field, width);
  require_positive(problems, heads_field, heads);
  require_multiple(problems, {width_field, width, heads_field, heads});
  problems.require(width % 4 == 0, width_field, " is ", width, ", it must be a multiple of 4");
}

void check_depths(const CavMaeConfig& c, Problems& problems) {
  require_not_negative(problems, "modality_depth", c.modality_depth);
  require_not_negative(problems, "joint_depth", c.joint_depth);
  require_not_negative(problems, "decoder_depth", c.decoder_depth);
  const std::string streams = enum_name(c.joint_streams);
  if (c.modalities == Modalities::both) {
    problems.require(
        c.joint_streams != JointStreams::none,
        "joint_streams is none, which is for one modality alone; allowed: both, audio_video, all");
  } else {
    problems.require(c.joint_streams == JointStreams::none, "joint_streams is ", streams,
                     ", but modalities is ", enum_name(c.modalities), "; one modality alone has none");
  }
  if (c.joint_streams == JointStreams::none) {
    problems.require(c.joint_depth == 0, "joint_depth is ", c.joint_depth,
                     ", but joint_streams is none; it must be 0");
    problems.require(c.modality_depth != 0, "modality_depth is 0, so that there is no layer at all");
  } else {
    problems.require(c.joint_depth != 0, "joint_depth is 0, but joint_streams is ", streams,
                     "; it must be at least 1");
  }
  problems.require(
      c.joint_streams != JointStreams::separate || c.decoder_depth <= 0, "decoder_depth is ", c.decoder_depth,
      ", but the decoder needs the two modalities joined (joint_streams both or all); with audio_video it must be 0");
}

void check_tokens(const CavMaeConfig& c, Problems& problems) {
  problems.require(!c.global_tokens || c.has_single_streams(),
                   "global_tokens needs joint layers that each modality goes through alone (joint_streams "
                   "audio_video or all), but joint_streams is ",
                   enum_name(c.joint_streams));
  problems.require(c.contrastive_pooling != ContrastivePooling::both || c.global_tokens,
                   "contrastive_pooling is both, which needs global_tokens");
  problems.require(c.registers >= 0 && c.registers <= 1024, "registers is ", c.registers,
                   ", it must be 0 to 1024");
  problems.require(c.registers == 0 || c.modality_depth != 0, "registers is ", c.registers,
                   ", but modality_depth is 0, and only those layers have registers");
}

}  // namespace

void CavMaeConfig::validate() const {
  Problems problems;
  check_inputs(*this, problems);
  check_width("embed_dim", embed_dim, "num_heads", num_heads, problems);
  problems.require(std::isfinite(mlp_ratio) && static_cast<double>(embed_dim) * mlp_ratio >= 1.0,
                   "mlp_ratio is ", mlp_ratio, ", it must be above 0");
  check_depths(*this, problems);
  check_tokens(*this, problems);
  if (decoder_depth > 0)
    check_width("decoder_embed_dim", decoder_embed_dim, "decoder_num_heads", decoder_num_heads, problems);
  problems.throw_if_any("the model's configuration cannot be used");
}

CavMaeConfig CavMaeConfig::without_decoder() const {
  CavMaeConfig config = *this;
  config.decoder_depth = 0;
  return config;
}

}  // namespace cavmae
