#include "cavmae/tensorfile/safetensors.h"

#include <csignal>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cavmae/core/error.h"
#include "cavmae/core/files.h"
#include "cavmae/core/random.h"

#include "tests/support/temporary_folder.h"

namespace cavmae {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + data;
}

// The error of a file with this header and data.
std::string error_of(const std::string& header, const std::string& data) {
  TemporaryFolder folder;
  write_file(folder / "x.safetensors", file_of(header, data));
  return message_from<CheckpointError>([&] { read_safetensors(folder / "x.safetensors"); });
}

bool same(const torch::Tensor& a, const torch::Tensor& b) {
  return a.dtype() == b.dtype() && a.sizes() == b.sizes() && torch::equal(a, b);
}

NamedTensors every_dtype() {
  NamedTensors tensors;
  const auto base = torch::arange(-3, 3).reshape({2, 3});
  for (const auto type : {torch::kBool, torch::kUInt8, torch::kInt8, torch::kInt16, torch::kInt32,
                          torch::kInt64, torch::kFloat16, torch::kBFloat16, torch::kFloat32, torch::kFloat64})
    tensors.emplace_back(std::string("a.") + torch::toString(type), base.to(type));
  tensors.emplace_back("scalar", torch::tensor(2.5f));
  tensors.emplace_back("empty", torch::empty({3, 0, 2}));
  return tensors;
}

TEST(Safetensors, RoundTripKeepsEveryDtypeOrderAndMetadata) {
  TemporaryFolder folder;
  const auto tensors = every_dtype();
  const std::map<std::string, std::string> metadata{{"model", "{\"a\": 1}"}, {"\u00fc \"x\"\n", ""}};
  write_safetensors(folder / "x.safetensors", tensors, metadata);
  const auto file = read_safetensors(folder / "x.safetensors");
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].first, tensors[i].first);
    EXPECT_TRUE(same(file.tensors[i].second, tensors[i].second)) << tensors[i].first;
  }
}

TEST(Safetensors, AMappedFileHasWhatAReadOneHas) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder / "x.safetensors";
  write_safetensors(path, every_dtype(), {{"key", "value"}});
  const TensorFile read = read_safetensors(path);
  const TensorFile mapped = map_safetensors(path);
  std::filesystem::remove(path);  // the memory stays
  EXPECT_EQ(mapped.metadata, read.metadata);
  ASSERT_EQ(mapped.tensors.size(), read.tensors.size());
  for (size_t i = 0; i < read.tensors.size(); ++i) {
    EXPECT_EQ(mapped.tensors[i].first, read.tensors[i].first);
    EXPECT_TRUE(same(mapped.tensors[i].second, read.tensors[i].second)) << read.tensors[i].first;
  }
}

TEST(Safetensors, WhatIsWrittenToAMappedFileStaysInThisProcess) {
  TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", {{"a", torch::zeros({3})}});
  map_safetensors(folder / "x.safetensors").at("a").fill_(7);
  EXPECT_TRUE(read_safetensors(folder / "x.safetensors").at("a").equal(torch::zeros({3})));
}

TEST(Safetensors, ViewsAreWrittenAsWhatTheyShow) {
  TemporaryFolder folder;
  const auto base = torch::arange(24, torch::kFloat32).reshape({4, 6});
  const auto part = base.t().slice(0, 1, 6, 2);
  auto learned = torch::ones({3});
  learned.requires_grad_();
  write_safetensors(folder / "x", {{"t", part}, {"wide", torch::ones({1}).expand({5})}, {"w", learned}});
  const auto file = read_safetensors(folder / "x");
  EXPECT_TRUE(same(file.at("t"), part.contiguous()));
  EXPECT_TRUE(same(file.at("wide"), torch::ones({5})));
  EXPECT_FALSE(file.at("w").requires_grad());
}

TEST(Safetensors, ReadsFilesOfAnotherWriter) {
  const auto file = read_safetensors(CAVMAE_TEST_DATA "/golden/fbank.safetensors");
  EXPECT_FALSE(file.metadata.empty());
  bool found = false;
  for (const auto& [name, tensor] : file.tensors) {
    if (name != "chirp_10.3s_16k.fbank") continue;
    found = true;
    EXPECT_EQ(tensor.sizes(), (std::vector<int64_t>{1028, 128})) << name;
    EXPECT_TRUE(tensor.isfinite().all().item<bool>());
  }
  EXPECT_TRUE(found);
}

TEST(Safetensors, MetadataIsReadWithoutTheTensors) {
  const TemporaryFolder folder;
  const std::map<std::string, std::string> metadata{{"k", "v"}};
  write_safetensors(folder / "x", {{"one", torch::ones({3})}}, metadata);
  EXPECT_EQ(read_safetensors_metadata(folder / "x"), metadata);
  std::filesystem::resize_file(folder / "x", std::filesystem::file_size(folder / "x") - 4);
  EXPECT_THROW(read_safetensors_metadata(folder / "x"), CheckpointError);
}

