// A library of very many moments: what filling it, searching it and its disk take, how many of the right
// answers its lists find, and FAISS's own flat index and hnswlib beside it. See search_scale.sh. Commands:
//   library_benchmark fill LIBRARY --from EMBEDDINGS --moments N [--index KIND] [--vectors TYPE] [--sides
//   video] library_benchmark measure LIBRARY [--queries N] [--threads 1,2] [--beside faiss,hnsw]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <CLI/CLI.hpp>
#include <faiss/IndexFlat.h>
#include <fmt/format.h>
#if __has_include(<hnswlib/hnswlib.h>)
#include <hnswlib/hnswlib.h>
#endif

#include "cavmae/core/json.h"
#include "cavmae/core/options.h"
#include "cavmae/core/parallel.h"
#include "cavmae/core/progress.h"
#include "cavmae/eval/embed_file.h"
#include "cavmae/eval/nearest.h"
#include "cavmae/search/folder_reader.h"
#include "cavmae/search/folder_writer.h"
#include "cavmae/search/search.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kMomentsPerFile = 1000;  // of 10 s at half a window: a film of 83 minutes

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// New vectors out of real ones: between two of them, and a little beside, as much as three tenths of how far
// these lie from their mean.
class Mixer {
 public:
  explicit Mixer(const torch::Tensor& real) : real_(directions_of(real)) {
    real_ = real_.index({real_.abs().sum(1) > 0});
    noise_ = 0.3 * (real_ - real_.mean(0)).square().sum(1).mean().sqrt().item<double>();
  }

  torch::Tensor draw(int64_t count, at::Generator& generator) const {
    const auto pick = [&] { return torch::randint(0, real_.size(0), {count}, generator, torch::kInt64); };
    const torch::Tensor share = torch::rand({count, 1}, generator);
    const torch::Tensor mixed =
        share * real_.index_select(0, pick()) + (1 - share) * real_.index_select(0, pick());
    const torch::Tensor noise = torch::randn({count, real_.size(1)}, generator) / std::sqrt(real_.size(1));
    return directions_of(mixed + noise_ * noise);
  }
  int64_t width() const { return real_.size(1); }

 private:
  torch::Tensor real_;
  double noise_ = 0.0;  // its length
};

struct Mixers {
  Mixer audio, video;

  explicit Mixers(const fs::path& embeddings)
      : audio(map_embeddings(embeddings, "audio").to(torch::kFloat32)),
        video(map_embeddings(embeddings, "video").to(torch::kFloat32)) {}
};

struct FillFlags {
  fs::path library, from;
  int64_t moments = 1'000'000;
  std::string index = "auto", vectors = "float16", sides = "audio,video";
};

int fill(const FillFlags& flags) {
  const torch::NoGradGuard no_grad;
  const Mixers mixers(flags.from);
  LibrarySettings settings;
  settings.model = {.path = flags.from.string(),
                    .parameters_hash = "mixed",
                    .embed_dim = mixers.audio.width(),
                    .precision = "fp32",
                    .spec = {}};
  option_from_json(Json(flags.index), settings.index, "--index");
  option_from_json(Json(flags.vectors), settings.vectors, "--vectors");
  const auto begin = Clock::now();
  FolderWriter writer(flags.library, settings, LibraryStart::add, make_log(Verbosity::normal));
  const torch::ScalarType type = scalar_type(settings.vectors);
  const bool has_audio = flags.sides.find("audio") != std::string::npos,
             has_video = flags.sides.find("video") != std::string::npos;
  const int64_t there = writer.catalog().counts().files;  // goes on where it was stopped
  Progress progress({.title = "filling",
                     .unit = "moments",
                     .total = flags.moments,
                     .already_done = there * kMomentsPerFile});
  for (int64_t f = there; f < flags.moments / kMomentsPerFile; ++f) {
    at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(f));
    const auto draw = [&](const Mixer& mixer, bool is_wanted) {
      return is_wanted ? mixer.draw(kMomentsPerFile, generator).to(type) : torch::Tensor();
    };
    const torch::Tensor audio = draw(mixers.audio, has_audio), video = draw(mixers.video, has_video);
    std::vector<NewMoment> moments;
    for (int64_t i = 0; i < kMomentsPerFile; ++i)
      moments.push_back({.start_ms = 10000 * i,
                         .end_ms = 10000 * (i + 1),
                         .audio = has_audio ? vector_bytes(audio[i], type) : std::string(),
                         .video = has_video ? vector_bytes(video[i], type) : std::string()});
    LibraryFile file;
    file.path = fmt::format("/archive/{:03}/{:06}.mp4", f % 100, f);
    file.content = file.path;
    writer.catalog().add_file(file, moments, {});
    writer.seal_if_due();
    progress.update((f + 1) * kMomentsPerFile);
  }
  progress.finish();
  const double filled = seconds_since(begin);
  writer.seal();
  fmt::print("{}\n", Json{{"moments", flags.moments},
                          {"fill_seconds", filled},
                          {"lists_seconds", seconds_since(begin) - filled}}
                         .dump());
  return 0;
}

