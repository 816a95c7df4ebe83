// cavmae convert: between our checkpoints and the authors' .pth.
#include <fmt/format.h>

#include "cavmae/models/checkpoint.h"

#include "apps/command.h"

namespace cavmae::apps {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  fs::path from, to;
};

int run(const ConvertFlags& flags) {
  const std::string extension = flags.to.extension().string();
  CAVMAE_CHECK_AS(ConfigError, extension == ".pth" || extension == ".safetensors", flags.to.string(),
                  ": the result is a .pth or a .safetensors file");
  LoadedModel loaded = load_model(flags.from);
  CAVMAE_CHECK_AS(CheckpointError, loaded.missing.empty(), loaded.path.string(), ": ", loaded.missing.size(),
                  " parameters are missing, the first is ", loaded.missing.front(), "; nothing was written");
  if (extension == ".pth") {
    export_pth(flags.to, loaded.model);
  } else {
    save_model(flags.to, loaded.model, loaded.features);
  }
  fmt::print("{} -> {}\n", loaded.path.string(), flags.to.string());
  for (const std::string& name : loaded.unexpected)
    fmt::print("left out, the model has no use for it: {}\n", name);
  return 0;
}

}  // namespace

void add_convert(Program& program) {
  CLI::App* app =
      program.root.add_subcommand("convert", "Convert a model between .safetensors and the authors' .pth");
  app->description(
      "Examples: cavmae convert run model.pth                a trained run for the authors' Python code\n"
      "          cavmae convert cav-mae-base.pth ours.safetensors");
  auto flags = std::make_shared<ConvertFlags>();
  app->add_option("from", flags->from, "a run, a checkpoint, a .safetensors or a .pth file")
      ->required()
      ->type_name("FROM");
  app->add_option("to", flags->to, "the file to write: .pth or .safetensors")->required()->type_name("TO");
  app->callback([=, &program] { program.action = [=] { return run(*flags); }; });
}

}  // namespace cavmae::apps
