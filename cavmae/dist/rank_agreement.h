// What has to be the same on all ranks, compared and named. Free functions; every rank calls them at the same
// place, and either all throw or none.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/core/json.h"
#include "cavmae/dist/world.h"

namespace cavmae {

// What each rank has, by rank. Ranks may come to it hours after one another: lists are read and shards are
// copied before.
std::vector<Json> gather_when_all_are_here(World& world, const Json& own);

// "lr is 0.1 on rank 0, 0.2 on rank 3", of the first field of rank 0's that rank `rank` has otherwise, or "".
// Fields named in `of_each_rank` may differ.
std::string first_difference(const Json& first, const Json& other, int64_t rank,
                             std::span<const std::string_view> of_each_rank = {});

// The same of lists of clips, {"clips": how many, "hash": of their ids in order}. `does`: what ranks do with
// them, "learns from".
std::string clips_difference(const Json& first, const Json& other, int64_t rank, const std::string& does);

}  // namespace cavmae
