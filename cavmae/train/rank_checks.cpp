#include "cavmae/train/rank_checks.h"

#include <array>

#include "cavmae/core/error.h"
#include "cavmae/core/json_text.h"
#include "cavmae/core/options.h"
#include "cavmae/dist/rank_agreement.h"

namespace cavmae {
namespace {

// What each rank may have its own of.
constexpr std::array<std::string_view, 4> kOfEachRank = {"device", "num_workers", "prefetch_batches",
                                                         "clip_timeout"};

}  // namespace

void check_ranks_agree(World& world, const RankRun& run) {
  if (world.size() == 1) return;
  CAVMAE_CHECK_AS(ConfigError, run.batch_size >= world.size(), "a batch of ", run.batch_size,
                  " clips cannot be shared by ", world.size(), " ranks; start fewer");
  Json own = Json::object();
  own["config"] = run.config;
  own["data"] = option_to_json(run.data);
  own["step"] = run.first_step;
  const std::vector<Json> all = gather_when_all_are_here(world, own);
  const Json& first = all.front();
  for (int64_t rank = 1; rank < world.size(); ++rank) {
    const Json& other = all[static_cast<size_t>(rank)];
    const std::string options = first_difference(first["config"], other["config"], rank, kOfEachRank);
    CAVMAE_CHECK_AS(ConfigError, options.empty(), options, "; give every rank the same options");
    const std::string data = clips_difference(first["data"], other["data"], rank, "learns from");
    CAVMAE_CHECK_AS(ConfigError, data.empty(), data);
    CAVMAE_CHECK_AS(ConfigError, first["step"] == other["step"], "rank 0 goes on from step ",
                    to_text(first["step"]), ", rank ", rank, " from step ", to_text(other["step"]),
                    " (-1: it found no checkpoint); --out has to be the same folder on every host");
  }
}

}  // namespace cavmae
