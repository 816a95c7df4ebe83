// Libraries in PostgreSQL: several writers, lost connections, migrations. Debian's server has no pgvector, so
// that vectors are in columns of text; nothing else differs.
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/error.h"
#include "cavmae/search/postgres/reader.h"
#include "cavmae/search/postgres/schema.h"
#include "cavmae/search/postgres/writer.h"
#include "cavmae/search/search.h"

#include "tests/search/postgres_servers.h"
#include "tests/search/same_results.h"
#include "tests/search/toy_library.h"
#include "tests/support/background.h"
#include "tests/support/tools.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Background;
using testing_support::Outcome;
using testing_support::run_cavmae;
using testing_support::wait_until;
namespace fs = std::filesystem;

class PostgresLibrary : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (have_postgres()) server_ = new PostgresServer();
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    CAVMAE_SKIP_OR_FAIL_WITHOUT(have_postgres(), "postgresql");
    url_ = server_->new_database();
    toy_ = std::make_unique<ToyLibrary>(folder_.path(), url_);
  }

  LibrarySettings settings() const {
    LibrarySettings settings = toy_->settings();
    settings.vectors = VectorType::text;
    return settings;
  }
  IndexResult index(bool prune = false, const std::shared_ptr<Log>& log = null_log()) const {
    return toy_->index(settings(), LibraryStart::add, prune, log);
  }
  std::string quoted_url() const { return "'" + url_ + "'"; }
  std::string index_command() const {
    return "index " + quoted_url() + " --vectors text --precision fp32 --hop 1 --data " +
           toy_->films().string() + " --checkpoint " + (folder_ / "model.safetensors").string();
  }
  int64_t number(const std::string& sql) const {
    return PostgresConnection(url_).run("SELECT (" + sql + ")::bigint").integer(0, 0);
  }
  // Workers that have claimed something.
  int64_t workers() const { return number("SELECT count(DISTINCT worker) FROM cavmae.work"); }
  static constexpr int kSounds = 12;
  void write_sounds(int count) const {
    for (int i = 0; i < count; ++i)
      write_wav(toy_->films() / (std::to_string(i) + ".wav"), 4 + i % 3, 200 + 10 * i);
  }
  // Whether all sounds are there, each whole and once.
  void expect_all_sounds() const {
    int64_t moments = 0;
    for (int i = 0; i < kSounds; ++i) moments += 3 + i % 3;
    EXPECT_EQ(number("SELECT count(*) FROM cavmae.files"), kSounds);
    EXPECT_EQ(number("SELECT count(*) FROM cavmae.moments"), moments);
    EXPECT_EQ(number("SELECT count(*) FROM cavmae.work"), 0);
    const LibraryCounts counts = PostgresReader(url_).snapshot()->counts();
    EXPECT_EQ(counts.files, kSounds);
    EXPECT_EQ(counts.moments, moments);
  }

  static PostgresServer* server_;
  TemporaryFolder folder_;
  std::string url_;
  std::unique_ptr<ToyLibrary> toy_;
};
PostgresServer* PostgresLibrary::server_ = nullptr;

