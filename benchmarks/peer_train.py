#!/usr/bin/env python3
"""CAV-MAE in plain PyTorch, to measure cavmae against: modules, autograd, torch.optim.Adam and nothing fused.

It does the same work on inputs of the same sizes: a pretraining step, retrieval features, or a fine-tuning step on
both modalities. Every patch is embedded and masked by gathering, and the decoder rebuilds every patch, as plain code does.
Parameters carry the names of the authors' checkpoints. Of CAV-MAE Sync it knows segments of sound, global tokens and registers; what
else a configuration asks for that it does not compute, it refuses.

    peer_train.py --mode pretrain --batch-size 8 --threads 2 --steps 5      one JSON object with the median seconds
    peer_train.py --mode pretrain --batch-size 8 --threads 2 --follow       a step for each line of standard input
    peer_train.py --device cuda --precision bf16 --batch-size 256 --sdpa --fused-adam --compile      its best on a GPU

With --follow it warms up, prints {"ready": true}, then {"seconds": ..., "cpu_seconds": ...} for each line that it reads, and at the end of
its input {"peak_memory_bytes": ...}.
"""
import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

# The full-size model, in the words of cavmae's configuration files.
FULL_SIZE = {
    "num_fbank_frames": 1024, "num_mel_bins": 128, "image_size": 224, "patch_size": 16, "embed_dim": 768, "num_heads": 12,
    "mlp_ratio": 4.0, "modality_depth": 11, "joint_depth": 1, "decoder_depth": 8, "decoder_embed_dim": 512,
    "decoder_num_heads": 16, "audio_window_frames": 0, "global_tokens": False, "registers": 0,
}
# What it computes of the rest of a configuration: other values would be other work.
ONLY = {
    "model": {"modalities": "both", "joint_streams": "all", "train_positions": False,
              "contrastive_pooling": "global"},
    "objective": {"contrastive_mask_ratio": None},
    "teacher": {"ema_decay": None},
}


def sizes_and_masks(path):
    """The sizes of a configuration's network, and its mask ratios of audio and video. Exits where it asks for anything else."""
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    sizes, masks = dict(FULL_SIZE), config.get("mask", {})
    refused = []
    for section, only in ONLY.items():
        for key, value in config.get(section, {}).items():
            if section == "model" and key in FULL_SIZE:
                sizes[key] = value
            elif key in only and value not in (only[key], None, "none"):
                refused.append(f"{section}.{key} is {json.dumps(value)} and can only be {json.dumps(only[key])}")
            elif section == "model" and key not in only:
                refused.append(f"model.{key} is not known")
    if refused:
        sys.exit(f"peer_train: {path}: " + "; ".join(refused))
    return sizes, (masks.get("mask_ratio_audio", 0.75), masks.get("mask_ratio_video", 0.75))


def input_frames(c):
    return c["audio_window_frames"] or c["num_fbank_frames"]


