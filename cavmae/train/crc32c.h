// CRC-32C (Castagnoli), the checksum of TensorBoard's records and of a checkpoint's files. Safe from any
// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "cavmae/isa/kernel_table.h"

namespace cavmae {

// Goes on from `crc`, the checksum of what came before.
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

using Crc32cKernel = KernelVersion<uint32_t (*)(std::string_view bytes, uint32_t state)>;
const Crc32cKernel& best_crc32c_kernel();

// Of a whole file, read in pieces. Throws Error naming the file.
uint32_t crc32c_of_file(const std::filesystem::path& path);

}  // namespace cavmae
