#include "apps/commands.h"

#include <array>
#include <cctype>
#include <sstream>

namespace cavmae::apps {

namespace {

struct Command {
  const char* name;
  const char* line;     // what it does, for 'cavmae --help' and the README
  const char* example;  // the README's, and the first of 'cavmae NAME --help'
  void (*add)(CLI::App& app, Program& program);
};

constexpr std::array kCommands = {
    Command{"synth", "makes video clips whose looks and sounds correspond",
            "cavmae synth --out clips --clips 1000 --seed 1", add_synth},
    Command{"pretrain", "trains a model on clips without labels",
            "cavmae pretrain --config cav-mae --data clips --val held_out --out run", add_pretrain},
    Command{
        "finetune", "trains a classifier on labelled clips, or a linear probe",
        "cavmae finetune --init run --data clips --val held_out --labels class_labels_indices.csv --mode both "
        "--out classifier",
        add_finetune},
    Command{"retrieve", "measures audio-to-video and video-to-audio retrieval",
            "cavmae retrieve --checkpoint run --data held_out --frames all", add_retrieve},
    Command{"classify", "prints the best classes of files, also where audio or video is missing",
            "cavmae classify a.mp4 b.wav --checkpoint classifier --top 5", add_classify},
    Command{"evaluate",
            "measures a checkpoint on a data set: mAP, AUC, d' and accuracy, or losses and retrieval",
            "cavmae evaluate --checkpoint classifier --data held_out --classes", add_evaluate},
    Command{"embed", "turns clips into vectors in a .safetensors file",
            "cavmae embed --checkpoint run --data videos --out e.safetensors", add_embed},
    Command{"index", "makes a library of every moment of an archive, and keeps it up to date",
            "cavmae index library --data videos --checkpoint run", add_index},
    Command{"search", "finds the moments of a library that are like a sound, a picture or a film",
            "cavmae search library --audio bark.wav", add_search},
    Command{"serve", "serves a library: a page to search it, and an HTTP API", "cavmae serve library",
            add_serve},
    Command{"inpaint", "hides parts of a clip, or one modality wholly, and shows what the model rebuilds",
            "cavmae inpaint clip.mp4 --checkpoint run --hide video --out p.png", add_inpaint},
    Command{"localize", "shows where in the picture the sound is, and where in the sound the picture",
            "cavmae localize clip.mp4 --checkpoint run --out l.png", add_localize},
    Command{"report", "writes a run's HTML report", "cavmae report run --data held_out", add_report},
    Command{"pack", "writes a data set into tar shards, which are read like folders",
            "cavmae pack --data videos --out shards --shard-size 1GB", add_pack},
    Command{"stats", "measures the mean and deviation of a data set's filterbanks",
            "cavmae stats --data videos", add_stats},
    Command{"weights", "writes weights that balance a data set's classes",
            "cavmae weights --data train.json --labels class_labels_indices.csv --out train_weight.csv",
            add_weights},
    Command{
        "enhance-labels", "adds labels that a taxonomy or a teacher implies",
        "cavmae enhance-labels --data train.json --labels class_labels_indices.csv --ontology ontology.json "
        "--out enhanced.json",
        add_enhance_labels},
    Command{"ablate", "compares settings by a grid of short runs",
            "cavmae ablate --config tiny --over mask_ratio=0.5,0.75 --data clips --val held_out --out ratios",
            add_ablate},
    Command{"convert", "converts between our .safetensors and the authors' .pth, bit for bit",
            "cavmae convert run model.pth", add_convert},
    Command{"bench", "measures a network's steps part by part beside the machine's own peak",
            "cavmae bench --batch-size 8 --precision fp32", add_bench},
    Command{
        "info",
        "describes a checkpoint, embeddings, a library, a media file, a data set, or with --machine this machine",
        "cavmae info run", add_info},
};

// 'cavmae --help' lists the lines of the table; a command's own description is longer. Flags are shown as
// they are typed:
// "--noise,--no-noise", not "--noise{true},--no-noise{false}".
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* sub) const override;
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override;

 private:
  static constexpr size_t kNameColumns = 20;
};

const Command& command_called(const std::string& name) {
  for (const Command& command : kCommands)
    if (name == command.name) return command;
  throw Error(concat("there is no command '", name, "'"));
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const {
  std::stringstream out;
  const Command& command = command_called(sub->get_name());
  CLI::detail::format_help(out, std::string("  ") + command.name, command.line, kNameColumns);
  return out.str();
}

std::string HelpFormatter::make_option_name(const CLI::Option* option, bool is_positional) const {
  std::string name = CLI::Formatter::make_option_name(option, is_positional);
  for (const std::string value : {"{true}", "{false}"})
    for (size_t at = name.find(value); at != std::string::npos; at = name.find(value))
      name.erase(at, value.size());
  return name;
}

}  // namespace

void register_commands(Program& program) {
  program.root.formatter(std::make_shared<HelpFormatter>());
  for (const Command& command : kCommands) {
    CLI::App* app = program.root.add_subcommand(command.name);
    app->footer("--quiet, --verbose and --threads N go with every command ('cavmae --help').");
    command.add(*app, program);
  }
}

void describe(CLI::App& app, const std::string& details, const std::vector<std::string>& more_examples) {
  const Command& command = command_called(app.get_name());
  std::string text = command.line;
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  text += details.empty() ? "." : ".\n" + details;
  text += concat("\n\n", more_examples.empty() ? "Example:  " : "Examples: ", command.example);
  for (const std::string& example : more_examples) text += "\n          " + example;
  app.description(text + "\n");
}

}  // namespace cavmae::apps
