// cavmae search: finds the moments of a library that are like a sound, a picture, a film or another moment.
#include "cavmae/search/search.h"

#include <charconv>

#include <fmt/format.h>

#include "cavmae/core/files.h"
#include "cavmae/core/paths.h"
#include "cavmae/search/export.h"
#include "cavmae/search/open_library.h"

#include "apps/command.h"
#include "apps/engines.h"
#include "apps/library_text.h"
#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

struct SearchFlags {
  std::string library;
  std::filesystem::path audio, image, video, checkpoint, export_to, json;
  std::string like, target = "any", by = "both";
  std::optional<double> at_seconds;
  SearchOptions options;
  OptionFlags runtime;
};

struct Place {
  std::string file;
  double seconds = 0.0;
};

// "talks/a.mp4@12.5"
Place place_of(const std::string& text) {
  const size_t at = text.rfind('@');
  Place place;
  const std::string seconds = at == std::string::npos ? "" : text.substr(at + 1);
  const auto [end, failed] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), place.seconds);
  CAVMAE_CHECK_AS(ConfigError,
                  at != std::string::npos && failed == std::errc() && end == seconds.data() + seconds.size(),
                  "--like ", text, ": give a file of the library and a second of it, such as talk.mp4@12.5");
  place.file = text.substr(0, at);
  return place;
}

// The file of the query as a clip, of which the flag says which sides count.
ClipSource query_clip(const SearchFlags& flags) {
  ClipSource clip;
  if (!flags.audio.empty()) clip.audio = flags.audio;
  if (!flags.image.empty()) clip.video = flags.image;
  if (!flags.video.empty()) clip.audio = clip.video = flags.video;
  return clip;
}

ClipVectors vectors_of_file(const SearchFlags& flags, LibraryReader& library, Log& log) {
  const LibrarySettings settings = library.snapshot()->settings();
  const std::filesystem::path checkpoint =
      flags.checkpoint.empty() ? std::filesystem::path(settings.model.path) : flags.checkpoint;
  CAVMAE_CHECK_AS(ConfigError, !flags.checkpoint.empty() || std::filesystem::exists(checkpoint),
                  checkpoint.string(),
                  ": the library's checkpoint is not there any more; name it by --checkpoint");
  LoadOptions options = load_options(settings.model);
  options.runtime = runtime_options(flags.runtime);
  log.info("model: {}", checkpoint.string());
  warn_of_slow_precision(options.precision, options.runtime, log);
  const Model model(checkpoint, options);
  check_same_model(library.name(), settings, library_model(model.pretrained()));
  ViewOptions view{.window_start = flags.at_seconds, .frames = FrameChoice::all};
  view.fits_segments = true;
  return model.embed(query_clip(flags), view);
}

void export_hits(const std::vector<FileHit>& hits, const std::filesystem::path& folder, Log& log) {
  make_directories(folder);
  int number = 0;
  for (const FileHit& hit : hits) {
    const std::string stem = std::filesystem::path(hit.file.path).stem().string();
    ++number;
    for (const MomentHit& found : hit.moments) {
      const std::filesystem::path out =
          folder / fmt::format("{:03}_{}_{}ms.mp4", number, stem, found.moment.start_ms);
      try {
        export_moment(hit.file, found.moment, out);
      } catch (const MediaError& e) {
        log.warn("not exported: {}", e.what());
      }
    }
  }
}

