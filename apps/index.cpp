// cavmae index: makes a library of every moment of an archive, and keeps it as the archive is.
#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/paths.h"
#include "cavmae/core/progress.h"
#include "cavmae/core/stop_signal.h"
#include "cavmae/core/text.h"
#include "cavmae/data/read_clips.h"
#include "cavmae/eval/shared_pass.h"
#include "cavmae/search/folder_watch.h"
#include "cavmae/search/indexer.h"
#include "cavmae/search/open_library.h"
#include "cavmae/search/recall.h"

#include "apps/command.h"
#include "apps/dist_flags.h"
#include "apps/list_flags.h"
#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

struct IndexFlags {
  std::string library;
  std::vector<std::filesystem::path> data, forget;
  ModelFlags model;
  ListFlags lists;
  OptionFlags options;
  std::optional<double> hop_seconds;
  std::string vectors, index;  // empty: as the library has them, or their defaults
  bool rebuild = false, check = false, watch = false;
  std::filesystem::path json;
  DistFlags dist;
};

Pretrained load_model_of(const IndexFlags& flags, const std::optional<LibrarySettings>& former,
                         const RankOfLaunch& rank, Log& log) {
  if (!flags.model.checkpoint.empty()) {
    LoadOptions options = flags.model.load_options();
    // A library goes on in its own precision, whatever this machine computes faster.
    if (former && !flags.rebuild && options.precision == PrecisionChoice::automatic)
      options.precision = load_options(former->model).precision;
    return load_model_of_rank(flags.model.checkpoint, options, log, rank);
  }
  CAVMAE_CHECK_AS(ConfigError, former.has_value(), shown_library(flags.library),
                  ": is a new library; say by --checkpoint which model is to make its vectors");
  LoadOptions options = load_options(former->model);
  options.runtime = runtime_options(flags.model.runtime_flags);
  return load_model_of_rank(former->model.path, options, log, rank);
}

std::vector<std::string> forgotten(const IndexFlags& flags) {
  std::vector<std::string> out;
  for (const std::filesystem::path& path : flags.forget) out.push_back(absolute_data(path));
  return out;
}

LibrarySettings settings_of(const IndexFlags& flags, const std::optional<LibrarySettings>& former,
                            const Pretrained& model) {
  LibrarySettings settings = former.value_or(new_library_settings(flags.library));
  settings.model = library_model(model);
  if (!former || (flags.rebuild && model.spec.window_seconds != former->model.spec.window_seconds))
    settings.hop_seconds = model.spec.window_seconds / 2;
  if (flags.hop_seconds) settings.hop_seconds = *flags.hop_seconds;
  if (!flags.vectors.empty()) option_from_json(Json(flags.vectors), settings.vectors, "--vectors");
  if (!flags.index.empty()) option_from_json(Json(flags.index), settings.index, "--index");
  for (const std::filesystem::path& path : flags.data) {
    const std::string absolute = absolute_data(path);
    if (std::ranges::find(settings.data, absolute) == settings.data.end()) settings.data.push_back(absolute);
  }
  for (const std::string& place : forgotten(flags)) {
    CAVMAE_CHECK_AS(ConfigError, std::erase(settings.data, place) > 0, "--forget ", place,
                    ": the library is not filled from it; it is from ",
                    fmt::format("{}", fmt::join(settings.data, ", ")));
  }
  CAVMAE_CHECK_AS(ConfigError, !settings.data.empty(), shown_library(flags.library),
                  ": say by --data what the library is to be filled from");
  return settings;
}

void report_check(const LibraryCheck& check, Log& log) {
  for (const std::string& problem : check.damaged) log.warn("{}", problem);
  if (check.damaged.empty())
    log.info("all {} segments are whole", check.segments);
  else
    log.warn("{} of {} segments are damaged; {} files are indexed again", check.damaged.size(),
             check.segments, check.files_to_repeat);
}

// What the lists find of what comparing everything finds.
std::vector<IndexRecall> check_recall(const IndexFlags& flags, bool quiet, Log& log) {
  constexpr int64_t kQueries = 100;
  constexpr double kGood = 0.95;
  const auto library = open_library(flags.library);
  std::optional<Progress> progress;
  const auto recalls = measure_recall(*library, kQueries, [&](int64_t done, int64_t total) {
    if (!progress)
      progress.emplace(
          ProgressOptions{.title = "checking lists", .unit = "queries", .total = total, .quiet = quiet});
    progress->update(done);
    return !StopSignal::requested();
  });
  if (progress) progress->finish();
  for (const IndexRecall& recall : recalls) {
    const std::string text =
        fmt::format("of the ten {} nearest to {}, the lists hold {:.1f} %",
                    recall.found == ClipSide::audio ? "sounds" : "pictures",
                    recall.query == ClipSide::audio ? "a sound" : "a picture", 100 * recall.at_10);
    if (recall.at_10 >= kGood)
      log.info("{}", text);
    else
      log.warn(
          "{}; 'cavmae search --exact' compares everything, --index flat and then --index auto learn them anew",
          text);
  }
  return recalls;
}

