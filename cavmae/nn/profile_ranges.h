// The names of the network's parts, as ProfileRanges open them.
#pragma once

namespace cavmae::ranges {

inline constexpr const char* kEmbedding = "embedding";
inline constexpr const char* kAudioEncoder = "audio encoder";
inline constexpr const char* kVideoEncoder = "video encoder";
inline constexpr const char* kJointLayers = "joint layers";
inline constexpr const char* kDecoderInputs = "decoder inputs";
inline constexpr const char* kDecoder = "decoder";
inline constexpr const char* kHeads = "heads";

// Inside a transformer block.
inline constexpr const char* kAttention = "attention";
inline constexpr const char* kAttentionMatmul = "matmul";  // softmax(q k^T) v, inside kAttention
inline constexpr const char* kMlp = "mlp";

}  // namespace cavmae::ranges
