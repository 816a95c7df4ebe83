#include "cavmae/train/rank_checks.h"

#include <algorithm>
#include <array>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/options.h"

namespace cavmae {
namespace {

// What each rank may have its own of.
constexpr std::array<std::string_view, 4> kOfEachRank = {"device", "num_workers", "prefetch_batches",
                                                         "clip_timeout"};

// "lr is 0.1 on rank 0, 0.2 on rank 3", or nothing.
std::string first_difference(const Json& first, const Json& other, int64_t rank) {
  for (const auto& [name, value] : first.items()) {
    if (std::ranges::find(kOfEachRank, name) != kOfEachRank.end()) continue;
    const Json theirs = other.contains(name) ? other[name] : Json();
    if (value == theirs) continue;
    if (value.is_object() && theirs.is_object()) {
      const std::string inside = first_difference(value, theirs, rank);
      if (!inside.empty()) return inside;
      continue;
    }
    return concat(name, " is ", to_text(value), " on rank 0, ", to_text(theirs), " on rank ", rank);
  }
  return "";
}

std::string data_difference(const Json& first, const Json& other, int64_t rank) {
  if (first["clips"] != other["clips"])
    return concat("rank 0 learns from ", to_text(first["clips"]), " clips, rank ", rank, " from ",
                  to_text(other["clips"]),
                  "; --data has to name the same clips in the same order on every host");
  if (first["hash"] != other["hash"])
    return concat("rank 0 and rank ", rank,
                  " learn from as many clips, but other ones or in another order; --data has "
                  "to name the same clips in the same order on every host");
  return "";
}

}  // namespace

void check_ranks_agree(World& world, const RankRun& run) {
  if (world.size() == 1) return;
  CAVMAE_CHECK_AS(ConfigError, run.batch_size >= world.size(), "a batch of ", run.batch_size,
                  " clips cannot be shared by ", world.size(), " ranks; start fewer");
  Json own = Json::object();
  own["config"] = run.config;
  own["data"] = option_to_json(run.data);
  own["step"] = run.first_step;
  const std::vector<std::string> texts = gather_texts(world, to_text(own));
  const Json first = parse_json(texts.front(), "rank 0");
  for (int64_t rank = 1; rank < world.size(); ++rank) {
    const Json other = parse_json(texts[static_cast<size_t>(rank)], concat("rank ", rank));
    const std::string options = first_difference(first["config"], other["config"], rank);
    CAVMAE_CHECK_AS(ConfigError, options.empty(), options, "; give every rank the same options");
    const std::string data = data_difference(first["data"], other["data"], rank);
    CAVMAE_CHECK_AS(ConfigError, data.empty(), data);
    CAVMAE_CHECK_AS(ConfigError, first["step"] == other["step"], "rank 0 goes on from step ",
                    to_text(first["step"]), ", rank ", rank, " from step ", to_text(other["step"]),
                    " (-1: it found no checkpoint); --out has to be the same folder on every host");
  }
}

}  // namespace cavmae