void print_result(const IndexFlags& flags, const IndexResult& result, const LibraryCounts& counts) {
  std::string text = fmt::format("{} files added, {} changed, {} moved, {} unchanged", result.added,
                                 result.changed, result.moved, result.unchanged);
  if (result.pruned > 0) text += fmt::format(", {} removed", result.pruned);
  if (result.by_others > 0) text += fmt::format(", {} by other processes", result.by_others);
  if (result.failed > 0) text += fmt::format(", {} with failures", result.failed);
  if (result.gone > 0) text += fmt::format("; {} are not there any more (--prune removes them)", result.gone);
  fmt::print("{}\n", text);
  if (result.moments > 0)
    fmt::print("{} moments in {}, {:.1f} a second\n", result.moments, human_duration(result.seconds),
               static_cast<double>(result.moments) / result.seconds);
  fmt::print("{}: {} files, {} moments\n", shown_library(flags.library), counts.files, counts.moments);
}

Json to_json(const IndexFlags& flags, const LibraryWriter& library, const IndexResult& result,
             const LibraryCounts& counts, const std::optional<LibraryCheck>& check,
             const std::vector<IndexRecall>& recalls) {
  Json out = {{"library", shown_library(flags.library)},
              {"generation", library.settings().generation},
              {"model", library.settings().model.parameters_hash},
              {"precision", library.settings().model.precision},
              {"interrupted", result.end == IndexEnd::interrupted},
              {"added", result.added},
              {"changed", result.changed},
              {"moved", result.moved},
              {"unchanged", result.unchanged},
              {"pruned", result.pruned},
              {"gone", result.gone},
              {"by_others", result.by_others},
              {"failed", result.failed},
              {"moments_added", result.moments},
              {"seconds", result.seconds},
              {"files", counts.files},
              {"moments", counts.moments},
              {"segments", counts.segments}};
  if (check) out["damaged_segments"] = check->damaged;
  for (const IndexRecall& recall : recalls)
    out["recall_at_10"].push_back(
        {{"query", side_name(recall.query)}, {"found", side_name(recall.found)}, {"recall", recall.at_10}});
  return out;
}

std::vector<std::filesystem::path> data_of(const LibraryWriter& library) {
  return {library.settings().data.begin(), library.settings().data.end()};
}

IndexResult index_once(const IndexFlags& flags, LibraryWriter& library, const Pretrained& model,
                       const IndexOptions& options, bool show_progress, const std::shared_ptr<Log>& log) {
  ListOptions lists = flags.lists.options();
  // What is named on the command line has to be there, and unless more may come, to hold something.
  std::vector<std::string> named;
  for (const std::filesystem::path& path : flags.data) named.push_back(absolute_data(path));
  for (const std::filesystem::path& path : data_of(library))
    if (std::ranges::find(named, path.string()) == named.end() || (flags.watch && is_there(path)))
      lists.may_be_gone.push_back(path);
  const ClipList files = read_clip_sources(data_of(library), *log, lists);
  check_ranks_share({.clips = files, .options = {.world = options.world}, .spec = model.spec},
                    model.network());
  return index_files(library, model, files, options, show_progress, log);
}

// Adds what comes until a signal ends it.
int keep_watching(const IndexFlags& flags, LibraryWriter& library, const Pretrained& model,
                  const IndexOptions& options, const GlobalOptions& global, const std::shared_ptr<Log>& log) {
  constexpr std::chrono::milliseconds kQuiet{1000};
  constexpr std::chrono::hours kAtLatest{1};  // for file systems that tell of nothing
  const StopSignal stop;
  int told = 0;
  while (!StopSignal::requested()) {
    FolderWatch watch(data_of(library));  // anew: folders come and go
    if (std::exchange(told, watch.num_folders()) != watch.num_folders())
      log->info("watching {} folders; Ctrl-C ends it", watch.num_folders());
    try {
      // What came before the watch began, too.
      const IndexResult result = index_once(flags, library, model, options, !global.quiet, log);
      if (result.added + result.changed + result.moved + result.pruned > 0)
        print_result(flags, result, library.counts());
    } catch (const DataError& e) {
      log->warn("{}", e.what());  // nothing to index at present
    }
    watch.wait(kQuiet, kAtLatest);
  }
  return 0;
}

// The first rank opens the library, the others join it.
std::unique_ptr<LibraryWriter> open_on_ranks(const IndexFlags& flags, const LibrarySettings& settings,
                                             World& world, const std::shared_ptr<Log>& log) {
  const LibraryStart start = flags.rebuild ? LibraryStart::rebuild : LibraryStart::add;
  std::unique_ptr<LibraryWriter> library;
  if (world.rank() == 0) library = open_library_to_write(flags.library, settings, start, log);
  world.wait_for_all();  // a model is read, and a large library opened
  const auto opened = gather_texts(world, library ? to_json(library->settings()).dump() : "");
  if (library) return library;
  return join_library(flags.library, settings_from_json(Json::parse(opened[0]), flags.library), log);
}

