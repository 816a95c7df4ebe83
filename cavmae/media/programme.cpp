#include "cavmae/media/programme.h"

#include <algorithm>
#include <span>

namespace cavmae {

bool share_programme(const AVFormatContext& context, const AVStream& first, const AVStream& second) {
  bool has_first = false, has_second = false;
  for (unsigned i = 0; i < context.nb_programs; ++i) {
    const AVProgram& programme = *context.programs[i];
    const std::span<const unsigned> indices(programme.stream_index, programme.nb_stream_indexes);
    const auto holds = [&](const AVStream& stream) {
      return std::find(indices.begin(), indices.end(), static_cast<unsigned>(stream.index)) != indices.end();
    };
    if (holds(first) && holds(second)) return true;
    has_first = has_first || holds(first);
    has_second = has_second || holds(second);
  }
  return !has_first || !has_second;
}

}  // namespace cavmae
