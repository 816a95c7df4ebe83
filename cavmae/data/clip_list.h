// The clips of a data set, millions of them in little memory: a ClipSource is made when it is asked for.
// Immutable, so that copies share what they hold; safe from several threads.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cavmae/data/clip_source.h"

namespace cavmae {

// How clips are kept. read_clips.cpp has one for lists, clip_list.cpp one for clips that a program has made.
class ClipStore {
 public:
  virtual ~ClipStore() = default;
  virtual size_t size() const = 0;
  virtual ClipSource clip(size_t i) const = 0;
  // Of the clip, without making it.
  virtual std::string_view id(size_t i) const = 0;
  virtual const std::vector<std::string>& labels(size_t i) const = 0;
  virtual PromisedModalities promised(size_t i) const = 0;
  // Whether clips may be windows of longer ones (ClipSource::file).
  virtual bool has_windows() const { return false; }
};

class ClipList {
 public:
  ClipList() = default;
  explicit ClipList(std::shared_ptr<const ClipStore> store) : store_(std::move(store)) {}
  // Clips that a program has made: any list of ClipSource says so by itself.
  ClipList(std::vector<ClipSource> clips);
  ClipList(std::initializer_list<ClipSource> clips) : ClipList(std::vector<ClipSource>(clips)) {}

  size_t size() const { return is_part_ ? positions_->size() : store_ ? store_->size() : 0; }
  bool empty() const { return size() == 0; }

  // Made anew by each call; const, since a change would be lost.
  const ClipSource operator[](size_t i) const { return store_->clip(position(i)); }
  const ClipSource front() const { return (*this)[0]; }
  // Quicker than making the clip; they live as long as any list that shares this one's clips.
  std::string_view id(size_t i) const { return store_->id(position(i)); }
  const std::vector<std::string>& labels(size_t i) const { return store_->labels(position(i)); }
  PromisedModalities promised(size_t i) const { return store_->promised(position(i)); }
  bool has_windows() const { return store_ && store_->has_windows(); }

  // The clips at these positions in their order, which shares this list's clips.
  ClipList at(const std::vector<int64_t>& positions) const;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = ClipSource;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = const ClipSource;

    Iterator() = default;
    Iterator(const ClipList* list, size_t i) : list_(list), i_(i) {}
    const ClipSource operator*() const { return (*list_)[i_]; }
    Iterator& operator++() { return ++i_, *this; }
    Iterator operator++(int) { return {list_, i_++}; }
    bool operator==(const Iterator& other) const { return i_ == other.i_; }

   private:
    const ClipList* list_ = nullptr;
    size_t i_ = 0;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  size_t position(size_t i) const { return is_part_ ? (*positions_)[i] : i; }

  std::shared_ptr<const ClipStore> store_;
  bool is_part_ = false;
  std::shared_ptr<const std::vector<uint32_t>> positions_;  // of a part
};

}  // namespace cavmae
