// cavmae convert: between our checkpoints and the authors' .pth.
#include <fmt/format.h>

#include "cavmae/models/convert_model.h"

#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  fs::path from, to;
  InferenceHints hints;
};

int run(const ConvertFlags& flags) {
  const Conversion conversion = convert_model(flags.from, flags.to, flags.hints);
  fmt::print("{} -> {}\n", conversion.from.string(), flags.to.string());
  for (const std::string& name : conversion.left_out)
    fmt::print("left out, the model has no use for it: {}\n", name);
  for (const std::string& option : conversion.unstated)
    fmt::print("a .pth cannot say it, keep it in mind: {}\n", option);
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Program& program) {
  describe(
      app,
      "Pretrained and fine-tuned models, in both directions. A .pth does not say how many heads a network has: the\n"
      "authors' have heads of width 64 in the encoders and 16 heads in the decoder.",
      {"cavmae convert cav-mae-base.pth ours.safetensors",
       "cavmae convert small.pth small.safetensors --num-heads 4 --decoder-num-heads 4"});
  auto flags = std::make_shared<ConvertFlags>();
  app.add_option("from", flags->from, "a run, a checkpoint, a .safetensors or a .pth file")
      ->required()
      ->type_name("FROM");
  app.add_option("to", flags->to, "the file to write: .pth or .safetensors")->required()->type_name("TO");
  add_hint_flags(app, flags->hints);
  app.callback([=, &program] { program.action = [=] { return run(*flags); }; });
}

}  // namespace cavmae::apps
