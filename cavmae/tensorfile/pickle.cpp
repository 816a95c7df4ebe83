#include "cavmae/tensorfile/pickle.h"

#include <bit>
#include <utility>

#include <fmt/format.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/tensorfile/pickle_opcodes.h"
#include "cavmae/tensorfile/pickle_refusal.h"
#include "cavmae/tensorfile/pickle_stack.h"

namespace cavmae {
namespace {

using namespace pickle_opcodes;

// Dictionaries that are called into being and filled afterwards.
bool makes_dict(const std::string& name) {
  return name == "collections.OrderedDict" || name == "collections.defaultdict";
}
constexpr int kNewestProtocol = 5;  // what it adds (buffers outside the pickle) is refused where it is used

// The stack machine that a pickle is a program for.
class Unpickler : private PickleStack {
 public:
  Unpickler(PickleInput& input, const GlobalRule& rule, const PickleLimits& limits)
      : PickleStack(input, limits), rule_(rule), start_(input.position()) {}

  // A pickle that names what is refused is read to its end, so that the error can tell where that is used.
  Pickle run() {
    try {
      read();
    } catch (const CheckpointError&) {
      if (refused_.empty()) throw;
      throw_refusal(refused_, nullptr, input_.where());
    }
    if (!refused_.empty()) throw_refusal(refused_, result_.root, input_.where());
    return std::move(result_);
  }

 private:
  void read() {
    for (uint8_t code; (code = input_.byte()) != kStop;) {
      if (input_.position() - start_ > limits_.bytes)
        input_.fail("the pickle is too long to be a checkpoint's");
      if (!scalar(code) && !container(code) && !object(code))
        input_.fail(
            fmt::format("pickle instruction 0x{:02x} does not occur in PyTorch's files; damaged", code));
    }
    result_.root = pop();
  }

  bool scalar(uint8_t code) {
    switch (code) {
      case kNone:
        return push(Kind::none);
      case kNewTrue:
        return push_integer(1, Kind::boolean);
      case kNewFalse:
        return push_integer(0, Kind::boolean);
      case kBinInt:
        return push_integer(input_.number<int32_t>());
      case kBinInt1:
        return push_integer(input_.number<uint8_t>());
      case kBinInt2:
        return push_integer(input_.number<uint16_t>());
      case kLong1:
        return push_long(input_.number<uint8_t>());
      case kLong4:
        return push_long(input_.number<uint32_t>());
      case kBinFloat:
        return push(Kind::real), top().real = big_endian_double(), true;
      case kBinUnicode:
      case kBinString:
        return push_text(Kind::text, input_.number<uint32_t>());
      case kShortBinUnicode:
      case kShortBinString:
        return push_text(Kind::text, input_.number<uint8_t>());
      case kBinUnicode8:
        return push_text(Kind::text, input_.number<uint64_t>());
      case kBinBytes:
        return push_text(Kind::bytes, input_.number<uint32_t>());
      case kShortBinBytes:
        return push_text(Kind::bytes, input_.number<uint8_t>());
      case kBinBytes8:
      case kByteArray8:
        return push_text(Kind::bytes, input_.number<uint64_t>());
      default:
        return false;
    }
  }

  bool container(uint8_t code) {
    switch (code) {
      case kMark:
        return mark();
      case kPop:
        return pop_any();
      case kPopMark:
        return pop_to_mark(), true;
      case kDup:
        return push_ref(peek());
      case kEmptyTuple:
        return push(Kind::tuple);
      case kEmptyList:
      case kEmptySet:
        return push(Kind::list);
      case kEmptyDict:
        return push(Kind::dict);
      case kTuple1:
        return push_items(Kind::tuple, pop_last(1));
      case kTuple2:
        return push_items(Kind::tuple, pop_last(2));
      case kTuple3:
        return push_items(Kind::tuple, pop_last(3));
      case kTuple:
        return push_items(Kind::tuple, pop_to_mark());
      case kList:
      case kFrozenSet:
        return push_items(Kind::list, pop_to_mark());
      case kDict:
        return make_dict(pop_to_mark());
      case kAppend:
        return append(Kind::list, pop_last(1));
      case kAppends:
      case kAddItems:
        return append(Kind::list, pop_to_mark());
      case kSetItem:
        return append(Kind::dict, pop_last(2));
      case kSetItems:
        return append(Kind::dict, pop_to_mark());
      default:
        return false;
    }
  }