TEST(Safetensors, AFileWithoutTensorsIsFine) {
  TemporaryFolder folder;
  write_safetensors(folder / "x", {}, {{"k", "v"}});
  EXPECT_THAT(read_safetensors(folder / "x").metadata, ElementsAre(std::pair("k", "v")));
  write_file(folder / "y", file_of("{}", ""));
  EXPECT_TRUE(read_safetensors(folder / "y").tensors.empty());
}

TEST(Safetensors, InspectingReadsTheHeaderAlone) {
  // 20 GB of numbers of which none is on the disk: reading them would take minutes and the memory.
  TemporaryFolder folder;
  const std::string file = file_of(
      R"({"__metadata__":{"k":"v"},"w":{"dtype":"BF16","shape":[100000,100000],"data_offsets":[0,20000000000]}})",
      "");
  write_file(folder / "x", file);
  std::filesystem::resize_file(folder / "x", file.size() + 20'000'000'000);
  const TensorFileInfo info = inspect_safetensors(folder / "x");
  EXPECT_THAT(info.metadata, ElementsAre(std::pair("k", "v")));
  ASSERT_NE(info.find("w"), nullptr);
  EXPECT_EQ(info.find("w")->type, torch::kBFloat16);
  EXPECT_THAT(info.find("w")->shape, ElementsAre(100000, 100000));
  EXPECT_EQ(info.find("v"), nullptr);
  std::filesystem::resize_file(folder / "x", file.size() + 1000);
  EXPECT_THAT(message_from<CheckpointError>([&] { inspect_safetensors(folder / "x"); }),
              HasSubstr("truncated"));
}

TEST(Safetensors, DataIsAlignedToItsElements) {
  TemporaryFolder folder;
  write_safetensors(folder / "x", every_dtype());
  const std::string bytes = read_text(folder / "x");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  EXPECT_EQ(header_bytes % 8, 0u);
  const auto double_at = bytes.find("\"F64\"");
  ASSERT_NE(double_at, std::string::npos);
  // The widest types come first in the data although they come last in the header.
  const auto offsets = bytes.find("\"data_offsets\":[", double_at);
  EXPECT_EQ(std::stoll(bytes.substr(offsets + 16)) % 8, 0);
}

TEST(Safetensors, AMissingNameSuggestsTheNearest) {
  TensorFile file{{{"blocks_a.0.attn.qkv.weight", torch::ones({1})}}, {}};
  EXPECT_EQ(file.find("blocks_a.0"), nullptr);
  EXPECT_THAT(message_from<CheckpointError>([&] { file.at("blocks_a.0.attn.qkv.wight"); }),
              HasSubstr("did you mean 'blocks_a.0.attn.qkv.weight'?"));
}

TEST(Safetensors, WhatCannotBeWrittenIsNamed) {
  TemporaryFolder folder;
  const auto one = torch::ones({1});
  const auto error = [&](const NamedTensors& tensors) {
    return message_from<Error>([&] { write_safetensors(folder / "x", tensors); });
  };
  EXPECT_THAT(error({{"a", one}, {"a", one}}), HasSubstr("two tensors are called 'a'"));
  EXPECT_THAT(error({{"__metadata__", one}}), HasSubstr("__metadata__"));
  EXPECT_THAT(error({{"u", torch::Tensor()}}), HasSubstr("'u' is undefined"));
  EXPECT_THAT(error({{"c", torch::ones({1}, torch::kComplexFloat)}}), HasSubstr("tensor 'c' has the type"));
  EXPECT_THAT(error({{"\xff", one}}), HasSubstr("UTF-8"));
  EXPECT_THAT(message_from<Error>([&] {
                write_safetensors(folder / "no/such/x", {{"a", one}});
              }),
              HasSubstr("cannot be created: No such file"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Safetensors, BadHeadersAreNamed) {
  const std::string four(4, '\0');
  EXPECT_THAT(error_of("{", ""), AllOf(HasSubstr("x.safetensors"), HasSubstr("not valid JSON")));
  EXPECT_THAT(error_of("[]", ""), HasSubstr("no JSON object"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[1]}})", four), HasSubstr("lacks its dtype"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", four),
              HasSubstr("unknown field 'x'"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four), HasSubstr("-1"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", four),
              HasSubstr("1.5"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", four),
              HasSubstr("a list where none belongs"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", four),
              HasSubstr("more than two data_offsets"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"C64","shape":[1],"data_offsets":[0,4]}})", four),
              HasSubstr("'C64'"));
  EXPECT_THAT(error_of(R"({"__metadata__":{"a":1}})", ""), HasSubstr("damaged header"));
  EXPECT_THAT(error_of(R"({"a":null})", ""), HasSubstr("null where none belongs"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                       R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                       ""),
              HasSubstr("two entries are called 'a'"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", "\x02"),
              HasSubstr("other bytes than 0 and 1"));
  EXPECT_THAT(error_of("{" + std::string(1'000'000, '['), ""), HasSubstr("not valid JSON"));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"a":)";
  EXPECT_THAT(error_of(deep, ""), HasSubstr("damaged header"));
}

TEST(Safetensors, OffsetsMustCoverTheDataOnce) {
  const auto entry = [](const char* name, int begin, int end) {
    return concat('"', name, R"(":{"dtype":"U8","shape":[)", end - begin, R"(],"data_offsets":[)", begin, ",",
                  end, "]}");
  };
  const auto error = [&](const std::string& a, const std::string& b, size_t bytes) {
    return error_of(concat("{", a, ",", b, "}"), std::string(bytes, '\0'));
  };
  EXPECT_THAT(error(entry("a", 0, 4), entry("b", 4, 8), 8), HasSubstr("nothing was thrown"));
  EXPECT_THAT(error(entry("a", 0, 4), entry("b", 4, 8), 7), HasSubstr("'b' lies at bytes 4 to 8"));
  EXPECT_THAT(error(entry("a", 0, 4), entry("b", 4, 8), 9), HasSubstr("1 bytes at the end"));
  EXPECT_THAT(error(entry("a", 0, 4), entry("b", 3, 8), 8), HasSubstr("a gap or an overlap"));
  EXPECT_THAT(error(entry("a", 0, 4), entry("b", 5, 8), 8), HasSubstr("a gap or an overlap"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", std::string(8, '\0')),
              HasSubstr("takes 12 bytes, the file has 8"));
}

TEST(Safetensors, ShapesThatOverflowAreRefused) {
  for (const char* shape : {"4294967296,4294967296", "0,4611686018427387904,4611686018427387904",
                            "9223372036854775807", "18446744073709551615", "2305843009213693952,8"}) {
    const auto message =
        error_of(concat(R"({"a":{"dtype":"F32","shape":[)", shape, R"(],"data_offsets":[0,0]}})"), "");
    EXPECT_THAT(message, HasSubstr("too large")) << shape;
  }
  std::string many = "1";
  for (int i = 0; i < 100; ++i) many += ",1";
  EXPECT_THAT(error_of(concat(R"({"a":{"dtype":"U8","shape":[)", many, R"(],"data_offsets":[0,1]}})"), "x"),
              HasSubstr("too large"));
}

TEST(Safetensors, MissingFoldersAndFilesAreNamed) {
  TemporaryFolder folder;
  EXPECT_THAT(message_from<CheckpointError>([&] { read_safetensors(folder / "none"); }),
              AllOf(HasSubstr("none"), HasSubstr("No such file")));
  EXPECT_THAT(message_from<CheckpointError>([&] { read_safetensors(folder.path()); }),
              HasSubstr("is not a file"));
}

// Whatever the bytes are, reading ends in tensors or in a CheckpointError.
TEST(Safetensors, DamagedFilesNeverDoWorseThanAnError) {
  TemporaryFolder folder;
  NamedTensors tensors = every_dtype();
  write_safetensors(folder / "good", tensors, {{"k", "v"}});
  const std::string good = read_text(folder / "good");
  int errors = 0, cases = 0;
  const auto attempt = [&](const std::string& bytes) {
    std::ofstream(folder / "bad", std::ios::binary) << bytes;
    ++cases;
    try {
      read_safetensors(folder / "bad");
    } catch (const CheckpointError&) {
      ++errors;
    }
  };
  for (size_t size = 0; size < good.size(); ++size) attempt(good.substr(0, size));
  EXPECT_EQ(errors, cases) << "a truncated file was taken";
  Random random(7);
  const auto last = static_cast<int64_t>(good.size()) - 1;
  for (int i = 0; i < 1500; ++i) {
    std::string bad = good;
    for (int64_t n = random.integer(1, 4); n > 0; --n)
      bad[static_cast<size_t>(random.integer(0, last))] = static_cast<char>(random.integer(0, 255));
    attempt(bad);
  }
}

TEST(Safetensors, AFailedWriteKeepsTheOldFileAndSaysWhatToDo) {
  TemporaryFolder folder;
  write_safetensors(folder / "x", {{"old", torch::ones({4})}});
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small = {.rlim_cur = 100'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = message_from<Error>([&] {
    write_safetensors(folder / "x", {{"new", torch::ones({1'000'000})}});
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, AllOf(HasSubstr("x: cannot be written: File too large"), HasSubstr("choose another")));
  EXPECT_NE(read_safetensors(folder / "x").find("old"), nullptr);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Safetensors, AFullDiskIsToldBeforeTheWriting) {
  TemporaryFolder folder;
  const auto huge = torch::zeros({1}).expand({int64_t{1} << 50});
  EXPECT_THAT(message_from<Error>([&] {
                write_safetensors(folder / "x", {{"huge", huge}});
              }),
              AllOf(HasSubstr("not enough space on the disk"), HasSubstr("free some space")));
}

}  // namespace
}  // namespace cavmae