TEST_F(PostgresLibrary, DoesOnlyWhatHasChanged) {
  write_wav(toy_->films() / "a.wav", 3, 440);
  write_wav(toy_->films() / "b.wav", 2, 220);
  EXPECT_EQ(index().added, 2);
  PostgresReader library(url_);
  const auto before = moments_in(library);
  ASSERT_EQ(before.size(), 3u);
  EXPECT_EQ(index().unchanged, 2);

  fs::create_directories(toy_->films() / "below");
  fs::rename(toy_->films() / "a.wav", toy_->films() / "below/c.wav");
  IndexResult again = index();
  EXPECT_EQ(again.moved, 1);
  EXPECT_EQ(again.moments, 0);
  const auto moved = moments_in(library);
  const auto c = std::ranges::find(moved, (toy_->films() / "below/c.wav").string(), &FoundMoment::path);
  ASSERT_NE(c, moved.end());
  EXPECT_EQ(c->moment.id, before[0].moment.id);

  fs::last_write_time(toy_->films() / "b.wav", fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_EQ(index().moments, 0);
  write_wav(toy_->films() / "b.wav", 4, 550);
  again = index();
  EXPECT_EQ(again.changed, 1);
  EXPECT_EQ(again.moments, 3);
  EXPECT_EQ(library.snapshot()->counts().moments, 5);

  fs::remove(toy_->films() / "b.wav");
  EXPECT_EQ(index().gone, 1);
  EXPECT_EQ(index(/*prune=*/true).pruned, 1);
  EXPECT_EQ(library.snapshot()->counts().files, 1);
  EXPECT_EQ(library.snapshot()->counts().moments, 2);
}

TEST_F(PostgresLibrary, ABadFileIsNamedOnceAndTriedAgainWhenItChanges) {
  write_text(toy_->films() /
                 "b\xe4"
                 "d.wav",
             "no sound at all, only text");  // and its name is no UTF-8
  const CapturedLog captured, quiet;
  EXPECT_EQ(index(false, captured.log).failed, 1);
  EXPECT_THAT(captured.text->str(), HasSubstr("d.wav"));
  PostgresReader library(url_);
  ASSERT_EQ(library.failures().size(), 1u);
  EXPECT_EQ(library.failures()[0].path, (toy_->films() / "b\xe4"
                                                         "d.wav")
                                            .string());
  EXPECT_EQ(index(false, quiet.log).failed, 1);
  EXPECT_THAT(quiet.text->str(), Not(HasSubstr("d.wav")));
  write_wav(toy_->films() /
                "b\xe4"
                "d.wav",
            2, 660);
  EXPECT_EQ(index().added, 1);
  EXPECT_TRUE(library.failures().empty());
  EXPECT_EQ(number("SELECT count(*) FROM cavmae.work"), 0);
}

TEST_F(PostgresLibrary, FindsWhatALibraryInAFolderFinds) {
  write_sounds_and_pictures(toy_->films());
  ASSERT_GT(index().moments, 30);
  ToyLibrary plain(folder_.path());
  LibrarySettings halves = plain.settings();
  halves.vectors = VectorType::float16;
  plain.index(halves);
  PostgresReader library(url_);
  FolderReader folder(plain.library());
  expect_same_results(library, folder, toy_->films());
}

// While it lives, nobody ends a file: who has claimed one waits at its moments.
class HeldUp {
 public:
  explicit HeldUp(const std::string& url) : connection_(url) {
    connection_.execute("BEGIN");
    connection_.execute("LOCK TABLE cavmae.moments IN SHARE MODE");
  }

 private:
  PostgresConnection connection_;
};

TEST_F(PostgresLibrary, SeveralWritersShareTheWorkAndAKilledOneIsReplaced) {
  write_sounds(kSounds);
  PostgresWriter(url_, settings(), LibraryStart::add, null_log());
  auto held_up = std::make_unique<HeldUp>(url_);
  const std::string command = index_command() + " --num-workers 1 --batch-size 1 --json ";
  Background victim(command + (folder_ / "victim").string()), first(command + (folder_ / "first").string()),
      second(command + (folder_ / "second").string());
  ASSERT_TRUE(wait_until([&] { return workers() == 3; }, 60, "three workers")) << victim.err();
  victim.send(SIGKILL);
  EXPECT_EQ(victim.wait(60).ended_by, SIGKILL);
  held_up.reset();
  for (Background* other : {&first, &second}) {
    const Outcome outcome = other->wait(60);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  expect_all_sounds();
  const Json a = read_json(folder_ / "first"), b = read_json(folder_ / "second");
  EXPECT_EQ(a["files"], kSounds);
  EXPECT_GT(a["added"].get<int>(), 0);
  EXPECT_GT(b["added"].get<int>(), 0);
  EXPECT_EQ(a["added"].get<int>() + b["added"].get<int>(), kSounds);
  EXPECT_EQ(a["added"], b["by_others"]);
  EXPECT_EQ(b["added"], a["by_others"]);
}

TEST_F(PostgresLibrary, ALostConnectionIsTriedAgain) {
  write_sounds(kSounds);
  PostgresWriter(url_, settings(), LibraryStart::add, null_log());
  auto held_up = std::make_unique<HeldUp>(url_);
  Background program(index_command() + " --num-workers 1");
  ASSERT_TRUE(wait_until([&] { return workers() == 1; }, 60, "a claim")) << program.err();
  server_->end();
  held_up.reset();
  ASSERT_TRUE(wait_until(
      [&] { return !program.running() || program.err().find("trying again") != std::string::npos; }, 60,
      "the loss to be seen"));
  server_->begin();
  const Outcome outcome = program.wait(60);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the connection is lost"), HasSubstr("is there again")));
  EXPECT_THAT(outcome.err + outcome.out, Not(HasSubstr("s3cret")));
  expect_all_sounds();
}

TEST_F(PostgresLibrary, AServerThatIsAwayIsNamedWithTheCure) {
  PostgresWriter writer(url_, settings(), LibraryStart::add, null_log(), /*patience_seconds=*/0.5);
  PostgresReader reader(url_);
  const auto names_it =
      AllOf(HasSubstr("127.0.0.1"), HasSubstr("see that PostgreSQL runs"), Not(HasSubstr("s3cret")));
  server_->end();
  EXPECT_THAT(message_from<LibraryAway>([&] { writer.files(); }), names_it);
  EXPECT_THAT(message_from<LibraryAway>([&] { reader.snapshot(); }), names_it);
  EXPECT_THAT(message_from<LibraryAway>([&] { open_library(url_); }), names_it);
  const Outcome outcome = run_cavmae(index_command());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, names_it);
  server_->begin();
  EXPECT_TRUE(writer.files().empty());
  const auto is_back = [&] {
    try {
      return reader.snapshot() != nullptr;
    } catch (const LibraryAway&) {
      return false;
    }
  };
  EXPECT_TRUE(wait_until(is_back, 20, "the reader"));
}

TEST_F(PostgresLibrary, RefusesWhatItCannotDoWithTheCure) {
  const auto refused = [&](const LibrarySettings& wanted, LibraryStart start = LibraryStart::add) {
    return message_from<ConfigError>([&] { open_library_to_write(url_, wanted, start, null_log()); });
  };
  EXPECT_THAT(message_from<ConfigError>([&] { open_library(url_); }), HasSubstr("cavmae index"));
  LibrarySettings other = settings();
  other.vectors = VectorType::float16;
  EXPECT_THAT(refused(other), AllOf(HasSubstr("pgvector"), HasSubstr("--vectors text")));
  other.vectors = VectorType::float32;
  EXPECT_THAT(refused(other), HasSubstr("halfvec"));
  other = settings();
  other.index = IndexKind::ivf;
  EXPECT_THAT(refused(other), HasSubstr("leave out --index"));
  EXPECT_THAT(refused(settings(), LibraryStart::rebuild), HasSubstr("DROP SCHEMA cavmae CASCADE"));

  PostgresWriter writer(url_, settings(), LibraryStart::add, null_log());
  EXPECT_THAT(message_from<ConfigError>([&] { writer.check(); }), HasSubstr("leave out --check"));
  other = settings();
  other.hop_seconds = 0.5;
  EXPECT_THAT(refused(other), HasSubstr("1 s apart, not 0.5"));
  other = settings();
  other.model = library_model(load_pretrained(save_toy_model(folder_ / "other.safetensors", 4)));
  EXPECT_THAT(refused(other), AllOf(HasSubstr("other.safetensors"), HasSubstr("model.safetensors")));
  EXPECT_THAT(message_from<ConfigError>([] { open_library("postgresql://u:s3%cret@h/d"); }),
              AllOf(HasSubstr("is no URL"), Not(HasSubstr("s3%cret"))));
  EXPECT_THAT(message_from<ConfigError>([&] {
                open_library_to_write((folder_ / "folder").string(), settings(), LibraryStart::add,
                                      null_log());
              }),
              HasSubstr("float32 or float16"));
  const Outcome twice = run_cavmae("search " + quoted_url() + " " + quoted_url());
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, AllOf(HasSubstr("was not expected"), Not(HasSubstr("s3cret"))));
}