  bool object(uint8_t code) {
    switch (code) {
      case kProto:
        return protocol();
      case kFrame:
        return input_.number<uint64_t>(), true;  // a hint for readers of streams
      case kGlobal: {
        const std::string module = input_.line();
        return global(module, input_.line());
      }
      case kStackGlobal: {
        const auto names = pop_last(2);
        if (!names[0]->is(Kind::text) || !names[1]->is(Kind::text))
          input_.fail("a global has no name; damaged");
        return global(names[0]->text, names[1]->text);
      }
      case kReduce:
      case kNewObj:
        return call(pop_last(2));
      case kNewObjEx:
        return call(pop_last(3));
      case kBuild:
        return build();
      case kBinPersId:
        return push_items(Kind::persistent, pop_last(1));
      case kBinGet:
        return push_ref(remembered(input_.number<uint8_t>()));
      case kLongBinGet:
        return push_ref(remembered(input_.number<uint32_t>()));
      case kBinPut:
        return remember(input_.number<uint8_t>());
      case kLongBinPut:
        return remember(input_.number<uint32_t>());
      case kMemoize:
        return remember_next();
      default:
        return false;
    }
  }

  bool make_dict(const Values& items) { return push(Kind::dict), append(Kind::dict, items); }

  bool protocol() {
    const int version = input_.byte();
    if (version > kNewestProtocol) input_.fail(fmt::format("pickle protocol {} is not known", version));
    return true;
  }

  bool global(const std::string& module, const std::string& name) {
    const std::string full = module + "." + name;
    const GlobalUse use = rule_(full);
    push(use == GlobalUse::record ? Kind::global : Kind::opaque), top().text = full;
    if (use == GlobalUse::refuse) refused_.push_back(&top());
    return true;
  }

  // A call is recorded and not made: a class or function, its arguments as a tuple, perhaps others by name.
  bool call(Values parts) {
    const auto &callee = *parts[0], &arguments = *parts[1];
    if (!arguments.is(Kind::tuple)) input_.fail("a call has no arguments; damaged");
    if (callee.is(Kind::opaque)) {
      parts.erase(parts.begin() + 1);
      parts.insert(parts.begin() + 1, arguments.items.begin(), arguments.items.end());
      push_items(Kind::opaque, std::move(parts));
      return top().text = callee.text, true;
    }
    if (!callee.is(Kind::global) || parts.size() != 2) input_.fail("a call has no function; damaged");
    if (makes_dict(callee.text)) return make_ordered_dict(callee.text, arguments);
    parts.pop_back();
    parts.insert(parts.end(), arguments.items.begin(), arguments.items.end());
    return push_items(Kind::call, std::move(parts));
  }

  bool make_ordered_dict(const std::string& name, const PickleValue& arguments) {
    push(Kind::dict);
    if (arguments.items.empty() || name != "collections.OrderedDict") return true;  // else a default's maker
    for (const auto* pair : arguments.items[0]->items) {  // Python 2 passed a list of pairs
      if (pair->items.size() != 2) input_.fail("an OrderedDict is not made of pairs; damaged");
      append(Kind::dict, pair->items);
    }
    return true;
  }

  // Attributes, such as the _metadata of a state dict: no values that a checkpoint's reader needs.
  bool build() {
    const auto* attributes = pop();
    if (peek()->is(Kind::opaque)) return append(Kind::opaque, {attributes});
    if (!peek()->is(Kind::dict) && !peek()->is(Kind::call))
      input_.fail("attributes belong to no object; damaged");
    return true;
  }

  bool push_integer(int64_t value, Kind kind = Kind::integer) {
    return push(kind), top().integer = value, true;
  }
  bool push_text(Kind kind, uint64_t size) {
    if (size > limits_.bytes) input_.fail("a text is longer than a checkpoint has");
    push(kind);
    top().text = input_.bytes(size);
    return true;
  }
  bool push_long(uint32_t size) {
    if (size > 64) input_.fail("a number has more than 64 bytes");
    std::string digits = input_.bytes(size);
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    if (digits.size() > 8) return push(Kind::big_integer), top().text = std::move(digits), true;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    return push_integer(static_cast<int64_t>(value));
  }
  double big_endian_double() { return std::bit_cast<double>(__builtin_bswap64(input_.number<uint64_t>())); }

  const GlobalRule& rule_;
  const uint64_t start_;
  std::vector<const PickleValue*> refused_;
};

}  // namespace

Pickle read_pickle(PickleInput& input, const GlobalRule& rule, const PickleLimits& limits) {
  return Unpickler(input, rule, limits).run();
}

}  // namespace cavmae
