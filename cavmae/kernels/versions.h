// What the tables of the families choose from: the functions of each version, which lie in a file of their
// own. For the files that define them and the tables alone. Those of x86 are there where CAVMAE_X86_KERNELS,
// oneDNN's where CAVMAE_HAS_ONEDNN.
#pragma once

#include <cstdint>
#include <string>

namespace cavmae::kernels {

// Attention, for flash_attention.cpp.
struct HeadKernel;
HeadKernel baseline_head_kernel();
HeadKernel avx2_head_kernel();
HeadKernel avx512_head_kernel();
HeadKernel avx512_bf16_head_kernel();
HeadKernel avx512_bf16_via_fp32_head_kernel();

// For row_kernels.cpp.
struct RowKernels;
const RowKernels& row_kernels_baseline();
const RowKernels& row_kernels_avx2();
const RowKernels& row_kernels_avx512();
const RowKernels& row_kernels_avx512_bf16();

// For row_products.cpp.
struct RowProducts;
RowProducts row_products_baseline();
RowProducts row_products_avx2();

// For code_assignment.cpp.
struct CodeAssignment;
CodeAssignment code_assignment_baseline();
CodeAssignment code_assignment_avx2();

// For pack_weight.cpp. A band is what rows of W become that share blocks: block_columns rows of a transposed
// factor, kPackedBlockRows of another.
struct WeightPacking;
void pack_bands_baseline(const WeightPacking& packing, int64_t begin, int64_t end);
void pack_bands_avx512_bf16(const WeightPacking& packing, int64_t begin, int64_t end);

// For wgrad_gemm.cpp.
struct WgradGemmKernel;
WgradGemmKernel wgrad_gemm_avx512_bf16();

// Backends of matmul.cpp: fp32 by the BLAS under LibTorch,
struct LinearForward;
struct LinearDgrad;
struct LinearWgrad;
void blas_forward(const LinearForward& call);
void blas_dgrad(const LinearDgrad& call);
void blas_wgrad(const LinearWgrad& call);
// bf16 by way of fp32, see Note [bf16 matmul],
void forward_via_fp32(const LinearForward& call);
void dgrad_via_fp32(const LinearDgrad& call);
void wgrad_via_fp32(const LinearWgrad& call);
// and both by oneDNN, which throws dnnl::error.
void onednn_forward(const LinearForward& call);
void onednn_dgrad(const LinearDgrad& call);
void onednn_wgrad(const LinearWgrad& call);
// Whether oneDNN's bf16 products of all three kinds run and come out right; "" or what went wrong.
std::string try_onednn_bf16();

}  // namespace cavmae::kernels