int run_search(SearchFlags flags, const GlobalOptions& global) {
  const int queries =
      !flags.audio.empty() + !flags.image.empty() + !flags.video.empty() + !flags.like.empty();
  CAVMAE_CHECK_AS(ConfigError, queries == 1,
                  "one query is needed: --audio, --image, --video or --like, and only one of them");
  CAVMAE_CHECK_AS(ConfigError, flags.like.empty() || !flags.at_seconds,
                  "--at is of a query's file; --like has its second behind the @");
  option_from_json(Json(flags.target), flags.options.target, "--for");
  auto log = make_log(global.verbosity());
  const auto reader = open_library(flags.library);
  LibraryReader& library = *reader;
  Json query;
  ClipVectors vectors;
  if (!flags.like.empty()) {
    const Place place = place_of(flags.like);
    const Moment moment = library.find_moment(place.file, place.seconds);
    vectors = library.vectors(moment.id);
    query = {{"like", flags.like}, {"moment", moment.id}};
  } else {
    vectors = vectors_of_file(flags, library, *log);
    query = {{!flags.audio.empty()   ? "audio"
              : !flags.image.empty() ? "image"
                                     : "video",
              (!flags.audio.empty()   ? flags.audio
               : !flags.image.empty() ? flags.image
                                      : flags.video)
                  .string()}};
  }
  if (flags.by == "audio") vectors.video = torch::Tensor();
  if (flags.by == "video") vectors.audio = torch::Tensor();
  const std::vector<FileHit> hits = search(library, vectors, flags.options);
  if (!flags.export_to.empty()) export_hits(hits, flags.export_to, *log);
  if (flags.json != "-") print_hits(hits);
  const auto snapshot = library.snapshot();
  const LibrarySettings& settings = snapshot->settings();
  write_json_result(flags.json, {{"library", library.name()},
                                 {"generation", settings.generation},
                                 {"model", settings.model.parameters_hash},
                                 {"precision", settings.model.precision},
                                 {"query", query},
                                 {"by", flags.by},
                                 {"for", flags.target},
                                 {"results", to_json(hits)}});
  return 0;
}

}  // namespace

void add_search(CLI::App& app, Program& program) {
  describe(
      app,
      "Prints files with their best moments: `similarity` is the cosine of the vectors, `score` what it is worth\n"
      "among 10,000 moments of the library (0.5: three deviations above their mean). A sound finds pictures as\n"
      "well as sounds, and the reverse; --for says which is wanted.",
      {"cavmae search library --audio bark.wav --for video",
       "cavmae search library --image beach.jpg --top 5",
       "cavmae search library --like talk.mp4@12.5 --under films"});
  auto flags = std::make_shared<SearchFlags>();
  app.add_option("library", flags->library,
                 "what 'cavmae index' made: a folder, or postgresql://host/database")
      ->required()
      ->type_name("LIBRARY");
  app.add_option("--audio", flags->audio, "search by the sound of this file")->type_name("FILE");
  app.add_option("--image", flags->image, "search by this picture, or the pictures of this film")
      ->type_name("FILE");
  app.add_option("--video", flags->video, "search by sound and pictures of this film; the better one counts")
      ->type_name("FILE");
  app.add_option("--like", flags->like, "search by a moment of the library")->type_name("FILE@SECONDS");
  app.add_option("--at", flags->at_seconds,
                 "where in the query's file its window starts, in seconds [the middle]")
      ->type_name("SECONDS");
  app.add_option("--by", flags->by,
                 "which side of the query counts, where it has both: audio, video, or both [both]")
      ->type_name("")
      ->check(CLI::IsMember({"audio", "video", "both"}));
  app.add_option("--for", flags->target, "what is looked for: audio, video, or any [any]")->type_name("");
  app.add_option("--top", flags->options.top, fmt::format("files that are listed [{}]", flags->options.top))
      ->type_name("N");
  app.add_option("--moments", flags->options.moments_per_file,
                 fmt::format("moments of each that are listed [{}]", flags->options.moments_per_file))
      ->type_name("N");
  app.add_option("--min-score", flags->options.min_score, "list nothing that scores less, 0 to 1")
      ->type_name("S");
  app.add_option("--under", flags->options.under, "search this folder, or this file, alone")
      ->type_name("PATH");
  app.add_flag("--exact", flags->options.exact,
               "compare every vector, also where the library has lists of them");
  app.add_option("--export", flags->export_to, "cut the moments found into this folder, as .mp4")
      ->type_name("DIR");
  app.add_option("--checkpoint", flags->checkpoint, "the library's model, where it has moved")
      ->type_name("PATH");
  add_runtime_flags(app, flags->runtime);
  add_json_flag(app, flags->json);
  app.callback(
      [=, &program] { program.action = [=, &program] { return run_search(*flags, program.global); }; });
}

}  // namespace cavmae::apps
