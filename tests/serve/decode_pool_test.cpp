// Decoders: what they can do, what becomes of files that break them.
#include "cavmae/serve/decode_pool.h"

#include <chrono>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/serve/toy_server.h"
#include "tests/support/background.h"

namespace cavmae {
namespace {

using testing::HasSubstr;

class Decoders : public testing::Test {
 protected:
  Decoders() : pool_({.program = decoder_program()}, null_log()) {}

  // What a decoder says of a file.
  DecodeAnswer decode(const std::filesystem::path& file, DecodeJob job) {
    const OpenFile opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    job.name = file.filename().string();
    if (job.kind == DecodeKind::features || job.kind == DecodeKind::spectrogram) job.spec = tiny_features();
    return pool_.decode(job, {opened.descriptor()}, Urgency::query);
  }

  TemporaryFolder folder_;
  DecodePool pool_;
};

TEST_F(Decoders, AreConfinedAndGiveWhatAReaderGives) {
  // That they are confined was asked when the pool was made; here it is seen from outside.
  for (const int process : pool_.processes()) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    const std::string text((std::istreambuf_iterator<char>(status)), {});
    EXPECT_THAT(text, HasSubstr("Seccomp:\t2"));
    EXPECT_THAT(text, HasSubstr("NoNewPrivs:\t1"));
  }
  write_wav(folder_ / "a.wav", 3, 500);
  const DecodeAnswer answer = decode(folder_ / "a.wav", {.kind = DecodeKind::features, .name = {}});
  const Sample expected =
      ClipReader(tiny_features())
          .read(clip_of_file(folder_ / "a.wav"), {.frames = FrameChoice::all}, Need::any, 0);
  EXPECT_TRUE(same_bits(answer.audio, expected.audio));
  EXPECT_FALSE(answer.video.defined());
}

TEST_F(Decoders, SayWhatIsWrongWithAFile) {
  write_text(folder_ / "words.mp4", std::string(5000, 'x'));
  EXPECT_THAT(message_from<MediaError>([&] { decode(folder_ / "words.mp4", {.name = {}}); }),
              HasSubstr("words.mp4"));
  write_flat_png(folder_ / "big.png", 10, 200);
  DecodeJob job{.kind = DecodeKind::picture, .name = {}};
  job.max_pixels = 10000;
  EXPECT_THAT(message_from<MediaError>([&] { decode(folder_ / "big.png", job); }), HasSubstr("200x200"));
  EXPECT_EQ(pool_.replaced(), 0);
}

void wait_for_the_end_of(int process) {
  const std::string state_file = concat("/proc/", process, "/stat");
  for (int i = 0; i < 500 && read_text(state_file).find(") Z") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

TEST_F(Decoders, AreReplacedWhenTheyDie) {
  write_wav(folder_ / "a.wav", 3, 500);
  const auto before = pool_.processes();
  for (const int process : before) ::kill(process, SIGKILL);
  for (const int process : before) wait_for_the_end_of(process);
  for (int i = 0; i < 6; ++i)
    EXPECT_TRUE(decode(folder_ / "a.wav", {.kind = DecodeKind::features, .name = {}}).audio.defined());
  EXPECT_GE(pool_.replaced(), 1);  // one may serve all
  EXPECT_LE(pool_.replaced(), static_cast<int64_t>(before.size()));
}

TEST_F(Decoders, AreReplacedWhenTheyTakeTooLong) {
  write_wav(folder_ / "a.wav", 3, 500);
  DecodePool pool({.program = decoder_program(), .decoders = 1, .grace_seconds = 0.2}, null_log());
  const int stopped = pool.processes()[0];
  DecodeJob job{.kind = DecodeKind::features, .name = "a.wav"};
  job.spec = tiny_features();
  job.time_limit_seconds = 0.5;
  const OpenFile file(::open((folder_ / "a.wav").c_str(), O_RDONLY | O_CLOEXEC));
  ::kill(stopped, SIGSTOP);
  EXPECT_THROW(pool.decode(job, {file.descriptor()}, Urgency::query), MediaError);
  EXPECT_EQ(pool.replaced(), 1);
  EXPECT_NE(pool.processes()[0], stopped);
  EXPECT_NE(::kill(stopped, 0), 0);  // it is gone, and was waited for
  job.time_limit_seconds = 30;
  EXPECT_TRUE(pool.decode(job, {file.descriptor()}, Urgency::query).audio.defined());
}

TEST(DecodePool, NeedsItsProgram) {
  EXPECT_THAT(
      message_from<ConfigError>([] { DecodePool({.program = "/nowhere/cavmae-decode"}, null_log()); }),
      HasSubstr("install it beside cavmae"));
}

}  // namespace
}  // namespace cavmae
