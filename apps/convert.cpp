// cavmae convert: between our checkpoints and the authors' .pth.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cavmae/models/convert_model.h"

#include "apps/model_flags.h"

namespace cavmae::apps {
namespace {

namespace fs = std::filesystem;

struct ConvertFlags {
  fs::path to;
  ModelFlags model;
};

int run(const ConvertFlags& flags) {
  const Conversion conversion = convert_model(flags.model.checkpoint, flags.to, flags.model.load_options());
  fmt::print("{} -> {}\n", conversion.from.string(), flags.to.string());
  if (!conversion.description.empty())
    fmt::print("what a .pth cannot say: {}\n", conversion.description.string());
  for (const std::string& name : conversion.left_out)
    fmt::print("left out, the model has no use for it: {}\n", name);
  if (!conversion.assumed.empty())
    fmt::print("taken to be the authors', since the file does not say: {}\n", list_of(conversion.assumed));
  if (!conversion.unstated.empty())
    fmt::print("still to be said by who uses it, or by flags of this command: {}\n",
               fmt::join(conversion.unstated, ", "));
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Program& program) {
  describe(
      app,
      "Pretrained and fine-tuned models, in both directions. A .pth does not say how many heads a network has and what it\n"
      "is fed: with it goes NAME.pth.json, which every command reads back; the authors' files need none.",
      {"cavmae convert cav-mae-base.pth ours.safetensors",
       "cavmae convert small.pth small.safetensors --num-heads 4 --decoder-num-heads 4 --fbank-mean -4.2 --fbank-std 3.7 --window-seconds 4"});
  auto flags = std::make_shared<ConvertFlags>();
  app.add_option("from", flags->model.checkpoint, "a run, a checkpoint, a .safetensors or a .pth file")
      ->required()
      ->type_name("FROM");
  app.add_option("to", flags->to, "the file to write: .pth or .safetensors")->required()->type_name("TO");
  flags->model.add_file_flags(app, HeadUse::if_any, DecoderUse::if_any);
  app.callback([=, &program] { program.action = [=] { return run(*flags); }; });
}

}  // namespace cavmae::apps