def sincos_positions(width, rows, columns):
    """float [1, rows * columns, width]: the column's code, then the row's; each sines, then cosines."""
    frequencies = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width / 4))

    def code(places):
        angles = places.flatten()[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.cat([code(column), code(row)], dim=1).float()[None]


class Attention(nn.Module):
    sdpa = False  # LibTorch's fused attention, which is a flash attention on a GPU

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        clips, length, width = x.shape
        qkv = self.qkv(x).reshape(clips, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        if self.sdpa:
            mixed = functional.scaled_dot_product_attention(query, key, value)
            return self.proj(mixed.transpose(1, 2).reshape(clips, length, width))
        weights = (query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        return self.proj((weights @ value).transpose(1, 2).reshape(clips, length, width))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm block with a pair of LayerNorms for each kind of stream: "", "_a" and "_v"."""

    def __init__(self, width, heads, mlp_ratio):
        super().__init__()
        for stream in ("", "_a", "_v"):
            self.add_module("norm1" + stream, nn.LayerNorm(width))
            self.add_module("norm2" + stream, nn.LayerNorm(width))
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x, stream=""):
        x = x + self.attn(getattr(self, "norm1" + stream)(x))
        return x + self.mlp(getattr(self, "norm2" + stream)(x))


class PatchEmbedding(nn.Module):
    def __init__(self, channels, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)

    def forward(self, pictures):
        return self.proj(pictures).flatten(2).transpose(1, 2)


def gather(x, ids):
    return x.gather(1, ids[:, :, None].expand(-1, -1, x.size(2)))


def patchify(pictures, patch):
    """[B, C, height, width] -> [B, L, patch * patch * C], channel fastest."""
    clips, channels, height, width = pictures.shape
    x = pictures.reshape(clips, channels, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(clips, -1, patch * patch * channels)


class Encoders(nn.Module):
    """Both encoders and the joint layers."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        width, patch = c["embed_dim"], c["patch_size"]
        rows, columns, side = c["num_mel_bins"] // patch, input_frames(c) // patch, c["image_size"] // patch
        self.modality_a = nn.Parameter(torch.zeros(1, 1, width))
        self.modality_v = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed_a = nn.Parameter(sincos_positions(width, rows, columns), requires_grad=False)
        self.pos_embed_v = nn.Parameter(sincos_positions(width, side, side), requires_grad=False)
        self.patch_embed_a = PatchEmbedding(1, patch, width)
        self.patch_embed_v = PatchEmbedding(3, patch, width)

        def stack(depth):
            return nn.ModuleList(Block(width, c["num_heads"], c["mlp_ratio"]) for _ in range(depth))

        self.blocks_a, self.blocks_v = stack(c["modality_depth"]), stack(c["modality_depth"])
        self.blocks_u = stack(c["joint_depth"])
        self.norm_a, self.norm_v, self.norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        if c["global_tokens"]:
            self.cls_token_a = nn.Parameter(0.02 * torch.randn(1, 1, width))
            self.cls_token_v = nn.Parameter(0.02 * torch.randn(1, 1, width))
        if c["registers"]:
            self.register_tokens = nn.Parameter(torch.randn(2 * c["registers"], width))

    def embed(self, audio, video):
        a = self.patch_embed_a(audio.transpose(1, 2).unsqueeze(1)) + self.pos_embed_a + self.modality_a
        v = self.patch_embed_v(video) + self.pos_embed_v + self.modality_v
        return a, v

    def with_learned_tokens(self, x, stream):
        """[global token | patches | registers]"""
        count = self.c["registers"]
        parts = [x]
        if self.c["global_tokens"]:
            parts.insert(0, getattr(self, "cls_token" + stream).expand(x.size(0), -1, -1).to(x.dtype))
        if count:
            registers = self.register_tokens[:count] if stream == "_a" else self.register_tokens[count:]
            parts.append(registers[None].expand(x.size(0), -1, -1).to(x.dtype))
        return torch.cat(parts, dim=1) if len(parts) > 1 else x

    def modalities(self, a, v):
        """Of each modality its global token, where there is one, and its patches."""
        a, v = self.with_learned_tokens(a, "_a"), self.with_learned_tokens(v, "_v")
        for block in self.blocks_a:
            a = block(a)
        for block in self.blocks_v:
            v = block(v)
        return a[:, :a.size(1) - self.c["registers"]], v[:, :v.size(1) - self.c["registers"]]

    def patches(self, x):
        return x[:, 1:] if self.c["global_tokens"] else x

    def vector(self, x, stream):
        """What the contrastive loss compares: the global token, or the mean of the patches."""
        x = self.joint(x, stream)
        return x[:, 0] if self.c["global_tokens"] else x.mean(1)

    def joint(self, x, stream):
        for block in self.blocks_u:
            x = block(x, stream)
        return {"": self.norm, "_a": self.norm_a, "_v": self.norm_v}[stream](x)

    def features(self, audio, video):
        a, v = self.modalities(*self.embed(audio, video))
        return self.vector(a, "_a"), self.vector(v, "_v")


class CavMae(Encoders):
    """The pretraining network and its objective."""

    def __init__(self, c, mask_ratios=(0.75, 0.75)):
        super().__init__(c)
        self.mask_ratios = mask_ratios
        width, decoder_width, patch = c["embed_dim"], c["decoder_embed_dim"], c["patch_size"]
        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_modality_a = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_modality_v = nn.Parameter(torch.zeros(1, 1, decoder_width))
        rows, columns, side = c["num_mel_bins"] // patch, input_frames(c) // patch, c["image_size"] // patch
        self.decoder_pos_embed_a = nn.Parameter(sincos_positions(decoder_width, rows, columns), requires_grad=False)
        self.decoder_pos_embed_v = nn.Parameter(sincos_positions(decoder_width, side, side), requires_grad=False)
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_width, c["decoder_num_heads"], c["mlp_ratio"]) for _ in range(c["decoder_depth"]))
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.decoder_pred_a = nn.Linear(decoder_width, patch * patch)
        self.decoder_pred_v = nn.Linear(decoder_width, patch * patch * 3)

    @staticmethod
    def mask(x, ratio):
        clips, length, _ = x.shape
        order = torch.rand(clips, length, device=x.device).argsort(dim=1)
        restore = order.argsort(dim=1)
        kept = int(length * (1 - ratio))
        return gather(x, order[:, :kept]), restore, (restore >= kept).float()

    def with_mask_tokens(self, x, restore):
        tokens = self.mask_token.expand(x.size(0), restore.size(1) - x.size(1), -1).to(x.dtype)
        return gather(torch.cat([x, tokens], dim=1), restore)

    def decode(self, joint, num_audio, restore_a, restore_v):
        x = self.decoder_embed(joint)
        a = self.with_mask_tokens(x[:, :num_audio], restore_a) + self.decoder_pos_embed_a + self.decoder_modality_a
        v = self.with_mask_tokens(x[:, num_audio:], restore_v) + self.decoder_pos_embed_v + self.decoder_modality_v
        x = torch.cat([a, v], dim=1)
        for block in self.decoder_blocks:
            x = block(x)
        x = self.decoder_norm(x)
        return self.decoder_pred_a(x[:, :a.size(1)]), self.decoder_pred_v(x[:, a.size(1):])

    @staticmethod
    def reconstruction_loss(prediction, patches, mask):
        target = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6) ** 0.5
        return (((prediction - target) ** 2).mean(-1) * mask).sum() / mask.sum()

    def forward(self, audio, video):
        a, v = self.embed(audio, video)
        a, restore_a, mask_a = self.mask(a, self.mask_ratios[0])
        v, restore_v, mask_v = self.mask(v, self.mask_ratios[1])
        a, v = self.modalities(a, v)
        kept_a, kept_v = self.patches(a), self.patches(v)
        joint = self.joint(torch.cat([kept_a, kept_v], dim=1), "")
        pooled_a, pooled_v = self.vector(a, "_a"), self.vector(v, "_v")
        prediction_a, prediction_v = self.decode(joint, kept_a.size(1), restore_a, restore_v)
        patch = self.c["patch_size"]
        loss_a = self.reconstruction_loss(prediction_a, patchify(audio.transpose(1, 2).unsqueeze(1), patch), mask_a)
        loss_v = self.reconstruction_loss(prediction_v, patchify(video, patch), mask_v)
        similarity = functional.normalize(pooled_v, dim=-1) @ functional.normalize(pooled_a, dim=-1).t() / 0.05
        return loss_a + loss_v + 0.01 * functional.cross_entropy(similarity.float(), torch.arange(len(audio), device=audio.device))


