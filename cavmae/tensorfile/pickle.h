// Python's pickles as plain values. Nothing that a pickle asks for is ever imported or run: a class or
// function is only a name, which must be on the caller's list, and a call is only recorded. Not for several
// threads at once.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cavmae {

struct PickleValue {
  enum class Kind {
    none,
    boolean,
    integer,
    big_integer,  // more than 64 bits: `text` holds it, two's complement, lowest byte first
    real,
    text,
    bytes,
    tuple,
    list,        // sets too
    dict,        // and OrderedDict, defaultdict; items are key, value, key, value, ...
    global,      // a class or function whose calls are recorded: `text` is "module.name"
    call,        // items[0] is the global, the others its arguments
    opaque,      // a class or function of any other name (`text`), or what it makes, with items out of which
    persistent,  // items[0] is the id that stands for an object outside the pickle
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<const PickleValue*> items;

  bool is(Kind k) const { return kind == k; }
  // Whether this is a call of the global of that name.
  bool calls(std::string_view name) const;
  // The value of a dict's key, the last where a key repeats; nullptr when there is none.
  const PickleValue* find(std::string_view key) const;
};

// What the values of a pickle live in. Values may refer to each other in circles.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
};

// The bytes of a pickle, handed out piece by piece.
class PickleInput {
 public:
  using Read = std::function<void(uint64_t position, void* out, uint64_t bytes)>;

  // Reads `size` bytes through `read`; `where` names the file in errors.
  PickleInput(uint64_t size, Read read, std::string where);

  uint8_t byte();
  std::string bytes(uint64_t count);
  std::string line();  // up to and without '\n'
  template <class T>
  T number() {  // little-endian
    T value;
    copy(&value, sizeof value);
    return value;
  }

  uint64_t position() const { return buffer_start_ + at_; }
  const std::string& where() const { return where_; }
  // Throws CheckpointError with the place.
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  void copy(void* out, uint64_t count);

  uint64_t size_, buffer_start_ = 0;
  Read read_;
  std::string where_, buffer_;
  size_t at_ = 0;
};

// No checkpoint comes near these; they keep a hostile file from filling the memory.
struct PickleLimits {
  uint64_t bytes = 256'000'000;  // of the pickle
  size_t values = 2'000'000;
  size_t items = 16'000'000;  // in all tuples, lists and dicts, and on the stack
};

// What becomes of a class or function that a pickle names.
enum class GlobalUse {
  refuse,  // the pickle is not taken: CheckpointError, with the keys that lead to where it is used
  record,  // Kind::global, and its calls are Kind::call
  opaque,  // Kind::opaque, and so is whatever it is called for
};
using GlobalRule = std::function<GlobalUse(const std::string& name)>;  // "module.name"

// Reads one pickle (the instructions of protocols 2 to 5 that carry data). Throws CheckpointError for
// anything else than a whole pickle within the limits, and for names that `rule` refuses.
Pickle read_pickle(PickleInput& input, const GlobalRule& rule, const PickleLimits& limits = {});

}  // namespace cavmae