TEST_F(PostgresLibrary, TheCommandsAreThoseOfAFolder) {
  write_sounds_and_pictures(toy_->films());
  const Outcome indexed = run_cavmae(index_command() + " --json " + (folder_ / "i.json").string());
  ASSERT_EQ(indexed.exit_code, 0) << indexed.err;
  EXPECT_THAT(indexed.out, HasSubstr("postgresql://postgres:***@127.0.0.1"));
  EXPECT_EQ(read_json(folder_ / "i.json")["failed"], 0);
  // What it is filled from and with is remembered.
  EXPECT_THAT(run_cavmae("index " + quoted_url()).out,
              HasSubstr("0 files added, 0 changed, 0 moved, 12 unchanged"));
  const Outcome found = run_cavmae("search " + quoted_url() +
                                   " --like sounds/3.wav@2.5 --by audio --for audio --top 1 --export " +
                                   (folder_ / "cut").string() + " --json -");
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const Json json = Json::parse(found.out);
  EXPECT_EQ(json["results"].size(), 1u);
  EXPECT_EQ(json["results"][0]["path"], (toy_->films() / "sounds/3.wav").string());
  EXPECT_NEAR(json["results"][0]["moments"][0]["similarity"].get<double>(), 1.0, 1e-6);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "cut"), fs::directory_iterator()),
            std::ssize(json["results"][0]["moments"]));
  EXPECT_THAT(found.out, Not(HasSubstr("s3cret")));
}

