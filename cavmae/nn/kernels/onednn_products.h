// The products on oneDNN. Private to products.cpp.
#pragma once

#include "cavmae/nn/kernels/products.h"

namespace cavmae::kernels {

// x and weight of one element type; each throws what oneDNN throws, dnnl::error.
void onednn_forward(const ForwardProduct& product);
void onednn_input_gradient(const InputGradient& product);
void onednn_weight_gradient(const WeightGradient& product);

// Whether bf16 products of all three kinds run and come out right; "" or what went wrong.
std::string try_onednn_bf16();

}  // namespace cavmae::kernels
