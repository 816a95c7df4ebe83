// Which version computes a job: the table of a family proposes, a probe of the processor's instructions may
// overrule it, and the user may decide. Free functions; safe from several threads, but for use_engines().
#pragma once

#include <functional>
#include <span>
#include <string>

#include "cavmae/isa/instructions.h"
#include "cavmae/isa/isa.h"
#include "cavmae/kernels/types.h"

namespace cavmae::kernels {

enum class Job { forward, dgrad, wgrad, attention };
inline constexpr Job kJobs[] = {Job::forward, Job::dgrad, Job::wgrad, Job::attention};
std::string job_name(Job job);  // "forward"

// What a version's time goes into, and the share of that instruction's rate that it reaches at sizes of a
// network's layers (docs/performance.md).
struct Speed {
  Instruction instruction = Instruction::fp32_fma;
  double efficiency = 1.0;

  double gflops(const InstructionRates& rates) const { return rates.of(instruction) * efficiency; }
};

struct Engine {
  std::string name;
  Speed speed;
  bool pays = true;  // may be chosen; else only by name
};

// What the tables look at. Troubles: "" where there is none, else why tiles (bf16 products by oneDNN) may not
// be used; asked only where the instructions are there.
struct EngineMachine {
  IsaSet isa;
  InstructionRates rates;
  std::function<std::string()> tiles_trouble, onednn_bf16_trouble;
};
// The one that this process runs on.
const EngineMachine& this_machine();

struct EngineChoice {
  size_t index = 0;    // of the engines
  std::string reason;  // "tdpbf16ps, 1593 GFLOP/s a core"
};

// Note [Engines]: the last of the engines that pay is the table's: the one for the youngest instructions.
// Another is taken where it reaches 1.3 times as much by the probes: so far apart are processors that have an
// instruction and are slow at it from the others, and so far a probe never errs by noise. What use_engines()
// names goes before both; a ConfigError that lists the engines where it names none of them. At least one
// pays.
EngineChoice choose_engine(Job job, Element element, std::span<const Engine> engines,
                           const InstructionRates& rates);

// The user's word, "JOB=NAME,..." with jobs forward, dgrad, wgrad and attention; "" is none. Holds for the
// process and for factors of this kind. Call it while no network computes. Throws ConfigError for what is
// not of that form, and, naming those that there are, for an engine that this machine or build lacks for
// factors of this kind; then nothing is changed.
void use_engines(const std::string& text, Element element);
// Those that are in use, in the same form: what a run records.
std::string engines_in_use(Element element);

}  // namespace cavmae::kernels