double percentile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

Json times(const std::vector<double>& seconds) {
  return {{"p50_ms", 1000 * percentile(seconds, 0.5)}, {"p99_ms", 1000 * percentile(seconds, 0.99)}};
}

int64_t disk_bytes(const fs::path& folder, const std::string& ending) {
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().string().ends_with(ending))
      bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

// All vectors of a side, float [N, D].
torch::Tensor all_vectors(const FolderSnapshot& snapshot, ClipSide side) {
  std::vector<torch::Tensor> parts;
  for (const FolderSnapshot::Part& part : snapshot.parts())
    parts.push_back(vectors_of(part.rows, side).to(torch::kFloat32));
  return torch::cat(parts);
}

Json measure_faiss(const torch::Tensor& vectors, const torch::Tensor& queries,
                   const std::vector<int>& threads) {
  const auto begin = Clock::now();
  faiss::IndexFlatIP index(vectors.size(1));
  index.add(vectors.size(0), vectors.data_ptr<float>());
  Json out = {{"build_seconds", seconds_since(begin)}};
  std::vector<float> scores(10);
  std::vector<faiss::Index::idx_t> found(10);
  for (const int count : threads) {
    at::set_num_threads(count);
    std::vector<double> seconds;
    for (int64_t q = 0; q < std::min<int64_t>(100, queries.size(0)); ++q) {
      const auto start = Clock::now();
      index.search(1, queries[q].data_ptr<float>(), 10, scores.data(), found.data());
      seconds.push_back(seconds_since(start));
    }
    out[fmt::format("threads_{}", count)] = times(seconds);
  }
  return out;
}

Json measure_hnsw(const torch::Tensor& vectors, const torch::Tensor& queries) {
#if __has_include(<hnswlib/hnswlib.h>)
  const auto begin = Clock::now();
  hnswlib::InnerProductSpace space(static_cast<size_t>(vectors.size(1)));
  hnswlib::HierarchicalNSW<float> index(&space, static_cast<size_t>(vectors.size(0)), 16, 200);
  Progress progress({.title = "hnswlib", .unit = "vectors", .total = vectors.size(0)});
  std::atomic<int64_t> next = 0;
  const auto add = [&](bool tells) {
    for (int64_t i = next++; i < vectors.size(0); i = next++) {
      index.addPoint(vectors[i].data_ptr<float>(), static_cast<size_t>(i));
      if (tells && i % 100 == 0) progress.update(i);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t < at::get_num_threads(); ++t) threads.emplace_back(add, false);
    add(true);
  }
  progress.finish();
  const double built = seconds_since(begin);
  Json out;
  const int64_t num_queries = std::min<int64_t>(200, queries.size(0));
  const Neighbors exact = nearest(queries.slice(0, 0, num_queries), vectors, 10);
  for (const size_t ef : {64, 256, 1024}) {
    index.setEf(ef);
    std::vector<double> seconds;
    int64_t right = 0;
    for (int64_t q = 0; q < num_queries; ++q) {
      const auto start = Clock::now();
      auto found = index.searchKnn(queries[q].data_ptr<float>(), 10);
      seconds.push_back(seconds_since(start));
      const auto* truth = exact.indices[q].data_ptr<int64_t>();
      const std::set<int64_t> wanted(truth, truth + exact.indices.size(1));
      for (; !found.empty(); found.pop()) right += wanted.contains(static_cast<int64_t>(found.top().second));
    }
    Json at = times(seconds);
    at["recall_at_10"] = static_cast<double>(right) / static_cast<double>(exact.indices.numel());
    out[fmt::format("ef_{}", ef)] = at;
  }
  out["build_seconds"] = built;
  return out;
#else
  (void)vectors, (void)queries;
  return "libhnswlib-dev is not installed";
#endif
}

