#include "cavmae/models/network_tensors.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

// The first parts of names that no other network is likely to have.
constexpr std::array<std::string_view, 17> kOurs = {"modality_a",
                                                    "modality_v",
                                                    "pos_embed_a",
                                                    "pos_embed_v",
                                                    "patch_embed_a",
                                                    "patch_embed_v",
                                                    "blocks_a",
                                                    "blocks_v",
                                                    "blocks_u",
                                                    "decoder_pred_a",
                                                    "decoder_modality_a",
                                                    "decoder_modality_v",
                                                    "decoder_pos_embed_a",
                                                    "decoder_pos_embed_v",
                                                    "decoder_pred_v",
                                                    "cls_token_a",
                                                    "cls_token_v"};
constexpr std::array<std::string_view, 4> kImageMae = {"cls_token", "pos_embed", "patch_embed", "blocks"};

constexpr std::array<std::string_view, 4> kWrappers = {"module", "_orig_mod", "_fsdp_wrapped_module",
                                                       "_checkpoint_wrapped_module"};
// Names of dictionaries and modules that hold the network itself, the most usual first.
constexpr std::array<std::string_view, 9> kUsual = {"model",       "state_dict", "model_state_dict",
                                                    "module",      "network",    "net",
                                                    "model_state", "weights",    "student"};
constexpr std::array<std::string_view, 9> kOfCopies = {"ema", "teacher", "momentum", "shadow", "average",
                                                       "swa", "optim",   "exp_avg",  "target"};

using Parts = std::vector<std::string>;

std::string joined(const Parts& parts, size_t begin, size_t end) {
  std::string text;
  for (size_t i = begin; i < end; ++i) text += (text.empty() ? "" : ".") + parts[i];
  return text;
}

template <size_t N>
bool is_one_of(const std::string& part, const std::array<std::string_view, N>& known) {
  return std::find(known.begin(), known.end(), part) != known.end();
}

// The name without what wrappers put into it.
Parts parts_of(const std::string& name) {
  Parts parts = split(name, '.');
  std::erase_if(parts, [](const std::string& part) { return is_one_of(part, kWrappers); });
  return parts;
}

// A place where a file holds a network: a dictionary and a prefix.
struct Candidate {
  std::string holder, prefix;   // of names without wrappers
  std::set<std::string> names;  // those of the network

  std::string place() const {
    return prefix.empty() ? holder : holder.empty() ? prefix : holder + "." + prefix;
  }
};

template <size_t N>
std::optional<size_t> network_begin(const Parts& parts, const std::array<std::string_view, N>& first_parts) {
  for (size_t i = 0; i < parts.size(); ++i)
    if (is_one_of(parts[i], first_parts)) return i;
  return std::nullopt;
}

template <size_t N>
std::vector<Candidate> candidates_with(const std::vector<TensorPlace>& places,
                                       const std::array<std::string_view, N>& first_parts) {
  std::vector<Candidate> found;  // in the file's order
  for (const TensorPlace& place : places) {
    const Parts parts = parts_of(place.name);
    const auto begin = network_begin(parts, first_parts);
    if (!begin) continue;
    const std::string prefix = joined(parts, 0, *begin);
    const auto same = [&](const Candidate& c) { return c.holder == place.holder && c.prefix == prefix; };
    auto candidate = std::find_if(found.begin(), found.end(), same);
    if (candidate == found.end())
      candidate = found.insert(found.end(), {.holder = place.holder, .prefix = prefix, .names = {}});
    candidate->names.insert(joined(parts, *begin, parts.size()));
  }
  return found;
}

// Whether most of the names of `other` are also in `candidate`.
bool is_copy(const Candidate& other, const Candidate& candidate) {
  std::vector<std::string> shared;
  std::set_intersection(other.names.begin(), other.names.end(), candidate.names.begin(),
                        candidate.names.end(), std::back_inserter(shared));
  return 2 * shared.size() > other.names.size();
}

// The lower, the likelier it is that this is the network that is meant.
size_t rank(const Candidate& candidate) {
  const std::string place = lower(candidate.place());
  for (const std::string_view part : kOfCopies)
    if (place.find(part) != std::string::npos) return kUsual.size() + 2;
  if (place.empty()) return 0;
  const std::string first = split(place, '.').front();
  const auto usual = std::find(kUsual.begin(), kUsual.end(), first);
  return 1 + static_cast<size_t>(usual - kUsual.begin());
}

const Candidate& choose(const std::vector<Candidate>& candidates, const std::string& wanted,
                        const std::string& where) {
  if (wanted.empty())
    return *std::min_element(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
      const auto order = [](const Candidate& c) {
        return std::pair(rank(c), -static_cast<int64_t>(c.names.size()));
      };
      return order(a) < order(b);
    });
  std::string known;
  for (const Candidate& candidate : candidates) {
    if (candidate.place() == wanted) return candidate;
    known += concat(known.empty() ? "" : ", ", "'", printable(candidate.place()), "'");
  }
  throw ConfigError(concat(where, ": holds no network under '", wanted, "'; it holds ", known));
}

}  // namespace

NetworkTensors find_network(const std::vector<TensorPlace>& places, const std::string& wanted,
                            const std::string& where) {
  std::vector<Candidate> candidates = candidates_with(places, kOurs);
  if (candidates.empty()) candidates = candidates_with(places, kImageMae);
  if (candidates.empty()) candidates.push_back({});  // no network at all; its reader says so
  const Candidate& chosen = choose(candidates, wanted, where);
  NetworkTensors out;
  out.network = chosen.place();
  std::set<std::pair<std::string, std::string>> passed_over;  // holder and prefix of copies
  std::set<std::string> parts_of_network;                     // holders of what is no copy
  for (const Candidate& other : candidates) {
    if (&other == &chosen) continue;
    if (is_copy(other, chosen)) {
      out.copies.push_back(other.place());
      passed_over.emplace(other.holder, other.prefix);
    } else {
      parts_of_network.insert(other.holder);
    }
  }
  const std::string prefix = chosen.prefix.empty() ? "" : chosen.prefix + ".";
  std::set<std::string> names;
  for (size_t i = 0; i < places.size(); ++i) {
    const TensorPlace& place = places[i];
    if (place.holder != chosen.holder && !parts_of_network.contains(place.holder)) continue;
    const Parts parts = parts_of(place.name);
    std::string name = joined(parts, 0, parts.size());
    const auto in_copy = [&](const auto& copy) {
      return copy.first == place.holder && !copy.second.empty() && name.starts_with(copy.second + ".");
    };
    if (std::any_of(passed_over.begin(), passed_over.end(), in_copy)) continue;
    if (place.holder != chosen.holder)
      name = place.holder.empty() ? name : concat(place.holder, ".", name);
    else if (name.starts_with(prefix))
      name.erase(0, prefix.size());
    CAVMAE_CHECK_AS(CheckpointError, names.insert(name).second, where, ": two tensors are '", printable(name),
                    "' without their prefixes, one of them '", printable(place.name), "'");
    out.tensors.emplace_back(i, std::move(name));
  }
  return out;
}

}  // namespace cavmae
