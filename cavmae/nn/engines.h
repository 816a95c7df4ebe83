// RuntimeOptions::engine: which of the project's kernels a network computes with.
#pragma once

#include "cavmae/kernels/types.h"
#include "cavmae/nn/compute.h"

namespace cavmae {

// The elements that the kernels' factors are.
kernels::Element element_of(Precision precision);

// Whether the project's own kernels compute.
bool has_engines(const RuntimeOptions& runtime);

// Puts those that runtime.engine names into use, for the process, and the processor's own for the other jobs.
// Call it while no network computes. Throws ConfigError where engines are named and other kernels or another
// device compute, and as kernels::use_engines().
void use_given_engines(const RuntimeOptions& runtime, Precision precision);

}  // namespace cavmae
