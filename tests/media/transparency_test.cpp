// What is transparent shows white, wherever a file keeps its alpha plane.
#include <string>

#include <gtest/gtest.h>

#include "cavmae/media/media_reader.h"

#include "tests/media/media_files.h"
#include "tests/support/media_tensors.h"

namespace cavmae {
namespace {

using testing_media::MediaFiles;

class Transparency : public MediaFiles {
 protected:
  void SetUp() override {
    MediaFiles::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // Opaque at the left, transparent by degrees to the right; black where it is wholly so.
    ffmpeg(
        "-f lavfi -i \"color=black:s=64x48:r=5:d=1,format=rgba,"
        "geq=r='if(lt(X,60),200,0)':g='if(lt(X,60),2*X,0)':b='if(lt(X,60),80,0)':a='clip(255-6*(X-16),0,255)'\" -frames:v 3 a%d.png");
  }

  void expect_as_png(const torch::Tensor& image, double bound, const std::string& what) const {
    const torch::Tensor expected = image_tensor(at("a1.png"));
    ASSERT_EQ(image.sizes(), expected.sizes()) << what;
    EXPECT_LT((image.to(torch::kFloat32) - expected.to(torch::kFloat32)).abs().mean().item<double>(), bound)
        << what;
    EXPECT_GT(image.select(1, 63).min().item<int64_t>(), 250) << what;
  }
};

TEST_F(Transparency, OfAvif) {
  ffmpeg(
      "-i a1.png -filter_complex \"[0:v]format=yuva444p,split[c][a];[a]alphaextract[al]\" -map \"[c]\" -map \"[al]\" "
      "-frames:v 1 -c:v libaom-av1 -cpu-used 8 -crf 5 -still-picture 1 a.avif");
  expect_as_png(image_tensor(at("a.avif")), 3.0, "avif");
  expect_as_png(frame_tensors(at("a.avif"), {0.0, 1.0})[1], 3.0, "avif");
  ffmpeg("-i a1.png -pix_fmt yuv444p -c:v libaom-av1 -cpu-used 8 -crf 5 -still-picture 1 opaque.avif");
  EXPECT_LT(image_tensor(at("opaque.avif")).select(1, 63).max().item<int64_t>(), 40);
}

TEST_F(Transparency, OfVp8AndVp9) {
  for (const std::string codec : {"libvpx", "libvpx-vp9"})
    for (const char* file : {"a.webm", "a.mkv"}) {
      ffmpeg("-framerate 5 -i a%d.png -c:v " + codec + " -auto-alt-ref 0 -crf 5 -b:v 2M -pix_fmt yuva420p " +
             file);
      for (const auto& image : frame_tensors(at(file), {0.0, 0.2, 0.4}))
        expect_as_png(image, 4.0, codec + " " + file);
    }
}

TEST_F(Transparency, OfOtherVideos) {
  ffmpeg("-i a1.png -c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le a.mov");
  ffmpeg("-i a1.png -c:v qtrle -pix_fmt argb b.mov");
  ffmpeg("-i a1.png -c:v ffv1 -pix_fmt yuva444p10le c.mkv");
  ffmpeg("-i a1.png -c:v utvideo -pix_fmt gbrap d.mkv");
  for (const char* file : {"a.mov", "b.mov", "c.mkv", "d.mkv"})
    expect_as_png(frame_tensors(at(file), {0.0})[0], 2.0, file);
}

}  // namespace
}  // namespace cavmae
