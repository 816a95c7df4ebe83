#include "cavmae/eval/shared_pass.h"

#include "cavmae/core/error.h"
#include "cavmae/core/options.h"
#include "cavmae/data/ids_hash.h"
#include "cavmae/dist/rank_agreement.h"
#include "cavmae/models/parameters_hash.h"

namespace cavmae {

void check_ranks_share(const SharedPass& pass, const CavMae& model) {
  World& world = pass.options.world;
  if (world.size() == 1) return;
  Json own = {{"clips", {{"clips", pass.clips.size()}, {"hash", hash_of_ids(pass.clips)}}},
              {"options",
               {{"features", option_to_json(pass.spec)},
                {"view", option_to_json(pass.options.view)},
                {"batch_size", pass.options.loader.batch_size},
                {"max_bad_ratio", pass.options.loader.max_bad_ratio},
                {"more", pass.more}}}};
  if (!model.is_empty()) {
    own["options"]["precision"] = enum_name(model->precision());
    own["parameters"] = parameters_hash(model);
  }
  const std::vector<Json> all = gather_when_all_are_here(world, own);
  const Json& first = all.front();
  for (int64_t rank = 1; rank < world.size(); ++rank) {
    const Json& other = all[static_cast<size_t>(rank)];
    const std::string clips = clips_difference(first["clips"], other["clips"], rank, "reads");
    CAVMAE_CHECK_AS(ConfigError, clips.empty(), clips);
    const std::string options = first_difference(first["options"], other["options"], rank);
    CAVMAE_CHECK_AS(ConfigError, options.empty(), options, "; give every rank the same options");
    CAVMAE_CHECK_AS(ConfigError, first.value("parameters", Json()) == other.value("parameters", Json()),
                    "rank ", rank,
                    " has another model than rank 0; --checkpoint has to be the same model on "
                    "every host");
  }
}

}  // namespace cavmae
