// Files that change while they are read, and whose clocks lie.
#include <chrono>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/files.h"
#include "cavmae/search/indexer.h"

#include "tests/search/toy_library.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

// Alone, and told of every input of the network before it is computed.
class WatchedWorld final : public World {
 public:
  explicit WatchedWorld(std::function<void(int)> before_input) : before_input_(std::move(before_input)) {}
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  void check_all_live() override { before_input_(++inputs_); }

 protected:
  void do_all_reduce(const torch::Tensor&) override {}
  std::vector<torch::Tensor> do_all_gather(const torch::Tensor& tensor) override { return {tensor}; }
  void do_broadcast(const torch::Tensor&, int64_t) override {}
  void do_wait_for_all() override {}

 private:
  std::function<void(int)> before_input_;
  int inputs_ = 0;
};

// Tells when a file's content is known and nothing else of it has been read.
class WatchedWriter : public FolderWriter {
 public:
  WatchedWriter(const ToyLibrary& toy, std::function<void()> between)
      : FolderWriter(toy.library(), toy.settings(), LibraryStart::add, null_log()),
        between_(std::move(between)) {}
  std::vector<LibraryFile> files_of_content(const std::string& content) override {
    auto files = FolderWriter::files_of_content(content);
    between_();
    return files;
  }

 private:
  std::function<void()> between_;
};

class ChangedFiles : public testing::Test {
 protected:
  // The moments of one file of the library are those that a library has which has seen nothing but `file`.
  void expect_moments_of(const std::string& name, const fs::path& file) {
    const TemporaryFolder other;
    const ToyLibrary fresh(other.path());
    fs::copy_file(file, fresh.films() / "one.wav");
    fresh.index();
    FolderReader fresh_library(fresh.library()), library(toy_.library());
    const auto expected = moments_in(fresh_library);
    std::vector<FoundMoment> found;
    for (FoundMoment& at : moments_in(library))
      if (at.path == (toy_.films() / name).string()) found.push_back(std::move(at));
    ASSERT_EQ(found.size(), expected.size()) << name;
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].moment.start_ms, expected[i].moment.start_ms) << name;
      EXPECT_TRUE(torch::allclose(found[i].vectors.audio, expected[i].vectors.audio, 1e-4, 1e-5))
          << name << " at " << found[i].moment.start_ms;
    }
  }
  void index(LibraryWriter& writer, World& world = World::alone()) {
    index_files(writer, toy_.model(), read_clip_sources({toy_.films()}, *null_log()),
                {.num_workers = 1, .batch_size = 1, .world = world}, false, null_log());
    writer.finish();
  }
  fs::path film(const std::string& name) const { return toy_.films() / name; }

  TemporaryFolder folder_;
  ToyLibrary toy_{folder_.path()};
};

TEST_F(ChangedFiles, OneThatIsReplacedWhileItIsReadIsDoneAgain) {
  // Long enough that its reader waits for the network long before its end.
  write_wav(film("a.wav"), 60, 300);
  write_wav(film("b.wav"), 5, 400);
  write_wav(folder_ / "new_a.wav", 40, 700);
  write_wav(folder_ / "new_b.wav", 4, 900);
  fs::copy_file(folder_ / "new_a.wav", folder_ / "kept_a.wav");
  fs::copy_file(folder_ / "new_b.wav", folder_ / "kept_b.wav");
  WatchedWorld world([&](int input) {
    if (input != 10) return;
    fs::rename(folder_ / "new_a.wav", film("a.wav"));  // midway
    fs::rename(folder_ / "new_b.wav", film("b.wav"));  // listed, and not begun
  });
  {
    FolderWriter writer(toy_.library(), toy_.settings(), LibraryStart::add, null_log());
    index(writer, world);
  }
  ASSERT_FALSE(fs::exists(folder_ / "new_a.wav"));
  toy_.index();
  expect_moments_of("a.wav", folder_ / "kept_a.wav");
  expect_moments_of("b.wav", folder_ / "kept_b.wav");
  EXPECT_EQ(toy_.index().unchanged, 2);
}

// What was read belongs to no content that was seen before: the former content elsewhere is no file that
// moved.
TEST_F(ChangedFiles, OneThatIsReplacedBeforeItIsReadLeavesNothingOfItsOldContent) {
  write_wav(film("a.wav"), 5, 300);
  write_wav(folder_ / "new.wav", 4, 700);
  fs::copy_file(film("a.wav"), folder_ / "old.wav");
  fs::copy_file(folder_ / "new.wav", folder_ / "kept.wav");
  {
    WatchedWriter writer(toy_, [&] {
      if (fs::exists(folder_ / "new.wav")) fs::rename(folder_ / "new.wav", film("a.wav"));
    });
    index(writer);
  }
  ASSERT_FALSE(fs::exists(folder_ / "new.wav"));
  fs::rename(film("a.wav"), folder_ / "away.wav");
  fs::copy_file(folder_ / "old.wav", film("b.wav"));
  toy_.index();
  expect_moments_of("b.wav", folder_ / "old.wav");
  fs::rename(folder_ / "away.wav", film("a.wav"));
  toy_.index();
  expect_moments_of("a.wav", folder_ / "kept.wav");
}

TEST_F(ChangedFiles, AClockThatWasSetBackHidesNothing) {
  write_wav(film("a.wav"), 3, 300);
  toy_.index();
  const auto before = fs::last_write_time(film("a.wav"));
  const auto size = fs::file_size(film("a.wav"));
  write_wav(film("a.wav"), 3, 700);
  ASSERT_EQ(fs::file_size(film("a.wav")), size);
  fs::last_write_time(film("a.wav"), before - std::chrono::hours(24 * 365 * 10));
  fs::copy_file(film("a.wav"), folder_ / "kept.wav");
  const IndexResult result = toy_.index();
  EXPECT_EQ(result.changed, 1);
  EXPECT_EQ(result.unchanged, 0);
  expect_moments_of("a.wav", folder_ / "kept.wav");
  EXPECT_EQ(toy_.index().unchanged, 1);
}

}  // namespace
}  // namespace cavmae
