// Decoders: what they can do, what becomes of files that break them.
#include <chrono>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>

#include "cavmae/serve/decoded_file.h"

#include "tests/serve/toy_server.h"
#include "tests/support/background.h"
#include "tests/support/program.h"

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
  CAVMAE_SKIP_OR_FAIL_WITHOUT(testing_support::have_ffmpeg(), "ffmpeg");
  write_video(folder_ / "film.mp4", 4, "-c:v libx264 -g 20 -c:a aac", "sine=f=900:r=16000");
  write_flat_png(folder_ / "grey.png", 90);
  const ClipReader reader(tiny_features());
  for (const std::string name : {"a.wav", "film.mp4", "grey.png"}) {
    const auto file = std::make_shared<OpenFile>(::open((folder_ / name).c_str(), O_RDONLY | O_CLOEXEC));
    const MediaSource source = decoded_file(pool_, file, name, {}, Urgency::query);
    const auto read = [&](const MediaSource& from) {
      return reader.read(clip_of_file(from), {.frames = FrameChoice::all}, Need::any, 0);
    };
    const Sample sample = read(source), expected = read(folder_ / name);
    for (const auto& [x, y] :
         {std::pair(sample.audio, expected.audio), std::pair(sample.video, expected.video)}) {
      ASSERT_EQ(x.defined(), y.defined()) << name;
      EXPECT_TRUE(!x.defined() || same_bits(x, y)) << name;
    }
    EXPECT_THROW(source.open(), Error);
    EXPECT_THROW(read_frames(source, {0.0}), Error);
  }
}

TEST_F(Decoders, KnowNothingOfLibTorch) {
  const testing_support::Outcome libraries = testing_support::run_shell("ldd " + decoder_program().string());
  EXPECT_THAT(libraries.out, testing::AllOf(HasSubstr("libavcodec"), testing::Not(HasSubstr("libtorch")),
                                            testing::Not(HasSubstr("libc10"))));
}

// A file that was written anew is probed anew.
TEST_F(Decoders, SeeThatAFileHasChanged) {
  DecodePool pool({.program = decoder_program(), .decoders = 1}, null_log());
  for (const int seconds : {3, 2}) {
    write_wav(folder_ / "a.wav", seconds, 500);
    const auto file = std::make_shared<OpenFile>(::open((folder_ / "a.wav").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_NEAR(probe_media(decoded_file(pool, file, "a.wav", {}, Urgency::query)).duration_seconds, seconds,
                1e-6);
  }
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
    EXPECT_TRUE(decode(folder_ / "a.wav", {.kind = DecodeKind::probe, .name = {}}).info.has_audio);
  EXPECT_GE(pool_.replaced(), 1);  // one may serve all
  EXPECT_LE(pool_.replaced(), static_cast<int64_t>(before.size()));
}

TEST_F(Decoders, AreReplacedWhenTheyTakeTooLong) {
  write_wav(folder_ / "a.wav", 3, 500);
  DecodePool pool({.program = decoder_program(), .decoders = 1, .grace_seconds = 0.2}, null_log());
  const int stopped = pool.processes()[0];
  DecodeJob job{.kind = DecodeKind::probe, .name = "a.wav"};
  job.time_limit_seconds = 0.5;
  const OpenFile file(::open((folder_ / "a.wav").c_str(), O_RDONLY | O_CLOEXEC));
  ::kill(stopped, SIGSTOP);
  EXPECT_THROW(pool.decode(job, {file.descriptor()}, Urgency::query), MediaError);
  EXPECT_EQ(pool.replaced(), 1);
  EXPECT_NE(pool.processes()[0], stopped);
  EXPECT_NE(::kill(stopped, 0), 0);  // it is gone, and was waited for
  job.time_limit_seconds = 30;
  EXPECT_TRUE(pool.decode(job, {file.descriptor()}, Urgency::query).info.has_audio);
}

TEST(DecodePool, NeedsItsProgram) {
  EXPECT_THAT(
      message_from<ConfigError>([] { DecodePool({.program = "/nowhere/cavmae-decode"}, null_log()); }),
      HasSubstr("install cavmae as a whole"));
}

}  // namespace
}  // namespace cavmae
