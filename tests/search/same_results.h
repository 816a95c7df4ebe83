// Whether two libraries over the same files answer alike. Test code only.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "cavmae/search/search.h"

#include "tests/search/toy_library.h"

namespace cavmae {

// Eight sounds and four pictures, in folders of their own.
inline void write_sounds_and_pictures(const std::filesystem::path& folder) {
  for (int i = 0; i < 8; ++i)
    write_wav(folder / "sounds" / (std::to_string(i) + ".wav"), 4 + i, 150 + 90 * i);
  for (int i = 0; i < 4; ++i) write_flat_png(folder / "pictures" / (std::to_string(i) + ".png"), 40 + 50 * i);
}

inline void expect_same_hits(const std::vector<FileHit>& a, const std::vector<FileHit>& b,
                             const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].file.path, b[i].file.path) << what << ", file " << i;
    ASSERT_EQ(a[i].moments.size(), b[i].moments.size()) << what << ", file " << i;
    for (size_t m = 0; m < a[i].moments.size(); ++m) {
      EXPECT_EQ(a[i].moments[m].moment.start_ms, b[i].moments[m].moment.start_ms) << what;
      EXPECT_NEAR(a[i].moments[m].similarity, b[i].moments[m].similarity, 2e-6) << what;
      EXPECT_NEAR(a[i].moments[m].score, b[i].moments[m].score, 1e-3) << what;
    }
  }
}

inline void expect_same_moments(const std::vector<FoundMoment>& moments,
                                const std::vector<FoundMoment>& others, double rtol, double atol) {
  ASSERT_EQ(moments.size(), others.size());
  for (size_t i = 0; i < moments.size(); ++i) {
    EXPECT_EQ(moments[i].path, others[i].path);
    EXPECT_EQ(moments[i].moment.start_ms, others[i].moment.start_ms);
    EXPECT_EQ(moments[i].moment.end_ms, others[i].moment.end_ms);
    for (const auto& [x, y] : {std::pair(moments[i].vectors.audio, others[i].vectors.audio),
                               std::pair(moments[i].vectors.video, others[i].vectors.video)}) {
      ASSERT_EQ(x.defined(), y.defined());
      EXPECT_TRUE(!x.defined() || torch::allclose(x, y, rtol, atol));
    }
  }
}

// The same moments, vectors and results. Both were filled from `films`, with vectors in float16.
inline void expect_same_results(LibraryReader& library, LibraryReader& other,
                                const std::filesystem::path& films) {
  const auto moments = moments_in(library), others = moments_in(other);
  expect_same_moments(moments, others, 2e-3, 1e-4);
  if (testing::Test::HasFatalFailure()) return;
  for (size_t i = 0; i < moments.size(); i += 7) {
    const ClipVectors query = others[i].vectors;
    const std::string what = moments[i].path + " at " + std::to_string(moments[i].moment.start_ms);
    for (const SearchFor target : {SearchFor::audio, SearchFor::video, SearchFor::any})
      expect_same_hits(search(library, query, {.target = target, .top = 5}),
                       search(other, query, {.target = target, .top = 5}), what);
    SearchOptions options{.target = SearchFor::audio, .top = 5, .min_score = 0.2};
    options.under = (films / "sounds").string();
    expect_same_hits(search(library, query, options), search(other, query, options), what + ", limited");
    options.exact = true;
    options.under = (films / "sounds/5.wav").string();
    options.min_score.reset();
    const auto one = search(library, query, options);
    ASSERT_EQ(one.size(), 1u);
    expect_same_hits(one, search(other, query, options), what + ", one file");
  }
  const Moment found = library.find_moment("sounds/3.wav", 2.5);
  EXPECT_EQ(found.start_ms, other.find_moment("sounds/3.wav", 2.5).start_ms);
}

}  // namespace cavmae
