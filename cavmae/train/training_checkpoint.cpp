#include "cavmae/train/training_checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "cavmae/core/files.h"
#include "cavmae/core/options.h"
#include "cavmae/models/checkpoint.h"
#include "cavmae/train/crc32c.h"

namespace cavmae {
namespace fs = std::filesystem;
namespace {

constexpr const char* kTemporaryPrefix = ".tmp-";
constexpr const char* kTensorFiles[] = {"model.safetensors", "optimizer.safetensors",
                                        "generator.safetensors"};
constexpr const char* kAverageFile = "average.safetensors";  // only of runs that average
constexpr const char* kTaskFile = "task.safetensors";        // only where the task has a state

fs::path checkpoints_folder(const fs::path& run) {
  return run / "checkpoints";
}

std::string folder_name(int64_t step) {
  return fmt::format("step-{:08}", step);
}

// Folders of checkpoints, the highest step first.
std::vector<fs::path> list_checkpoints(const fs::path& path) {
  std::vector<fs::path> folders;
  if (!fs::is_directory(path)) return folders;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().filename().string().starts_with("step-") && !entry.is_symlink())
      folders.push_back(entry.path());
  std::sort(folders.rbegin(), folders.rend());
  return folders;
}

// state.json goes first, so that a folder that is only half removed is not taken for a checkpoint.
void remove_checkpoint(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(folder / "state.json", ignored);
  fs::remove_all(folder, ignored);
}

void link_atomically(const fs::path& link, const fs::path& target) {
  const fs::path temporary = link.parent_path() / (kTemporaryPrefix + link.filename().string());
  std::error_code failed;
  fs::remove(temporary, failed);
  fs::create_symlink(target.filename(), temporary, failed);
  if (!failed) fs::rename(temporary, link, failed);
  CAVMAE_CHECK(!failed, link.string(), ": cannot be linked to ", target.filename().string(), ": ",
               failed.message());
}

// Puts `folder` where `target` is. An older checkpoint of that step is swapped in one move, so that at no
// moment none of the two stands there.
void move_into_place(const fs::path& folder, const fs::path& target) {
  std::error_code failed;
  if (!fs::exists(target)) {
    fs::rename(folder, target, failed);
  } else if (::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    remove_checkpoint(folder);
  } else {  // a file system that cannot swap
    const fs::path old = target.parent_path() / (target.filename().string() + ".old");
    fs::rename(target, old, failed);
    if (!failed) fs::rename(folder, target, failed);
    if (!failed) remove_checkpoint(old);
  }
  CAVMAE_CHECK(!failed, target.string(), ": cannot be put into place: ", failed.message());
}

}  // namespace

void check_space(const SpaceNeed& need) {
  CAVMAE_CHECK(static_cast<uint64_t>(need.needed_bytes) <= need.available_bytes, need.what, " needs ",
               human_bytes(static_cast<double>(need.needed_bytes)), ", ",
               human_bytes(static_cast<double>(need.available_bytes)),
               " are free; free some space or set --keep-checkpoints 1");
}

