// Everything that decides a pretraining run, declared once: the configuration file, the flags and the copy in
// the run's folder derive from it.
#pragma once

#include "cavmae/losses/pretraining.h"
#include "cavmae/train/run_options.h"
#include "cavmae/train/teacher.h"

namespace cavmae {

struct PretrainOptions : RunOptions {
  CavMaeConfig model;
  ObjectiveOptions objective;
  MaskOptions mask;
  TeacherOptions teacher;

  // Files of before these fields do not have them.
  static constexpr const char* kAbsentByDefault[] = {"teacher", "overlap"};

  template <class Self, class Visitor>
  static void visit(Self& o, Visitor&& v) {
    RunOptions::visit(o, v);
    v("model", o.model, "shape of the network");
    v("objective", o.objective, "the losses");
    v("mask", o.mask, "which patches are masked");
    v("teacher", o.teacher, "a moving average of the network that ranks patches");
  }
  // One ConfigError listing every bad field.
  void validate() const;
};

}  // namespace cavmae
