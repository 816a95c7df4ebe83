// What a run reports of its steps and validations: the records of metrics.jsonl and their texts for the log.
// Free functions; safe from any thread.
#pragma once

#include <string>

#include "cavmae/core/json.h"
#include "cavmae/train/run_state.h"
#include "cavmae/train/task.h"

namespace cavmae {

// {"kind": "train", "step", "epoch" (from 1), "samples", "loss", ..., "lr", "gradient_norm",
// "samples_per_second", "data_wait_share", "exchange_seconds" (a step) and "exchange_share" (of several
// ranks), "elapsed_seconds"}: means over the steps of state.interval.
Json train_record(const RunState& state, double lr);

// "validation", or that of the averaged model.
enum class ValidationOf { run, averaged };
// {"kind": "validation" or "averaged", "step", "epoch", "loss", ..., "audio_to_video_r1", ..., "chance_r1",
// "map", "mauc", "d_prime", "top1", "top5", "clips", "seconds"}: the values that the validation has.
Json validation_record(const RunState& state, const ValidationResult& result,
                       ValidationOf of = ValidationOf::run);

// "loss 1.234 (audio 0.612, video 0.601, contrastive 2.11), accuracy 12.5 %, lr 5e-05, 13.2 samples/s,
// waiting 3 %"
std::string train_line(const Json& record);
// The headline metrics: "loss 0.123, accuracy 45.6 %, mAP 41.2 %, top-1 52.1 %", or
// "loss 1.234 (...), accuracy 12.5 %, R@1 audio to video 12.0 %, R@1 video to audio 13.5 %, chance 0.5 %"
std::string validation_line(const Json& record);

}  // namespace cavmae
