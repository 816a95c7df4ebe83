// The command: begins, says where, ends in order.
#include <csignal>
#include <regex>

#include <gmock/gmock.h>

#include "tests/serve/toy_server.h"
#include "tests/support/background.h"

namespace cavmae {
namespace {

using testing::HasSubstr;
using testing_support::Background;
using testing_support::run_cavmae;
using testing_support::wait_until;

class ServeCommand : public ServedToy {
 protected:
  // That it says it listens at; 0: it has ended.
  static int port_of(Background& program) {
    int port = 0;
    EXPECT_TRUE(wait_until(
        [&] {
          std::smatch found;
          const std::string out = program.out();
          if (std::regex_search(out, found, std::regex("http://127\\.0\\.0\\.1:([0-9]+)/")))
            port = std::stoi(found[1]);
          return port != 0 || !program.running();
        },
        120, "the address"));
    return port;
  }
};

TEST_F(ServeCommand, ServesUntilItIsToldToEnd) {
  Background program("serve " + toy_->library().string() + " --port 0");
  const int port = port_of(program);
  ASSERT_NE(port, 0) << program.err();
  httplib::Client client("127.0.0.1", port);
  client.set_read_timeout(60);
  ASSERT_TRUE(wait_until([&] { return bool(client.Get("/readyz")); }, 20, "the server"));
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  const auto found = client.Post("/v1/search", form_of(film("film.mp4")));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, 200) << found->body;
  program.send(SIGTERM);
  const auto outcome = program.wait(60);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(client.Get("/healthz"));
}

TEST_F(ServeCommand, AnswersWhatWasAskedBeforeItEnds) {
  // The query waits two seconds for others that never come.
  Background program("serve " + toy_->library().string() + " --port 0 --batch-ms 2000");
  const int port = port_of(program);
  ASSERT_NE(port, 0) << program.err();
  httplib::Client client("127.0.0.1", port);
  client.set_read_timeout(60);
  ASSERT_TRUE(wait_until([&] { return bool(client.Get("/readyz")); }, 20, "the server"));
  int status = 0;
  std::string body;
  std::thread asking([&] {
    httplib::Client other("127.0.0.1", port);
    other.set_read_timeout(120);
    if (const auto found = other.Post("/v1/embed", form_of(film("film.mp4")))) {
      status = found->status;
      body = found->body;
    }
  });
  EXPECT_TRUE(wait_until(
      [&] {
        const auto metrics = client.Get("/metrics");
        return metrics && metrics->body.find("\ncavmae_queries_waiting 1\n") != std::string::npos;
      },
      60, "the query"));
  program.send(SIGTERM);
  asking.join();
  EXPECT_EQ(status, 200) << body;
  EXPECT_THAT(body, HasSubstr("\"audio\""));
  const auto outcome = program.wait(60);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

// The demo's own line, in a folder that looks like that of the demo.
TEST_F(ServeCommand, TheDemoPrintsWhatServesItsLibrary) {
  const std::string demo = read_text(CAVMAE_SOURCE_DIR "/demo.sh");
  std::smatch line;
  ASSERT_TRUE(std::regex_search(demo, line, std::regex("\necho \"Search it yourself[^\n]*")));
  const std::filesystem::path program = CAVMAE_PROGRAM;
  const auto printed = testing_support::run_shell(concat("cd '", program.parent_path().string(),
                                                         "'; cavmae=", program.filename().string(), "; out='",
                                                         folder_->path().string(), "'", line.str()));
  ASSERT_EQ(printed.exit_code, 0) << printed.err;
  std::smatch words;
  ASSERT_TRUE(std::regex_search(printed.out, words, std::regex("browser: (\\S+) serve (\\S+)\n$")))
      << printed.out;
  EXPECT_EQ(std::filesystem::canonical(words[1].str()), std::filesystem::canonical(program));
  EXPECT_EQ(std::filesystem::canonical(words[2].str()), std::filesystem::canonical(toy_->library()));
}

TEST_F(ServeCommand, SaysWhatIsWrong) {
  const auto error = [](const std::string& arguments) {
    const auto outcome = run_cavmae("serve " + arguments);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    return outcome.err;
  };
  const std::string library = toy_->library().string();
  EXPECT_THAT(error(library + " --host 0.0.0.0 --port 0"), HasSubstr("--token-file"));
  EXPECT_THAT(error(library + " --port 70000"), HasSubstr("65535"));
  EXPECT_THAT(error((folder_->path() / "films").string()), HasSubstr("holds no library"));
  EXPECT_THAT(error(library + " --max-batch 0"), HasSubstr("max_batch"));
}

}  // namespace
}  // namespace cavmae
