// The pretraining objective as one call: network and losses joined (Gong et al., ICLR 2023).
// It works for every system of the paper: what the network lacks is left out of the loss. One owner.
#pragma once

#include <cstdint>
#include <memory>

#include "cavmae/core/torch.h"
#include "cavmae/dist/world.h"
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

  // Draws masks from `generator` and computes the loss; call backward() on it. The other ranks' clips are
  // negatives of the contrastive loss.
  StepResult training_forward(const Inputs& inputs, torch::Generator generator);
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
  StepResult forward(const Inputs& inputs, torch::Generator generator, World& world, Use use);
  void reconstruct(StepResult& result, const Inputs& inputs, const Latents& latents, const Masks& masks);
  void add_dual_path(StepResult& result, const Inputs& inputs, const Masks& masks, torch::Generator generator,
                     World& world, Use use);

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