struct MeasureFlags {
  fs::path library;
  int64_t queries = 1000;
  std::vector<int> threads = {1, 2};
  std::string beside;
};

// The moments that are the best of the ten best files, for each query: one product of all queries with all
// vectors.
std::vector<std::set<int64_t>> true_moments(const FolderSnapshot& snapshot, ClipSide side,
                                            const torch::Tensor& queries) {
  constexpr int64_t kCandidates = 40;  // of each part; some are of one file
  constexpr size_t kFiles = 10;
  using Candidate = std::tuple<float, int64_t, int64_t>;  // similarity, moment, file
  std::vector<std::vector<Candidate>> candidates(static_cast<size_t>(queries.size(0)));
  Progress progress({.title = "comparing everything",
                     .unit = "vectors",
                     .total = snapshot.counts().moments,
                     .line_interval_seconds = 30});
  int64_t done = 0;
  for (const FolderSnapshot::Part& part : snapshot.parts()) {
    const Neighbors found = nearest(queries, vectors_of(part.rows, side), kCandidates, part.alive);
    for (int64_t q = 0; q < queries.size(0); ++q)
      for (int64_t i = 0; i < found.indices.size(1); ++i) {
        const int64_t row = found.indices[q][i].item<int64_t>();
        if (row < 0) continue;
        const Moment moment = moment_at(part.rows, row);
        candidates[static_cast<size_t>(q)].emplace_back(found.scores[q][i].item<float>(), moment.id,
                                                        moment.file);
      }
    progress.update(done += part.rows.size());
  }
  progress.finish();
  std::vector<std::set<int64_t>> out;
  for (std::vector<Candidate>& of_query : candidates) {
    std::ranges::sort(of_query, std::ranges::greater());
    std::set<int64_t> moments, files;
    for (const auto& [similarity, moment, file] : of_query)
      if (files.size() < kFiles && files.insert(file).second) moments.insert(moment);
    out.push_back(std::move(moments));
  }
  return out;
}

// A search as a user makes it, one query after another.
Json measure_search(LibraryReader& library, const torch::Tensor& queries, ClipSide query_side,
                    const SearchOptions& options, double most_seconds,
                    const std::vector<std::set<int64_t>>& truth) {
  std::vector<double> seconds;
  int64_t right = 0, wanted = 0;
  const auto begin = Clock::now();
  for (int64_t q = 0; q < queries.size(0) && (q < 3 || seconds_since(begin) < most_seconds); ++q) {
    const ClipVectors query = query_side == ClipSide::audio ? ClipVectors{.audio = queries[q], .video = {}}
                                                            : ClipVectors{.audio = {}, .video = queries[q]};
    const auto start = Clock::now();
    const auto found = search(library, query, options);
    seconds.push_back(seconds_since(start));
    const std::set<int64_t>& moments = truth[static_cast<size_t>(q)];
    for (const FileHit& hit : found) right += moments.contains(hit.moments[0].moment.id);
    wanted += static_cast<int64_t>(moments.size());
  }
  Json out = times(seconds);
  out["queries"] = seconds.size();
  out["recall_at_10"] = static_cast<double>(right) / static_cast<double>(wanted);
  return out;
}

