#include "cavmae/synth/scene.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cavmae/core/options.h"

namespace cavmae {
namespace {

// Sum over two scenes' hidden numbers of how far they are apart; infinite where the kinds differ.
double scene_distance(const SynthScene& a, const SynthScene& b) {
  if (scene_labels(a) != scene_labels(b)) return INFINITY;
  double sum = std::abs(a.background.brightness - b.background.brightness) +
               std::abs(a.background.contrast - b.background.contrast);
  for (const SynthObject& o : a.objects) {
    const auto twin =
        std::find_if(b.objects.begin(), b.objects.end(), [&](const auto& p) { return p.kind == o.kind; });
    sum += std::abs(o.hue - twin->hue) + std::abs(o.base_height - twin->base_height) +
           std::abs(o.radius - twin->radius);
  }
  return sum;
}

TEST(SynthScene, DependsOnSeedAndIndexAlone) {
  EXPECT_EQ(option_to_json(draw_scene(7, 3)), option_to_json(draw_scene(7, 3)));
  EXPECT_NE(option_to_json(draw_scene(7, 3)), option_to_json(draw_scene(7, 4)));
  EXPECT_NE(option_to_json(draw_scene(7, 3)), option_to_json(draw_scene(8, 3)));
}

TEST(SynthScene, NoTwoOfAThousandAreAlike) {
  std::vector<SynthScene> scenes;
  for (int64_t i = 0; i < 1000; ++i) scenes.push_back(draw_scene(0, i));
  double nearest = INFINITY;
  for (size_t i = 0; i < scenes.size(); ++i)
    for (size_t j = 0; j < i; ++j) nearest = std::min(nearest, scene_distance(scenes[i], scenes[j]));
  EXPECT_GT(nearest, 0.01);
}

TEST(SynthScene, EveryParameterStaysInItsRange) {
  std::set<size_t> counts;
  std::set<std::string> kinds;
  for (int64_t i = 0; i < 500; ++i) {
    const SynthScene scene = draw_scene(1, i);
    counts.insert(scene.objects.size());
    const auto labels = scene_labels(scene);
    EXPECT_EQ(labels.size(), scene.objects.size()) << "a kind twice in clip " << i;
    kinds.insert(labels.begin(), labels.end());
    for (size_t a = 0; a < scene.objects.size(); ++a) {
      const SynthObject& o = scene.objects[a];
      EXPECT_TRUE(o.radius >= kMinRadius && o.radius <= kMaxRadius);
      EXPECT_TRUE(o.hue >= 0.0 && o.hue < 1.0);
      for (size_t b = 0; b < a; ++b)
        EXPECT_GE(std::abs(o.base_height - scene.objects[b].base_height), 0.18) << "clip " << i;
    }
    EXPECT_TRUE(scene.background.contrast >= kMinContrast && scene.background.contrast <= kMaxContrast);
  }
  EXPECT_EQ(counts, (std::set<size_t>{1, 2, 3}));
  EXPECT_EQ(kinds.size(), static_cast<size_t>(kNumShapeKinds));
}

TEST(SynthScene, ObjectsStayInTheirBandAndBetweenTheWalls) {
  for (int64_t i = 0; i < 100; ++i) {
    for (const SynthObject& o : draw_scene(2, i).objects) {
      SynthPlace last = place_at(o, -0.25);
      for (double t = -0.25; t < 10.0; t += 0.01) {
        const SynthPlace place = place_at(o, t);
        ASSERT_TRUE(place.x >= o.radius && place.x <= 1.0 - o.radius) << "clip " << i << " at " << t;
        ASSERT_LE(std::abs(place.height - o.base_height), o.sway + 1e-9);
        ASSERT_LT(std::hypot(place.x - last.x, place.height - last.height), 0.025) << "a jump at " << t;
        last = place;
      }
    }
  }
}

TEST(SynthScene, BeatsAreWhereTheMotionTurns) {
  int64_t num_walls = 0, num_landings = 0;
  for (int64_t i = 0; i < 200; ++i) {
    for (const SynthObject& o : draw_scene(3, i).objects) {
      const auto beats = beat_times(o, 10.0);
      EXPECT_TRUE(std::is_sorted(beats.begin(), beats.end()));
      for (const double t : beats) {
        ASSERT_TRUE(t >= 0.0 && t < 10.0);
        const SynthPlace before = place_at(o, t - 1e-4), at = place_at(o, t), after = place_at(o, t + 1e-4);
        const bool wall = (at.x - before.x) * (after.x - at.x) < 0.0;
        const bool landing = at.height < before.height && at.height < after.height;
        num_walls += wall;
        num_landings += landing;
        EXPECT_TRUE(wall || landing || o.motion == MotionKind::pulse) << "clip " << i << " at " << t;
      }
    }
  }
  EXPECT_GT(num_walls, 100);
  EXPECT_GT(num_landings, 100);
}

TEST(SynthScene, WithEventsEveryMomentHasAnObjectAndMomentsDiffer) {
  constexpr double kSeconds = 4.0;
  for (int64_t i = 0; i < 50; ++i) {
    const SynthScene scene = draw_scene_with_events(3, i, kSeconds);
    EXPECT_EQ(option_to_json(scene), option_to_json(draw_scene_with_events(3, i, kSeconds)));
    std::set<std::set<ShapeKind>> moments;
    for (double t = 0.0; t < kSeconds; t += 0.05) {
      std::set<ShapeKind> present;
      for (const SynthObject& o : scene.objects)
        if (is_present(o, t)) present.insert(o.kind);
      EXPECT_TRUE(present.size() == 1 || present.size() == 2) << "clip " << i << " at " << t;
      moments.insert(present);
    }
    EXPECT_GE(moments.size(), 4U) << "clip " << i;
    for (const SynthObject& o : scene.objects) {
      const auto beats = beat_times(o, kSeconds);
      for (const double t : beats) EXPECT_TRUE(is_present(o, t)) << "clip " << i;
      if (o.appears_seconds > 0.0) {
        EXPECT_EQ(beats.front(), o.appears_seconds) << "clip " << i;
      }
    }
  }
}

// Folders of before there were events are added to: the draws of a steady scene stay what they were, to the
// last.
TEST(SynthScene, SteadyScenesAreThoseThatTheyAlwaysWere) {
  const SynthScene scene = draw_scene(3, 0);
  ASSERT_EQ(scene.objects.size(), 3U);
  const SynthObject& o = scene.objects[2];
  EXPECT_EQ(o.kind, ShapeKind::star);
  EXPECT_EQ(o.motion, MotionKind::glide);
  EXPECT_NEAR(o.hue, 0.6241971208037547, 1e-12);
  EXPECT_NEAR(o.radius, 0.11828603028812862, 1e-12);
  EXPECT_NEAR(o.base_height, 0.473088379033924, 1e-12);
  EXPECT_NEAR(o.speed_x, -0.658138441487276, 1e-12);
  EXPECT_EQ(o.appears_seconds, 0.0);
  EXPECT_FALSE(o.leaves_seconds.has_value());
  EXPECT_THAT(beat_times(o, 1.0), ::testing::ElementsAre(::testing::DoubleNear(0.8794554021775873, 1e-12)));
  EXPECT_EQ(scene.background.kind, BackgroundKind::gradient);
  EXPECT_NEAR(scene.background.angle_radians, 5.201940212269134, 1e-12);
  EXPECT_EQ(scene.noise_seed, 2412287441619470);
}

TEST(SynthScene, SteadySceneSaysNothingOfEvents) {
  const Json object = option_to_json(draw_scene(3, 1)).at("objects").at(0);
  EXPECT_FALSE(object.contains("appears_seconds") || object.contains("leaves_seconds"));
  EXPECT_TRUE(
      option_to_json(draw_scene_with_events(3, 1, 4.0)).at("objects").at(0).contains("leaves_seconds"));
}

TEST(SynthScene, NoTurnIsWithoutItsBeat) {
  const SynthObject o{.motion = MotionKind::glide, .radius = 0.1, .start_x = 0.3, .speed_x = 0.76};
  // The way to the right wall is 0.88 - 0.3, and 0.76 from wall to wall.
  EXPECT_THAT(beat_times(o, 3.0), testing::ElementsAre(testing::DoubleNear(0.58 / 0.76, 1e-9),
                                                       testing::DoubleNear(1.0 + 0.58 / 0.76, 1e-9),
                                                       testing::DoubleNear(2.0 + 0.58 / 0.76, 1e-9)));
  const SynthObject still{.motion = MotionKind::pulse, .period_seconds = 0.5, .phase = 0.25, .speed_x = 0.0};
  EXPECT_THAT(beat_times(still, 1.5),
              testing::ElementsAre(testing::DoubleNear(0.375, 1e-9), testing::DoubleNear(0.875, 1e-9),
                                   testing::DoubleNear(1.375, 1e-9)));
}

TEST(SynthScene, LawsCoverTheirRanges) {
  EXPECT_NEAR(pitch_hz(1.0) / pitch_hz(0.0), std::exp2(3.5), 1e-9);
  EXPECT_DOUBLE_EQ(loudness_db({.radius = kMaxRadius}), 0.0);
  EXPECT_DOUBLE_EQ(loudness_db({.radius = kMinRadius}), -12.0);
  EXPECT_DOUBLE_EQ(vibrato_hz({.hue = 0.0}), 9.0);
  EXPECT_DOUBLE_EQ(vibrato_hz({.hue = 0.5}), 2.0);
  EXPECT_DOUBLE_EQ(harmony_semitones({.hue = 0.25}), 9.0);
  EXPECT_DOUBLE_EQ(harmony_semitones({.hue = 0.75}), 3.0);
  EXPECT_NEAR(noise_cutoff_hz({.brightness = kMaxBrightness}), 8000.0, 1e-6);
  EXPECT_DOUBLE_EQ(noise_level_db({.contrast = kMinContrast}), -60.0);
}

}  // namespace
}  // namespace cavmae
