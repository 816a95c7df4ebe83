#include "cavmae/search/postgres/samples.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "cavmae/core/error.h"
#include "cavmae/search/library_snapshot.h"
#include "cavmae/search/postgres/texts.h"

namespace cavmae {
namespace {

constexpr size_t kFetchedTogether = 1000;

using VectorsByMoment = std::unordered_map<int64_t, torch::Tensor>;

void fetch(PostgresConnection& connection, const std::string& column, const std::vector<int64_t>& moments,
           VectorsByMoment& into) {
  for (size_t first = 0; first < moments.size(); first += kFetchedTogether) {
    const size_t end = std::min(moments.size(), first + kFetchedTogether);
    const std::vector<int64_t> some(moments.begin() + static_cast<std::ptrdiff_t>(first),
                                    moments.begin() + static_cast<std::ptrdiff_t>(end));
    const PostgresRows rows =
        connection.run("SELECT id, " + column + " FROM cavmae.moments WHERE id = ANY($1::bigint[])", some);
    for (int64_t row = 0; row < rows.size(); ++row)
      if (!rows.is_null(row, 1)) into[rows.integer(row, 0)] = tensor_of_vector_text(rows.text(row, 1));
  }
}

}  // namespace

// Moments never change, so that of the former draw's only those that are no longer in it go.
PostgresSamples::Drawn PostgresSamples::draw(const PostgresState& state, ClipSide side,
                                             const Drawn& former) const {
  VectorsByMoment known;
  for (size_t i = 0; i < former.moments.size(); ++i)
    known[former.moments[i]] = former.vectors[static_cast<int64_t>(i)];
  std::vector<int64_t> wanted, lacking;
  session_->use([&](PostgresConnection& connection) {
    wanted.clear();
    lacking.clear();
    const PostgresRows rows = connection.run(concat("SELECT id FROM cavmae.moments WHERE ", side_name(side),
                                                    " IS NOT NULL ORDER BY hash LIMIT ", kSampleSize));
    for (int64_t row = 0; row < rows.size(); ++row) {
      wanted.push_back(rows.integer(row, 0));
      if (!known.contains(wanted.back())) lacking.push_back(wanted.back());
    }
    fetch(connection, vector_column(state.settings, side), lacking, known);
    return true;
  });
  Drawn out;
  out.changes = state.changes;
  std::erase_if(wanted, [&](int64_t id) { return !known.contains(id); });  // removed in between
  out.vectors = torch::empty({static_cast<int64_t>(wanted.size()), state.settings.model.embed_dim});
  for (size_t i = 0; i < wanted.size(); ++i) out.vectors[static_cast<int64_t>(i)].copy_(known[wanted[i]]);
  out.moments = std::move(wanted);
  return out;
}

torch::Tensor PostgresSamples::sample(const PostgresState& state, ClipSide side) {
  CAVMAE_CHECK(side != ClipSide::both, "sample: of one side");
  const std::lock_guard lock(mutex_);
  const torch::NoGradGuard no_grad;
  Drawn& drawn = drawn_[side == ClipSide::audio ? 0 : 1];
  if (drawn.changes < state.changes) drawn = draw(state, side, drawn);
  return drawn.vectors;
}

}  // namespace cavmae