int64_t checkpoint_bytes(CavMae& model, const Adam& optimizer) {
  constexpr int64_t kHeaders = int64_t{1} << 20;  // names, state.json, generator
  int64_t bytes = kHeaders + optimizer.state_bytes();
  for (const auto& tensor : model->parameters()) bytes += static_cast<int64_t>(tensor.nbytes());
  for (const auto& tensor : model->buffers()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

CheckpointFolder::CheckpointFolder(const fs::path& run, int64_t keep)
    : path_(checkpoints_folder(run)), keep_(keep) {}

void CheckpointFolder::require_space(CavMae& model, const Adam& optimizer) const {
  const auto existing = static_cast<int64_t>(list_checkpoints(path_).size());
  const int64_t more = std::max<int64_t>(1, keep_ + 2 - existing);  // the best, and the one being written
  check_space({.needed_bytes = more * checkpoint_bytes(model, optimizer),
               .available_bytes = free_bytes(path_),
               .what = fmt::format("{}: the run's checkpoints ({} kept, the best and one being written)",
                                   path_.string(), keep_)});
}

void CheckpointFolder::write_files(const fs::path& folder, const CheckpointContent& content) const {
  content.task.save(folder / kTensorFiles[0], content.spec);
  write_safetensors(folder / kTensorFiles[1], content.optimizer.state());
  write_safetensors(folder / kTensorFiles[2], {{"masks", content.generator}});
  std::vector<std::string> names(std::begin(kTensorFiles), std::end(kTensorFiles));
  if (content.average.count() > 0) {
    write_safetensors(folder / kAverageFile, content.average.state());
    names.emplace_back(kAverageFile);
  }
  if (const NamedTensors state = content.task.state(); !state.empty()) {
    write_safetensors(folder / kTaskFile, state);
    names.emplace_back(kTaskFile);
  }
  Json files = Json::object();
  for (const std::string& name : names)
    files[name] = {{"bytes", fs::file_size(folder / name)},
                   {"crc32c", fmt::format("{:08x}", crc32c_of_file(folder / name))}};
  Json state = Json::object();
  state["format"] = 1;
  state["state"] = option_to_json(content.state);
  state["config"] = content.config;
  state["files"] = std::move(files);
  write_json(folder / "state.json", state);
}

fs::path CheckpointFolder::save(const CheckpointContent& content) {
  const std::string name = folder_name(content.state.step);
  const fs::path target = path_ / name;
  const fs::path temporary = path_ / fmt::format("{}{}-{}", kTemporaryPrefix, name, ::getpid());
  try {
    make_directories(path_);
    check_space({.needed_bytes = checkpoint_bytes(content.task.model(), content.optimizer),
                 .available_bytes = free_bytes(path_),
                 .what = "it"});
    make_directories(temporary);
    write_files(temporary, content);
    sync_to_disk(temporary);
    move_into_place(temporary, target);
    sync_to_disk(path_);
    link_atomically(path_ / "last", target);
    if (content.state.is_best()) link_atomically(path_ / "best", target);
  } catch (const std::exception& e) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw Error(concat(target.string(), ": the checkpoint cannot be written: ", e.what(),
                       "; earlier ones are intact, go on from them with --resume"));
  }
  remove_old();
  return target;
}

fs::path CheckpointFolder::save_averaged(Task& task, const InputSpec& spec) const {
  const fs::path folder = path_ / "averaged";
  make_directories(folder);
  task.save(folder / kTensorFiles[0], spec);
  return folder;
}

void CheckpointFolder::remove_old() const {
  std::error_code failed;
  const fs::path best = fs::read_symlink(path_ / "best", failed);
  int64_t kept = 0;
  for (const fs::path& folder : list_checkpoints(path_)) {
    if (!failed && folder.filename() == best) continue;
    if (++kept > keep_) remove_checkpoint(folder);
  }
}

std::optional<FoundCheckpoint> find_latest_checkpoint(const fs::path& run, Log& log) {
  for (const fs::path& folder : list_checkpoints(checkpoints_folder(run))) {
    try {
      return verify_checkpoint(folder);
    } catch (const Error& e) {
      log.warn("{}; an earlier checkpoint is taken", e.what());
    }
  }
  return std::nullopt;
}

void CheckpointFolder::discard_after(const FoundCheckpoint& found) const {
  for (const fs::path& folder : list_checkpoints(path_))
    if (folder.filename() > found.path.filename()) remove_checkpoint(folder);
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(path_))
    if (entry.path().filename().string().starts_with(kTemporaryPrefix)) leftovers.push_back(entry.path());
  for (const fs::path& folder : leftovers) fs::remove_all(folder);
  link_atomically(path_ / "last", found.path);
  const fs::path best = path_ / folder_name(found.state.best_step);
  if (found.state.best_value && fs::exists(best)) link_atomically(path_ / "best", best);
}

FoundCheckpoint verify_checkpoint(const fs::path& folder) {
  try {
    const Json state = read_json(folder / "state.json");
    for (const char* name : kTensorFiles)
      CAVMAE_CHECK(state.at("files").contains(name), "state.json does not know ", name);
    for (const auto& [name, expected] : state.at("files").items()) {
      const auto bytes = expected.at("bytes").get<uint64_t>();
      CAVMAE_CHECK(fs::file_size(folder / name) == bytes, name, " has ", fs::file_size(folder / name),
                   " bytes instead of ", bytes);
      const std::string crc = fmt::format("{:08x}", crc32c_of_file(folder / name));
      CAVMAE_CHECK(crc == expected.at("crc32c"), name, " has the checksum ", crc, " instead of ",
                   expected.at("crc32c"));
    }
    FoundCheckpoint found{.path = folder, .state = {}, .config = state.at("config")};
    option_from_json(state.at("state"), found.state, "state");
    return found;
  } catch (const std::exception& e) {  // Error, a missing file, a missing key
    throw CheckpointError(concat(folder.string(), ": a damaged checkpoint: ", e.what()));
  }
}

void restore_tensors(const FoundCheckpoint& found, const RestoreTargets& targets) {
  const LoadReport report = load_parameters(targets.task.model(), found.path / kTensorFiles[0]);
  CAVMAE_CHECK_AS(CheckpointError, report.missing.empty() && report.unexpected.empty(), found.path.string(),
                  ": ", report.missing.size(), " parameters are missing and ", report.unexpected.size(),
                  " do not belong to the model");
  targets.optimizer.load_state(read_safetensors(found.path / kTensorFiles[1]));
  if (fs::exists(found.path / kAverageFile))
    targets.average.load_state(read_safetensors(found.path / kAverageFile));
  if (fs::exists(found.path / kTaskFile)) targets.task.load_state(read_safetensors(found.path / kTaskFile));
  targets.generator.set_state(read_safetensors(found.path / kTensorFiles[2]).at("masks"));
}

}  // namespace cavmae
