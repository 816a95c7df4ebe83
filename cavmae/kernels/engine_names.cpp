#include "cavmae/kernels/engine_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cavmae/core/error.h"
#include "cavmae/core/text.h"
#include "cavmae/kernels/flash_attention.h"
#include "cavmae/kernels/matmul.h"

namespace cavmae::kernels {
namespace {

Job job_of(const std::string& word) {
  for (const Job job : kJobs)
    if (job_name(job) == word) return job;
  throw ConfigError(concat("engines: there is no job '", word,
                           "'; the jobs are forward, dgrad, wgrad and attention, as in forward=onednn"));
}

bool computes(const MatmulBackend& backend, Job job) {
  switch (job) {
    case Job::forward:
      return backend.forward != nullptr;
    case Job::dgrad:
      return backend.dgrad != nullptr;
    case Job::wgrad:
      return backend.wgrad != nullptr;
    case Job::attention:
      break;
  }
  return false;
}

}  // namespace

EngineNames parse_engines(const std::string& text) {
  EngineNames names;
  for (const std::string& part : split(text, ',')) {
    if (trim(part).empty()) continue;
    const size_t equals = part.find('=');
    CAVMAE_CHECK_AS(ConfigError, equals != std::string::npos, "engines: '", part,
                    "' is not of the form JOB=NAME, as in wgrad=onednn");
    names[job_of(std::string(trim(part.substr(0, equals))))] = std::string(trim(part.substr(equals + 1)));
  }
  return names;
}

std::string text_of(const EngineNames& names) {
  std::string text;
  for (const auto& [job, name] : names) text += concat(text.empty() ? "" : ",", job_name(job), "=", name);
  return text;
}

std::string merged_engines(const std::string& first, const std::string& second) {
  EngineNames names = parse_engines(first);
  names.merge(parse_engines(second));
  return text_of(names);
}

std::string EnginesHere::text() const {
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  if (!for_tests.empty()) text += fmt::format("; for tests: {}", fmt::join(for_tests, ", "));
  if (!refused.empty()) text += "; not " + refused;
  return text;
}

EnginesHere engines_here(Job job, Element element) {
  EnginesHere here;
  if (job == Job::attention) {
    for (const AttentionKernel* kernel : usable_attention_kernels())
      if (kernel->use == AttentionKernel::Use::any_element || element == Element::bf16)
        (kernel->use == AttentionKernel::Use::tests ? here.for_tests : here.names).emplace_back(kernel->name);
  } else {
    for (const MatmulBackend* backend : usable_matmul_backends(element))
      if (computes(*backend, job))
        (backend->pays_with ? here.names : here.for_tests).emplace_back(backend->name);
  }
  const EngineMachine& machine = this_machine();
  if (element == Element::bf16 && machine.isa.has(Isa::amx_bf16))
    if (const std::string trouble = machine.tiles_trouble(); !trouble.empty())
      here.refused = "amx, since " + trouble;
  return here;
}

}  // namespace cavmae::kernels