int index(const IndexFlags& flags, const GlobalOptions& global, const RankOfLaunch& rank) {
  IndexOptions options{.world = rank.world};
  flags.options.apply(options);
  options.validate();
  CAVMAE_CHECK_AS(ConfigError, !flags.watch || rank.world.size() == 1,
                  "--watch is for one process; index once by several, then watch by one");
  auto log = make_log(verbosity_of(rank, global));
  if (!rank.description.empty()) log->info("{}", rank.description);
  const std::optional<LibrarySettings> former = library_settings(flags.library);
  const Pretrained model = load_model_of(flags, former, rank, *log);
  const LibrarySettings settings = settings_of(flags, former, model);
  const auto writer = open_on_ranks(flags, settings, rank.world, log);
  LibraryWriter& library = *writer;
  std::optional<LibraryCheck> check;
  if (flags.check && rank.is_first()) report_check(check.emplace(library.check()), *log);
  if (flags.check) rank.world.wait_for_all();
  int64_t num_forgotten = 0;
  if (rank.is_first()) num_forgotten = forget_files(library, forgotten(flags));
  IndexResult result = index_once(flags, library, model, options, !global.quiet && rank.is_first(), log);
  rank.leave();
  if (!rank.is_first()) return result.end == IndexEnd::interrupted ? kExitInterrupted : 0;
  result.pruned += num_forgotten;
  if (result.end == IndexEnd::done) library.finish();
  std::vector<IndexRecall> recalls;
  if (flags.check && result.end == IndexEnd::done) recalls = check_recall(flags, global.quiet, *log);
  const LibraryCounts counts = library.counts();
  if (flags.json != "-") print_result(flags, result, counts);
  write_json_result(flags.json, to_json(flags, library, result, counts, check, recalls));
  if (result.end == IndexEnd::done && flags.watch)
    return keep_watching(flags, library, model, options, global, log);
  if (result.end == IndexEnd::interrupted) {
    log->warn("stopped; the same command goes on");
    return kExitInterrupted;
  }
  return 0;
}

int run_index(const IndexFlags& flags, const GlobalOptions& global) {
  // A folder's ranks may meet beside it.
  const Launch launch =
      flags.library.find("://") == std::string::npos ? flags.dist.launch(flags.library) : flags.dist.launch();
  return on_ranks(flags.dist, launch, global,
                  [&](const RankOfLaunch& rank) { return index(flags, global, rank); });
}

}  // namespace

void add_index(CLI::App& app, Program& program) {
  describe(
      app,
      "Embeds every moment of every file, windows of the model's length half a window apart, into a folder or\n"
      "PostgreSQL database that 'cavmae search' and 'cavmae serve' look in. Run again, it adds what is new, does\n"
      "again what has changed and leaves alone what is as it was; files that only moved cost nothing. A stopped\n"
      "or killed run goes on where it was, and others may search meanwhile; into a database several may add at\n"
      "once. --data and --checkpoint are remembered.",
      {"cavmae index library", "cavmae index library --prune", "cavmae index library --check",
       "cavmae index library --checkpoint better_run --rebuild",
       "cavmae index postgresql://db.example/films --data /archive --checkpoint run"});
  auto flags = std::make_shared<IndexFlags>();
  app.add_option("library", flags->library,
                 "the library: a folder, or postgresql://host/database, new or begun")
      ->required()
      ->type_name("LIBRARY");
  app.add_option("--data", flags->data,
                 "folders, files or lists to index, besides those that it was given before")
      ->type_name("PATH");
  flags->model.precision = "auto";
  flags->model.add(app);
  app.get_option("--checkpoint")->required(false);
  app.add_option("--hop", flags->hop_seconds, "seconds between the starts of moments [half a window]")
      ->type_name("SECONDS");
  app.add_option(
         "--vectors", flags->vectors,
         "how vectors are stored: float32, or float16 in half the space; in PostgreSQL float16, or text without pgvector "
         "[float32; in PostgreSQL float16]")
      ->type_name("");
  app.add_option(
         "--index", flags->index,
         "how vectors are searched: flat (all are compared), ivf (lists), ivfpq (lists and codes), or auto (by "
         "their number: flat to a million moments, ivf to ten) [auto]")
      ->type_name("");
  app.add_option(
         "--forget", flags->forget,
         "what --data gave before and the library is to have no more: its files are removed, there or not")
      ->type_name("PATH");
  app.add_flag("--rebuild", flags->rebuild,
               "make the library anew beside the old one, which is searched until the new one is whole");
  app.add_flag(
      "--check", flags->check,
      "first read everything that is stored, and make again what is damaged; then measure what the lists of "
      "a large library find of what comparing everything finds");
  app.add_flag("--watch", flags->watch,
               "then go on adding what appears in the folders, until a signal ends it");
  flags->options.add(app, IndexOptions{}, "Indexing");
  flags->lists.add(app);
  flags->dist.add(app);
  add_json_flag(app, flags->json);
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_index(*flags, program.global); }; });
}

}  // namespace cavmae::apps
