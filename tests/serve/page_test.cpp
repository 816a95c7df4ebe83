// The page in a real browser: browser/page.mjs, with Debian's Chromium and playwright-core.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/serve/toy_server.h"

namespace cavmae {
namespace {

using testing_support::run_shell;

bool have_browser() {
  return run_shell("chromium --version && node --version").exit_code == 0;
}
bool have_playwright() {
  return std::filesystem::exists(std::filesystem::path(CAVMAE_SOURCE_DIR) /
                                 "tests/serve/browser/node_modules/playwright-core");
}

TEST(Page, InABrowser) {
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  CAVMAE_SKIP_OR_FAIL_WITHOUT(have_browser(), "chromium or nodejs");
  CAVMAE_SKIP_OR_FAIL_WITHOUT(have_playwright(), "playwright-core (npm ci in tests/serve/browser)");
  const TemporaryFolder folder;
  const ToyLibrary toy(folder.path());
  const auto film = [&](const std::string& name, const std::string& picture, const std::string& sound,
                        const std::string& codecs) {
    std::filesystem::create_directories((toy.films() / name).parent_path());
    const auto outcome =
        run_shell("ffmpeg -nostdin -v error -y -f lavfi -i \"" + picture + "\" -f lavfi -i \"" + sound +
                  "\" -t 6 -pix_fmt yuv420p " + codecs + " '" + (toy.films() / name).string() + "'");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  };
  const std::string h264 = "-c:v libx264 -g 10 -c:a aac";
  film("mandel.mp4", "mandelbrot=s=480x270:r=10", "aevalsrc='0.3*sin(2*PI*t*(200+150*floor(t)))':s=16000",
       h264);
  film("waves.avi", "gradients=s=480x270:r=10:c0=0x164a7a:c1=0x5fc0d8:x0=0:y0=0:x1=480:y1=270:speed=0.02",
       "anoisesrc=c=pink:r=16000:a=0.4:seed=1", "-c:v mpeg4 -q:v 4 -c:a pcm_s16le");
  film(
      "garden.mp4",
      "life=s=120x68:mold=10:r=10:ratio=0.2:death_color=#2a6b36:life_color=#d8f0b0:seed=3,scale=480:270:flags=neighbor",
      "aevalsrc='0.3*sin(2*PI*t*700)*(1+sin(2*PI*t*3))':s=16000", h264);
  film("festival/stage.mp4", "gradients=s=480x270:r=10:c0=0xb3387f:c1=0xf5a35c:speed=0.05",
       "aevalsrc='0.3*sin(2*PI*t*90)+0.2*sin(2*PI*t*181)':s=16000", h264);
  film("festival/lights.mp4", "testsrc2=s=480x270:r=10",
       "aevalsrc='0.4*sin(2*PI*t*(300+900*mod(t,1)))':s=16000", h264);
  std::filesystem::create_directories(toy.films() / "sounds");
  write_video(toy.films() / "sounds/bird.wv", 4, "-vn -c:a wavpack",
              "aevalsrc='0.5*sin(2*PI*t*(2500+800*sin(20*t)))*(0.5+0.5*sin(9*t))':s=16000");
  write_wav(toy.films() / "sounds/hum.wav", 4, 120);
  const auto poster = run_shell("ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=s=640x360 -frames:v 1 '" +
                                (toy.films() / "poster.tif").string() + "'");
  ASSERT_EQ(poster.exit_code, 0) << poster.err;
  toy.index();
  FolderWriter(folder / "empty", toy.settings(), LibraryStart::add, null_log()).finish();
  const std::string token = "reading-0123456789abcdef";
  write_text(folder / "tokens", "read " + token + "\n");
  ::chmod((folder / "tokens").c_str(), 0600);
  std::filesystem::create_directories(folder / "out");
  const auto outcome =
      run_shell("node '" CAVMAE_SOURCE_DIR "/tests/serve/browser/page.mjs' " CAVMAE_PROGRAM " '" +
                toy.library().string() + "' '" + (folder / "empty").string() + "' '" + toy.films().string() +
                "' '" + (folder / "tokens").string() + "' " + token + " '" + (folder / "out").string() + "'");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  // CAVMAE_SCREENSHOTS=FOLDER keeps what it looked like; wide_light.png is docs/search.png.
  if (const char* keep = std::getenv("CAVMAE_SCREENSHOTS")) {
    std::filesystem::create_directories(keep);
    using std::filesystem::copy_options;
    std::filesystem::copy(folder / "out", keep, copy_options::overwrite_existing | copy_options::recursive);
  }
}

}  // namespace
}  // namespace cavmae