int measure(const MeasureFlags& flags) {
  constexpr double kExactSeconds = 20;
  const torch::NoGradGuard no_grad;
  const auto begin = Clock::now();
  FolderReader library(flags.library);
  const auto snapshot = library.folder_snapshot();
  const double opened = seconds_since(begin);
  const LibrarySettings& settings = snapshot->settings();
  const Mixers mixers(settings.model.path);
  at::Generator generator = at::detail::createCPUGenerator(1u << 31);
  const ClipSide query_side =
      snapshot->sample(ClipSide::audio).size(0) > 0 ? ClipSide::audio : ClipSide::video;
  const Mixer& mixer = query_side == ClipSide::audio ? mixers.audio : mixers.video;
  const torch::Tensor queries = mixer.draw(flags.queries, generator);
  Json out = {{"moments", snapshot->counts().moments},
              {"queries", flags.queries},
              {"query", side_name(query_side)},
              {"open_seconds", opened},
              {"vectors", enum_name(settings.vectors)},
              {"index", enum_name(settings.index)},
              {"vector_bytes",
               disk_bytes(flags.library, ".safetensors") - disk_bytes(flags.library, ".lists.safetensors")},
              {"list_bytes", disk_bytes(flags.library, ".lists.safetensors")}};
  for (const auto& [side, target] :
       {std::pair(ClipSide::audio, SearchFor::audio), std::pair(ClipSide::video, SearchFor::video)}) {
    if (snapshot->sample(side).size(0) == 0) continue;
    const auto truth = true_moments(*snapshot, side, queries);
    SearchOptions listed{.target = target, .top = 10};
    SearchOptions exact = listed;
    exact.exact = true;
    for (const int threads : flags.threads) {
      at::set_num_threads(threads);
      Json& at = out[enum_name(target)][fmt::format("threads_{}", threads)];
      at["lists"] = measure_search(library, queries, query_side, listed, 1e9, truth);
      at["exact"] = measure_search(library, queries, query_side, exact, kExactSeconds, truth);
      fmt::print(stderr, "{} threads, {} asked for {}: {}\n", threads, side_name(query_side),
                 enum_name(target), at.dump());
    }
  }
  for (const ClipSide side : {ClipSide::audio, ClipSide::video}) {
    const ListModel& model = snapshot->list_models().of(side);
    if (model.is_there())
      out[side_name(side)].update(
          Json{{"num_lists", model.num_lists()}, {"probe", model.probe(side == query_side)}});
  }
  if (flags.beside.find("faiss") != std::string::npos)
    out["faiss_flat"] = measure_faiss(all_vectors(*snapshot, ClipSide::video), queries, flags.threads);
  if (flags.beside.find("hnsw") != std::string::npos)
    out["hnswlib"] = measure_hnsw(all_vectors(*snapshot, ClipSide::video), queries);
  fmt::print("{}\n", out.dump());
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app("What searching in very many moments takes; see search_scale.sh");
  app.require_subcommand(1);
  FillFlags filling;
  CLI::App* fill_app = app.add_subcommand("fill");
  fill_app->add_option("library", filling.library)->required();
  fill_app->add_option("--from", filling.from)->required();
  fill_app->add_option("--moments", filling.moments);
  fill_app->add_option("--index", filling.index);
  fill_app->add_option("--vectors", filling.vectors);
  fill_app->add_option("--sides", filling.sides);
  MeasureFlags measuring;
  CLI::App* measure_app = app.add_subcommand("measure");
  measure_app->add_option("library", measuring.library)->required();
  measure_app->add_option("--queries", measuring.queries);
  measure_app->add_option("--threads", measuring.threads)->delimiter(',');
  measure_app->add_option("--beside", measuring.beside);
  CLI11_PARSE(app, argc, argv);
  return fill_app->parsed() ? fill(filling) : measure(measuring);
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  try {
    return cavmae::run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "library_benchmark: {}\n", e.what());
    return 1;
  }
}
