// The engines (engines.h) that a text names, and those that there are. Free functions; safe from several
// threads, but for use_engines().
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cavmae/kernels/engines.h"

namespace cavmae::kernels {

// Of "JOB=NAME,..". Throws ConfigError for what is not of that form.
using EngineNames = std::map<Job, std::string>;
EngineNames parse_engines(const std::string& text);
std::string text_of(const EngineNames& names);
// Of two such texts the engines of the first, and those of the second for jobs that it does not name.
std::string merged_engines(const std::string& first, const std::string& second);

// What may be named for a job on this machine.
struct EnginesHere {
  std::vector<std::string> names;      // that may be chosen, or pay elsewhere
  std::vector<std::string> for_tests;  // never chosen
  std::string refused;  // "amx, since Linux refuses tiles": what the processor has and may not be used; or ""

  std::string text() const;  // "via_fp32, onednn; for tests: emulated_tiles; not amx, since .."
};
EnginesHere engines_here(Job job, Element element);

}  // namespace cavmae::kernels
