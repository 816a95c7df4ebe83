#include "cavmae/tensorfile/pickle_refusal.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"

namespace cavmae {
namespace {

using Kind = PickleValue::Kind;

// From where a value was reached first.
struct Step {
  const PickleValue* from = nullptr;
  size_t item = 0;
};
using Steps = std::unordered_map<const PickleValue*, Step>;

// Every value that hangs below the root. Without recursion, since a file may nest as it likes.
Steps steps_below(const PickleValue* root) {
  Steps steps;
  if (root == nullptr) return steps;
  steps[root] = {};
  std::vector<const PickleValue*> open = {root};
  while (!open.empty()) {
    const PickleValue* value = open.back();
    open.pop_back();
    for (size_t i = 0; i < value->items.size(); ++i)
      if (steps.emplace(value->items[i], Step{.from = value, .item = i}).second)
        open.push_back(value->items[i]);
  }
  return steps;
}

// What a step adds to the path: a dict's key, a list's position, nothing for what an object is made of.
std::string key_of(const Step& step) {
  if (step.from->is(Kind::list) || step.from->is(Kind::tuple)) return std::to_string(step.item);
  if (!step.from->is(Kind::dict)) return "";
  const PickleValue& key = *step.from->items[step.item - step.item % 2];
  return key.is(Kind::text) ? key.text : key.is(Kind::integer) ? std::to_string(key.integer) : "?";
}

// "optimizer.state.0"; empty for the root itself.
std::string path_to(const PickleValue* value, const Steps& steps) {
  constexpr size_t kMaxKeys = 20;
  std::vector<std::string> keys;
  for (Step step = steps.at(value); step.from != nullptr && keys.size() < kMaxKeys;
       step = steps.at(step.from))
    if (std::string key = key_of(step); !key.empty()) keys.push_back(std::move(key));
  std::string path;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) path += (path.empty() ? "" : ".") + *key;
  return path;
}

}  // namespace

void throw_refusal(const std::vector<const PickleValue*>& refused, const PickleValue* root,
                   const std::string& where) {
  constexpr size_t kMaxNamed = 3;
  const Steps steps = steps_below(root);
  std::set<std::string> names;
  std::string text;
  for (const PickleValue* value : refused) {
    if (!names.insert(value->text).second || names.size() > kMaxNamed) continue;
    text += (text.empty() ? "" : ", ") + printable(value->text);
    if (!steps.contains(value)) continue;
    const std::string path = path_to(value, steps);
    text += path.empty() ? " as the whole object" : " under '" + printable(path) + "'";
  }
  if (names.size() > kMaxNamed) text += concat(" and ", names.size() - kMaxNamed, " more");
  throw CheckpointError(concat(where, ": the file asks for ", text,
                               ", which cavmae never runs; save the network's tensors alone in Python, "
                               "torch.save(model.state_dict(), ...), and try again"));
}

}  // namespace cavmae
