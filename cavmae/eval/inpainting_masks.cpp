#include "cavmae/eval/inpainting_masks.h"

#include "cavmae/core/options.h"

namespace cavmae {

MaskOptions masks_before_user(Hide hide, const MaskOptions& trained) {
  MaskOptions masks = trained;
  if (hide != Hide::parts) masks.mask_ratio_audio = masks.mask_ratio_video = 0;
  return masks;
}

MaskOptions hide_wholly(Hide hide, MaskOptions masks) {
  if (hide != Hide::parts) {
    double& ratio = hide == Hide::audio ? masks.mask_ratio_audio : masks.mask_ratio_video;
    CAVMAE_CHECK_AS(ConfigError, ratio == 0 || ratio == 1, "--hide ", enum_name(hide),
                    " hides all of it; --mask-ratio-", enum_name(hide), " ", ratio, " contradicts it");
    ratio = 1;
  }
  masks.validate();
  return masks;
}

void check_inpainting(const std::string& clip_id, const Sample& sample, const CavMaeConfig& config,
                      const MaskOptions& masks) {
  const bool both = config.has_audio() && config.has_video();
  const bool sees_audio = config.has_audio() && masks.mask_ratio_audio < 1;
  const bool sees_video = config.has_video() && masks.mask_ratio_video < 1;
  CAVMAE_CHECK_AS(ConfigError, sees_audio || sees_video,
                  "everything is hidden, so there is nothing to rebuild from",
                  both ? "" : concat("; this network has ", enum_name(config.modalities), " alone"));
  CAVMAE_CHECK_AS(ConfigError,
                  (config.has_audio() && masks.mask_ratio_audio > 0) ||
                      (config.has_video() && masks.mask_ratio_video > 0),
                  "nothing is hidden, so there is nothing to rebuild; raise a mask ratio or give --hide");
  CAVMAE_CHECK_AS(MediaError, !sees_audio || sample.audio.defined(), clip_id,
                  ": has no audio; '--hide audio' rebuilds it from the video");
  CAVMAE_CHECK_AS(MediaError, !sees_video || sample.video.defined(), clip_id,
                  ": has no video; '--hide video' rebuilds it from the audio");
}

}  // namespace cavmae
