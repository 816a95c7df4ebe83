// The products on oneDNN, and what its switches allow. Private to products.cpp and instruction_set.cpp. In a
// build without it (cmake -DCAVMAE_ONEDNN=OFF) without_onednn.cpp stands for it.
#pragma once

#include "cavmae/kernels/instruction_set.h"
#include "cavmae/kernels/products.h"

namespace cavmae::kernels {

bool has_onednn();

// What ONEDNN_MAX_CPU_ISA leaves of this processor's instructions.
InstructionSet instructions_left_by_onednn();

// x and weight of one element type; each throws what oneDNN throws, dnnl::error.
void onednn_forward(const ForwardProduct& product);
void onednn_input_gradient(const InputGradient& product);
void onednn_weight_gradient(const WeightGradient& product);

// Whether bf16 products of all three kinds run and come out right; "" or what went wrong.
std::string try_onednn_bf16();

}  // namespace cavmae::kernels
