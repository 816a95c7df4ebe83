// The stack, the marks and the memory of values that a pickle works with, all of them bounded. Private to
// tensorfile; not for several threads at once.
#pragma once

#include <unordered_map>
#include <utility>
#include <vector>

#include "cavmae/tensorfile/pickle.h"

namespace cavmae {

class PickleStack {
 protected:
  using Kind = PickleValue::Kind;
  using Values = std::vector<const PickleValue*>;

  PickleStack(PickleInput& input, const PickleLimits& limits) : input_(input), limits_(limits) {}

  // Those that change the stack return true, so that an instruction can end with them.
  bool push(Kind kind) {
    if (result_.values.size() >= limits_.values) input_.fail("more values than a checkpoint has");
    result_.values.emplace_back().kind = kind;
    return push_ref(&result_.values.back());
  }
  PickleValue& top() { return result_.values.back(); }

  bool push_ref(const PickleValue* value) {
    if (stack_.size() >= limits_.items) input_.fail("the stack is larger than a checkpoint needs");
    return stack_.push_back(value), true;
  }
  bool push_items(Kind kind, Values items) {
    count_items(items.size());
    return push(kind), top().items = std::move(items), true;
  }

  // Of an object of a class that nothing is known of, the items are kept and mean nothing.
  bool append(Kind kind, const Values& items) {
    count_items(items.size());
    auto* target = const_cast<PickleValue*>(peek());  // all values are ours, in result_
    if (!target->is(kind) && !target->is(Kind::opaque))
      input_.fail("items belong to no list or dict; damaged");
    if (kind == Kind::dict && items.size() % 2 != 0) input_.fail("a dict has a key without a value; damaged");
    target->items.insert(target->items.end(), items.begin(), items.end());
    return true;
  }

  bool mark() {
    if (marks_.size() >= kMaxOpen) input_.fail("is nested deeper than a checkpoint is");
    return marks_.push_back(stack_.size()), true;
  }
  // The topmost value above the last mark.
  const PickleValue* peek() {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) input_.fail("takes from an empty stack; damaged");
    return stack_.back();
  }
  const PickleValue* pop() {
    const auto* value = peek();
    stack_.pop_back();
    return value;
  }
  bool pop_any() {
    if (!marks_.empty() && marks_.back() == stack_.size()) return marks_.pop_back(), true;
    return pop(), true;
  }
  Values pop_last(size_t count) {
    Values values(count);
    while (count > 0) values[--count] = pop();
    return values;
  }
  Values pop_to_mark() {
    if (marks_.empty()) input_.fail("closes what was not opened; damaged");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    Values values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return values;
  }
  const PickleValue* remembered(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) input_.fail("refers to a value that was not there before; damaged");
    return found->second;
  }
  bool remember_next() { return remember(static_cast<uint32_t>(memo_.size())); }
  bool remember(uint32_t key) {
    if (memo_.size() >= limits_.values) input_.fail("more values than a checkpoint has");
    return memo_[key] = peek(), true;
  }

  PickleInput& input_;
  const PickleLimits& limits_;
  Pickle result_;

 private:
  static constexpr size_t kMaxOpen = 1000;  // tuples, lists and dicts begun and not ended

  void count_items(size_t count) {
    if ((num_items_ += count) > limits_.items) input_.fail("more items than a checkpoint has");
  }

  Values stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, const PickleValue*> memo_;
  size_t num_items_ = 0;
};

}  // namespace cavmae
