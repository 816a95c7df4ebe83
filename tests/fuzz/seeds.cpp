// fuzz_seeds FOLDER: writes small right files of each kind, for the fuzzers to begin with. They are made and
// not kept, so that they are always of the format of today.
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "cavmae/core/file_stream.h"
#include "cavmae/core/files.h"
#include "cavmae/core/log.h"
#include "cavmae/tensorfile/pth.h"
#include "cavmae/tensorfile/safetensors.h"
#include "cavmae/tensorfile/zip_reader.h"

#include "tests/fuzz/cache_seed.h"

namespace cavmae {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  write_file(path, text);
}

// The object's pickle of a .pth in the zip format.
std::string pickle_of(const fs::path& pth) {
  const FileReader file(pth);
  const ZipReader zip(file);
  for (const auto& [name, entry] : zip.entries()) {
    if (!name.ends_with("/data.pkl")) continue;
    std::string bytes(entry.size, '\0');
    zip.read(entry, bytes.data());
    return bytes;
  }
  return {};
}

void write_tensor_files(const fs::path& out) {
  const torch::Tensor six = torch::arange(6, torch::kFloat32);
  for (const char* folder : {"pickle", "zip", "safetensors"}) fs::create_directories(out / folder);
  write_pth(out / "zip/one", {{"module.w", six.view({2, 3})}});
  write_pth(out / "zip/types", {{"a", six.to(torch::kHalf)},
                                {"b", six.to(torch::kInt64)},
                                {"c", six > 2},
                                {"empty", torch::zeros({0, 4})},
                                {"view", six.view({2, 3}).t()}});
  write(out / "pickle/one", pickle_of(out / "zip/one"));
  using namespace std::string_view_literals;
  // {"model": OrderedDict, "epoch": 3, "args": Namespace, "list": [None, 1.5, (1, 2), True]}
  write(out / "pickle/nested",
        "\x80\x02}(X\x05\0\0\0modelccollections\nOrderedDict\n)RX\x05\0\0\0epochK\x03"
        "X\x04\0\0\0argscargparse\nNamespace\n)\x81}(X\x02\0\0\0lrG?\xb9\x99\x99\x99\x99\x99\x9aub"
        "X\x04\0\0\0list](NG?\xf8\0\0\0\0\0\0K\x01K\x02\x86q\x01\x88h\x01\x65u."sv);
  write_safetensors(out / "safetensors/types",
                    {{"w", six.view({2, 3})},
                     {"half", six.to(torch::kBFloat16)},
                     {"flags", six > 2},
                     {"bytes", six.to(torch::kUInt8)},
                     {"empty", torch::zeros({0, 4})},
                     {"number", torch::tensor(1.0)}},
                    {{"format", "cavmae"}, {"model", "{}"}});
  write_safetensors(out / "safetensors/none", {});
}

void write_lists(const fs::path& out) {
  write(out / "csv/paths", "a.wav\nb.wav\n");
  write(out / "csv/table",
        "path,id,labels,start_seconds\na.wav,x,\"bird,forest\",1.5\n\"a.wav\",\"y \"\"z\"\"\",,\n");
  write(out / "csv/sides", "audio,image,label\na.wav,b.jpg,rain\r\n,c.jpg,\"two\nlines\"\r\n");
  write(out / "csv/tabs", "path\tlabels\na.wav\tbird, singing\n");
  write(out / "csv/vggsound", "abc_000030.mp4,people marching\na.wav,\"donkey, ass braying\"\n");
  write(out / "csv/audioset",
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        "--4gqARaEJE, 0.000, 10.000, \"/m/068hy,/m/07q6cd_\"\n");
  write(out / "csv/metadata", "file_name,text\na.wav,a bird\n");
  write(
      out / "jsonl/clips",
      R"({"path": "a.wav", "id": "1", "labels": ["star", "ring"], "start_seconds": 2.5})"
      "\n"
      R"({"audio": "a.wav", "image": "b.jpg", "labels": "x, y"})"
      "\n\n"
      R"({"audio": "a.wav", "frames": ["0.jpg", "\u00e4.jpg"], "start": 1, "id": 7, "nested": {"a": [[1], {}, null, true]}})"
      "\n");
  write(
      out / "authors_json/data",
      R"({"data": [{"wav": "a.wav", "video_id": "x", "video_path": "frames", "labels": "/m/09x0r,/m/04rlf"},)"
      "\n"
      R"({"wav": "a.wav", "labels": ["a", "b"], "more": [{"b": [1, 2.5e3, -3, null]}]}], "other": {"c": false}})");
}

void write_class_files(const fs::path& out) {
  write(out / "labels/labels", "index,mid,display_name\n0,/m/1,\"Bird, singing\"\n1,/m/2,Rain\n");
  write(out / "labels/scores", "id,label,score\nx,/m/1,0.9\ny,Rain,1e-3\n");
  write(out / "labels/scores_json",
        R"({"clips": [{"id": "x", "labels": [{"mid": "/m/1", "score": 0.93}]}]})");
  write(out / "labels/taxonomy",
        R"([{"id": "/m/2", "name": "n", "child_ids": ["/m/1"]}, {"id": "/m/1", "child_ids": []}])");
  write(out / "labels/weights", "1980.2\n0\n1e3\n");
}

void write_cache_entries(const fs::path& out) {
  const FeatureCache cache(out / "cache", null_log());
  const torch::Tensor numbers = torch::arange(24, torch::kFloat32);
  fs::create_directories(out / "cache_entry");
  for (const auto& [name, records] : {std::pair<const char*, torch::Tensor>{
                                          "facts", numbers.narrow(0, 0, 4).to(torch::kFloat64).view({1, 4})},
                                      {"fbank", numbers.view({1, 3, 8})},
                                      {"pictures", numbers.to(torch::kUInt8).view({2, 2, 2, 3})}}) {
    cache.store(fuzz::cache_key(), records);
    fs::rename(cache.path_of(fuzz::cache_key()), out / "cache_entry" / name);
  }
  fs::remove_all(out / "cache");
}

}  // namespace
}  // namespace cavmae

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path out = argv[1];
  cavmae::write_tensor_files(out);
  cavmae::write_lists(out);
  cavmae::write_class_files(out);
  cavmae::write_cache_entries(out);
}
