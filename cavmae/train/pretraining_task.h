// The pretraining objective as one call: network and losses joined (Gong et al., ICLR 2023).
// It works for every system of the paper: what the network lacks is left out of the loss. One owner.
#pragma once

#include <cstdint>
#include <memory>

#include "cavmae/core/torch.h"
#include "cavmae/dist/world.h"
#include "cavmae/losses/contrastive.h"
#include "cavmae/losses/pretraining.h"
#include "cavmae/models/cav_mae.h"
#include "cavmae/train/task.h"
#include "cavmae/train/teacher.h"

namespace cavmae {

class PretrainingTask : public Task {
 public:
  // `world` outlives this.
  PretrainingTask(CavMae model, const ObjectiveOptions& objective, const MaskOptions& masks, World& world);
  // With a teacher (train/teacher.h), which ranks the patches of the contrastive loss's pass.
  PretrainingTask(CavMae model, const ObjectiveOptions& objective, const MaskOptions& masks,
                  std::unique_ptr<Teacher> teacher, World& world);

  // Draws masks from `generator` and computes the loss; call backward() on it. Every rank calls it. `place`:
  // of the clips in their batch, for which masks are drawn as a whole.
  StepResult training_forward(const Inputs& inputs, torch::Generator generator,
                              const RowsOfBatch& place = {});
  // The same without gradients and without other ranks, with masks that depend on `mask_seed` alone.
  StepResult evaluation_forward(const Inputs& inputs, uint64_t mask_seed);

  // Which parts of the loss the system has.
  bool reconstructs() const;
  bool contrasts() const;

  CavMae& model() override { return model_; }
  std::vector<ParameterGroup> parameter_groups() override;
  StepResult training_forward(const Batch& batch, torch::Generator generator) override;
  std::optional<ValidationResult> validate(ClipPass& clips, const ValidationOptions& options) override;
  void save(const std::filesystem::path& path, const InputSpec& spec) override;
  void step_done(const StepCount& steps) override;
  NamedTensors state() const override;
  void load_state(const TensorFile& file) override;

 private:
  enum class Use { training, evaluation };
  struct Forward {
    RowsOfBatch place;
    World& world;
    torch::Generator generator;  // that the masks came from
    Use use;
  };
  StepResult forward(const Inputs& inputs, const Masks& masks, const Forward& how);
  void reconstruct(StepResult& result, const Inputs& inputs, const Latents& latents, const Masks& masks);
  void add_dual_path(StepResult& result, const Inputs& inputs, const Masks& masks, const Forward& how);
  MaskOptions contrastive_masks() const;  // of the dual path
  void join_without_clips();

  CavMae model_;
  ObjectiveOptions objective_;
  MaskOptions masks_;
  std::unique_ptr<Teacher> teacher_;  // null: none
  World& world_;
};

// The inputs of a batch; a modality that the network lacks is left out.
Inputs inputs_of(const Batch& batch, const CavMaeConfig& config);

// Every parameter of a network by name.
NamedTensors named_parameters(CavMae& model);

}  // namespace cavmae
