#include <cstdio>

#include <cavmae/cavmae.h>

int main() {
  const cavmae::Model model("run");  // a run's folder, a .safetensors file or the authors' .pth
  const cavmae::ClipVectors clip = model.embed("clip.mp4");  // its audio and video, float [D]
  const torch::Tensor archive = cavmae::map_embeddings("archive.safetensors", "video");
  const cavmae::Neighbors found = cavmae::nearest(clip.audio, archive, 3);
  for (int i = 0; i < 3; ++i)
    std::printf("row %d, cosine %.3f\n", found.indices[0][i].item<int>(), found.scores[0][i].item<float>());
}
