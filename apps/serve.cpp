// cavmae serve: a library of moments over HTTP, with a page to search it.
#include "cavmae/serve/serve.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "cavmae/core/stop_signal.h"
#include "cavmae/search/open_library.h"

#include "apps/command.h"
#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

struct ServeFlags {
  std::string library;
  std::filesystem::path checkpoint;
  ServeOptions serve;
  OptionFlags options, runtime;
};

int run_serve(ServeFlags flags, const GlobalOptions& global) {
  flags.options.apply(flags.serve);
  flags.serve.validate();
  auto log = make_log(global.verbosity());
  const LibrarySettings settings = open_library(flags.library)->snapshot()->settings();
  const std::filesystem::path checkpoint =
      flags.checkpoint.empty() ? std::filesystem::path(settings.model.path) : flags.checkpoint;
  CAVMAE_CHECK_AS(ConfigError, !flags.checkpoint.empty() || std::filesystem::exists(checkpoint),
                  checkpoint.string(),
                  ": the library's checkpoint is not there any more; name it by --checkpoint");
  LoadOptions load = load_options(settings.model);
  load.runtime = runtime_options(flags.runtime);
  const StopSignal stop;
  const Pretrained model = load_model(checkpoint, load, *log);
  ServedLibrary served(flags.library, model, flags.serve, log);
  fmt::print(
      "http://{}:{}/\n",
      flags.serve.host.find(':') == std::string::npos ? flags.serve.host : "[" + flags.serve.host + "]",
      served.port());
  std::fflush(stdout);
  std::atomic<bool> has_ended = false;
  std::thread watcher([&] {
    while (!has_ended && !StopSignal::requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    served.stop();
  });
  served.run();
  has_ended = true;
  watcher.join();
  log->info("ended; what was being answered was finished");
  return 0;
}

}  // namespace

void add_serve(CLI::App& app, Program& program) {
  describe(
      app,
      "Prints the address of a page to search by a sound, a picture or a film, from a file or the\n"
      "microphone, and to play what is found where it is; and serves the API that the page uses (docs/serve.md).\n"
      "Reached from this machine alone, unless --host says otherwise, which needs --token-file. Only files\n"
      "below the library's folders are served. Files are decoded by cavmae-decode, which can do nothing else.\n"
      "'cavmae index' may add to the library meanwhile. SIGTERM ends it when what is asked is answered.",
      {"cavmae serve library --port 0",
       "cavmae serve library --host 0.0.0.0 --token-file tokens --allow-host media.example.org"});
  auto flags = std::make_shared<ServeFlags>();
  app.add_option("library", flags->library,
                 "what 'cavmae index' made: a folder, or postgresql://host/database")
      ->required()
      ->type_name("LIBRARY");
  app.add_option("--host", flags->serve.host, fmt::format("address to listen at [{}]", flags->serve.host))
      ->type_name("ADDRESS");
  app.add_option("--port", flags->serve.port,
                 fmt::format("port to listen at; 0: any that is free [{}]", flags->serve.port))
      ->type_name("N");
  app.add_option("--token-file", flags->serve.token_file,
                 "ask for tokens: a file with lines 'read TOKEN' and 'admin TOKEN'")
      ->type_name("FILE");
  app.add_option("--allow-host", flags->serve.allow_host,
                 "a name by which the server is reached, such as that of a proxy before it; may be repeated")
      ->type_name("NAME");
  app.add_option("--root", flags->serve.roots,
                 "a folder whose files may be played besides the library's own, for files that lists name")
      ->type_name("DIR");
  app.add_option("--checkpoint", flags->checkpoint, "the library's model, where it has moved")
      ->type_name("PATH");
  add_runtime_flags(app, flags->runtime);
  flags->options.add(app, flags->serve, "Limits");
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_serve(*flags, program.global); }; });
}

}  // namespace cavmae::apps