class Classifier(Encoders):
    """The fine-tuned network: mean-pooled joint output, LayerNorm, a linear head, binary cross-entropy."""

    def __init__(self, c, classes):
        super().__init__(c)
        self.mlp_head = nn.Sequential(nn.LayerNorm(c["embed_dim"]), nn.Linear(c["embed_dim"], classes))

    def forward(self, audio, video, labels):
        a, v = self.modalities(*self.embed(audio, video))
        logits = self.mlp_head(self.joint(torch.cat([self.patches(a), self.patches(v)], dim=1), "").mean(1))
        return functional.binary_cross_entropy_with_logits(logits.float(), labels)


class Work:
    """What one step does."""

    def __init__(self, options):
        c, mask_ratios = sizes_and_masks(options.config) if options.config else (dict(FULL_SIZE), (0.75, 0.75))
        self.options = options
        Attention.sdpa = options.sdpa
        self.device = torch.device(options.device)
        self.model = Classifier(c, options.classes) if options.mode == "finetune" else CavMae(c, mask_ratios)
        self.audio = torch.randn(options.batch, input_frames(c), c["num_mel_bins"])
        self.video = torch.randn(options.batch, 3, c["image_size"], c["image_size"])
        self.labels = (torch.rand(options.batch, options.classes) < 0.01).float()
        self.model, self.audio, self.video, self.labels = (
            x.to(self.device) for x in (self.model, self.audio, self.video, self.labels))
        self.forward = self.model.features if options.mode == "embed" else self.model
        if options.compile:
            self.forward = torch.compile(self.forward)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=1e-5, weight_decay=5e-7, betas=(0.95, 0.999),
                                          **({"fused": True} if options.fused_adam else {}))

    def step(self):
        autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.options.dtype == "bf16")
        if self.options.mode == "embed":
            with torch.no_grad(), autocast:
                self.forward(self.audio, self.video)
            return
        self.optimizer.zero_grad(set_to_none=True)
        with autocast:
            if self.options.mode == "finetune":
                loss = self.forward(self.audio, self.video, self.labels)
            else:
                loss = self.forward(self.audio, self.video)
        loss.backward()
        self.optimizer.step()

    def timed_step(self):
        """Seconds that went by, and seconds of computing on all cores together."""
        self.wait()
        wall, busy = time.perf_counter(), time.process_time()
        self.step()
        self.wait()
        return time.perf_counter() - wall, time.process_time() - busy


    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def peak_memory_bytes(device):
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free  # as cavmae bench tells it: what all hold, and PyTorch keeps what its tensors took
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def say(**values):
    print(json.dumps(values), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("pretrain", "embed", "finetune"), default="pretrain")
    parser.add_argument("--precision", "--dtype", dest="dtype", choices=("fp32", "bf16"), default="fp32", help="bf16: torch.autocast")
    parser.add_argument("--batch-size", "--batch", dest="batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed")
    parser.add_argument("--classes", type=int, default=527)
    parser.add_argument("--config", help="a configuration of cavmae in JSON; its \"model\" gives the sizes (full size)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--sdpa", action="store_true", help="scaled_dot_product_attention, of PyTorch 2")
    parser.add_argument("--fused-adam", action="store_true", help="torch.optim.Adam(fused=True)")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network, of PyTorch 2")
    parser.add_argument("--warm-up", type=int, default=1, help="steps before those that are timed")
    parser.add_argument("--follow", action="store_true", help="take a step for each line of standard input")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    work = Work(options)
    for _ in range(options.warm_up):
        work.timed_step()  # pages, threads, the optimizer's state, compilation
    if options.follow:
        say(ready=True)
        for _ in sys.stdin:
            seconds, cpu_seconds = work.timed_step()
            say(seconds=seconds, cpu_seconds=cpu_seconds)
        say(peak_memory_bytes=peak_memory_bytes(work.device))
        return
    seconds = statistics.median(work.timed_step()[0] for _ in range(options.steps))
    say(mode=options.mode, dtype=options.dtype, batch=options.batch, threads=options.threads,
        device=options.device, sdpa=options.sdpa, fused_adam=options.fused_adam, compiled=options.compile,
        torch=torch.__version__, step_seconds=seconds,
        samples_per_second=options.batch / seconds, peak_memory_bytes=peak_memory_bytes(work.device))


if __name__ == "__main__":
    main()