// The tables as version 1 had them, with a file of two moments.
void make_first_version(PostgresConnection& connection, const LibrarySettings& settings) {
  connection.execute(
      testing_support::read_whole(fs::path(CAVMAE_SOURCE_DIR) / "tests/data/postgres_library_version_1.sql"));
  connection.run("INSERT INTO cavmae.library (settings) VALUES ($1)", to_json(settings).dump());
  connection.execute(
      "INSERT INTO cavmae.files (path, audio_path, stamp, content, end_ms, has_audio, has_video) VALUES "
      "('/old/a.wav', '', '1', 'abc', 3000, true, false)");
  std::string numbers = "[1";
  for (int64_t i = 1; i < settings.model.embed_dim; ++i) numbers += ",0.5";
  connection.run(
      "INSERT INTO cavmae.moments (id, file, start_ms, end_ms, hash, audio) SELECT nextval('cavmae.moment_ids'), "
      "1, 1000 * i, 1000 * i + 2000, i, $1 FROM generate_series(0, 1) AS i",
      numbers + "]");
}

TEST_F(PostgresLibrary, TablesOfAnOlderVersionAreBroughtToThisOne) {
  {
    PostgresConnection connection(url_);
    make_first_version(connection, settings());
  }
  // Two at once: one does it, the other waits.
  std::thread other([&] { PostgresReader reader(url_); });
  PostgresReader reader(url_);
  other.join();
  EXPECT_EQ(number("SELECT version FROM cavmae.version"), kPostgresVersion);
  EXPECT_EQ(reader.snapshot()->counts().files, 1);
  EXPECT_EQ(reader.snapshot()->counts().moments, 2);
  EXPECT_EQ(reader.file(1)->num_moments, 2);
  const auto moments = moments_in(reader);
  ASSERT_EQ(moments.size(), 2u);
  EXPECT_EQ(moments[1].vectors.audio[0].item<float>(), 1);
  write_wav(toy_->films() / "a.wav", 3, 440);
  EXPECT_EQ(index().added, 1);
  EXPECT_EQ(reader.snapshot()->counts().moments, 4);
}

TEST_F(PostgresLibrary, TablesOfALaterVersionAreRefusedWithBothNamed) {
  PostgresWriter(url_, settings(), LibraryStart::add, null_log());
  PostgresReader reader(url_);
  PostgresConnection(url_).execute("UPDATE cavmae.version SET version = 7");
  const auto names_both = AllOf(HasSubstr("version 7"), HasSubstr("version 2"), HasSubstr("later cavmae"));
  EXPECT_THAT(message_from<DataError>([&] { PostgresReader again(url_); }), names_both);
  EXPECT_THAT(
      message_from<DataError>([&] { PostgresWriter(url_, settings(), LibraryStart::add, null_log()); }),
      names_both);
  EXPECT_THAT(message_from<DataError>([&] { reader.snapshot(); }), names_both);
}

TEST_F(PostgresLibrary, AClaimLastsAsLongAsItsProcess) {
  const auto job = [](const std::string& path) {
    IndexJob out;
    out.path = path;
    out.stamp = "1";
    return out;
  };
  const std::vector<IndexJob> jobs = {job("/a"), job("/b")};
  const auto wanted = [] { return true; };
  using Kind = WorkShare::Kind;
  auto first = std::make_unique<PostgresWriter>(url_, settings(), LibraryStart::add, null_log());
  PostgresWriter second(url_, settings(), LibraryStart::add, null_log());
  auto share = first->share(jobs);
  const auto other = second.share(jobs);
  EXPECT_EQ(share->next(wanted)->kind, Kind::read);
  EXPECT_EQ(other->next(wanted)->kind, Kind::read);
  EXPECT_EQ(other->next(wanted)->kind, Kind::wait);
  // What somebody else has claimed is not written.
  LibraryFile file;
  file.path = "/a";
  file.stamp = "1";
  EXPECT_FALSE(second.add_file(file, {}, {}));
  share.reset();
  first.reset();
  ASSERT_TRUE(
      wait_until([&] { return number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 1; }, 20,
                 "the first one's end"));
  const auto turn = other->next(wanted);
  EXPECT_EQ(turn->kind, Kind::read);
  EXPECT_EQ(jobs[turn->job].path, "/a");
  EXPECT_TRUE(second.add_file(file, {}, {}));
  EXPECT_FALSE(other->next(wanted));
}

}  // namespace
}  // namespace cavmae
