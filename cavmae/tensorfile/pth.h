// PyTorch's own checkpoints (.pth, .pt): the zip format of PyTorch 1.6 and later, and the older one. They are
// pickles, which can ask a reader to run anything; here nothing is ever run. Free functions; safe from
// several threads on different files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cavmae/tensorfile/safetensors.h"

namespace cavmae {

// The tensors of a checkpoint, in its order, on the CPU, names as they stand in the file ("module."
// included). A file that holds a dict with a dict under "model", "state_dict" or "model_state_dict" (the
// first that there is, and that holds a tensor) gives the tensors of that dict alone, which is where He et
// al.'s MAE and most trainers put the network beside the optimizer's state. Every other file gives all its
// tensors; those in nested dicts and lists are named by the keys and positions on the way, joined by dots.
// Other values (epoch numbers, options) are passed over. Tensors that share memory in the file share it here.
//
// Throws CheckpointError naming the file: damaged, truncated, a checksum that is wrong, a class or function
// that is not one of PyTorch's for state dicts, or no tensors at all.
NamedTensors read_pth(const std::filesystem::path& path);

// The same tensors by name, type and shape, from the pickle alone: their bytes are not read, so a checksum of
// theirs that is wrong goes unnoticed. Throws as read_pth() does.
std::vector<TensorInfo> inspect_pth(const std::filesystem::path& path);

// Writes the zip format: an OrderedDict of tensors, names as given, for torch.load(). Beside the target and
// renamed; throws Error on a full disk, with the old file intact.
void write_pth(const std::filesystem::path& path, const NamedTensors& tensors);

// The tensors with `prefix` ("module.") taken from the names that begin with it.
NamedTensors strip_prefix(NamedTensors tensors, const std::string& prefix);

}  // namespace cavmae
