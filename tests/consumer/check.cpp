// check RUN CLASSIFIER AUTHORS_PTH ARCHIVE CLIP...: that an installed cavmae does what its README promises.
// ARCHIVE is what `cavmae embed --checkpoint RUN` made of the clips.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <cavmae/cavmae.h>

namespace {

#define REQUIRE(condition)                                                               \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (false)

using Files = std::vector<std::string>;
using Vectors = std::vector<cavmae::ClipVectors>;

Vectors embed_all(const cavmae::Model& model, const Files& files) {
  Vectors out;
  for (const std::string& file : files) out.push_back(model.embed(file));
  return out;
}

bool equal(const Vectors& a, const Vectors& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!a[i].audio.equal(b[i].audio) || !a[i].video.equal(b[i].video)) return false;
  return a.size() == b.size();
}

torch::Tensor matrix_of(const Vectors& vectors, torch::Tensor cavmae::ClipVectors::*modality) {
  std::vector<torch::Tensor> rows;
  for (const cavmae::ClipVectors& clip : vectors) rows.push_back(clip.*modality);
  return at::stack(rows);
}

void each_finds_itself(const torch::Tensor& queries, const torch::Tensor& matrix) {
  const cavmae::Neighbors found = cavmae::nearest(queries, matrix, 1);
  for (int64_t i = 0; i < queries.size(0); ++i) REQUIRE(found.indices[i][0].item<int64_t>() == i);
}

cavmae::MediaSource in_memory(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return cavmae::media_in_memory(std::string(std::istreambuf_iterator<char>(in), {}), "upload.mp4");
}

void check_vectors(const cavmae::Model& model, const Files& files) {
  const Vectors alone = embed_all(model, files);
  Vectors of_bytes;
  for (const std::string& file : files) of_bytes.push_back(model.embed(in_memory(file)));
  REQUIRE(equal(of_bytes, alone));
  for (const auto modality : {&cavmae::ClipVectors::audio, &cavmae::ClipVectors::video}) {
    const torch::Tensor matrix = matrix_of(alone, modality);
    each_finds_itself(matrix, matrix);
    each_finds_itself(matrix.to(torch::kFloat16).to(torch::kFloat32), matrix.to(torch::kFloat16));
  }
  std::vector<Vectors> of_threads(8);
  std::vector<std::thread> threads;
  for (Vectors& mine : of_threads) threads.emplace_back([&] { mine = embed_all(model, files); });
  for (std::thread& thread : threads) thread.join();
  for (const Vectors& mine : of_threads) REQUIRE(equal(mine, alone));
}

// The rows of the archive, whichever order they came in, by the clips' names.
void check_archive(const cavmae::Model& model, const std::string& archive, const Files& files) {
  const torch::Tensor matrix = cavmae::map_embeddings(archive, "video");
  const std::vector<std::string> ids = cavmae::read_embeddings(archive).ids;
  for (const std::string& file : files) {
    const cavmae::Neighbors found = cavmae::nearest(model.embed(file).video, matrix, 1);
    REQUIRE(file.find(ids.at(found.indices[0][0].item<int64_t>())) != std::string::npos);
  }
}

template <class F>
bool is_refused(F&& f) {
  try {
    f();
  } catch (const cavmae::Error&) {
    return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 5);
  const std::string run = argv[1], classifier = argv[2], authors = argv[3], archive = argv[4];
  const Files files(argv + 5, argv + argc);

  const cavmae::Model ours(run);
  check_vectors(ours, files);
  check_archive(ours, archive, files);

  REQUIRE(is_refused(
      [&] { cavmae::Model{authors}; }));  // no model of the authors' sizes: what it wants is not known
  const cavmae::Model theirs(authors,
                             {.hints = {.num_heads = 4, .decoder_num_heads = 4},
                              .shape = {.window_seconds = 1.28, .fbank_mean = -5.0, .fbank_std = 4.5}});
  check_vectors(theirs, files);

  const std::vector<cavmae::ScoredClass> classes = cavmae::Model(classifier).classify(files[0]);
  REQUIRE(cavmae::Model(classifier).classify(in_memory(files[0]))[0].score == classes[0].score);
  REQUIRE(classes.size() > 1 && classes[0].score >= classes[1].score && !classes[0].label.mid.empty());

  REQUIRE(is_refused([&] { ours.embed("nothing.mp4"); }));
  REQUIRE(is_refused([&] { ours.classify(files[0]); }));
  REQUIRE(is_refused([&] { cavmae::Model("nothing"); }));
  REQUIRE(
      is_refused([&] { cavmae::nearest(torch::ones({3}), cavmae::map_embeddings(archive, "video"), 1); }));
  std::printf("%zu clips\n", files.size());
}
