#!/usr/bin/env python3
"""The peer of 'cavmae embed': files to vectors with ffmpeg, torchaudio, Pillow, torchvision and plain PyTorch.

  peer_embed.py --checkpoint model.pth --out vectors.npz FILE ...       --all-frames: ten pictures a clip instead of the middle one
  peer_embed.py --make-checkpoint model.pth                             a full-size model with random parameters, to have one

Processes read clips ahead (--workers), each with two ffmpeg pipes: the sound as 16 kHz floats, of which torchaudio makes a
filterbank, and the pictures, which Pillow resizes and torchvision normalises. The network takes them in batches (--batch-size) in
bf16 autocast (--precision), its sound's half once a clip. Prints one JSON object with the seconds from the first line of
this program to the file closed, and those that the network took.
"""
import time

BEGIN = time.perf_counter()

import argparse
import json
import multiprocessing
import subprocess

import numpy
import torch
from PIL import Image

from peer_data import FRAMES, RESIZE, SOUND_MEAN, SOUND_STD, crop_and_normalize, fbank
from peer_train import FULL_SIZE, CavMae

RATE, SECONDS, PICTURES = 16000, 10, 10


def pipe(*arguments):
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *map(str, arguments), "pipe:1"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def read_sound(path):
    samples = pipe("-t", SECONDS, "-i", path, "-vn", "-af", "pan=mono|c0=c0", "-ar", RATE, "-f", "f32le")
    features = fbank(torch.from_numpy(numpy.frombuffer(samples, "<f4").copy())[None], RATE)[:FRAMES]
    features = torch.nn.functional.pad(features, (0, 0, 0, FRAMES - features.shape[0]))
    return (features - SOUND_MEAN) / SOUND_STD


def read_pictures(path, size, times):
    """One decoding from front to back for several pictures, one seek for one."""
    width, height = size
    if len(times) == 1:
        raw = pipe("-ss", times[0], "-i", path, "-an", "-frames:v", 1, "-pix_fmt", "rgb24", "-f", "rawvideo")
    else:
        chosen = "+".join(f"between(t,{t},{t + 0.0399})" for t in times)
        raw = pipe("-i", path, "-an", "-vf", f"select='{chosen}'", "-vsync", "0", "-pix_fmt", "rgb24", "-f", "rawvideo")
    frames = numpy.frombuffer(raw, numpy.uint8).reshape(-1, height, width, 3)
    return torch.stack([crop_and_normalize(RESIZE(Image.fromarray(frame))) for frame in frames[:len(times)]])


def picture_size(path):
    found = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0",
                            path], stdout=subprocess.PIPE, check=True, text=True).stdout
    return tuple(int(number) for number in found.strip().split(","))


def read_clip(job):
    path, all_frames = job
    torch.set_num_threads(1)
    step = SECONDS / PICTURES
    times = [step * i for i in range(PICTURES)] if all_frames else [step * (PICTURES // 2)]
    return read_sound(path), read_pictures(path, picture_size(path), times)


def features(model, audio, video):
    """audio: float [B, T, F]; video: float [B, K, 3, H, W] -> float [B, D] of each, the pictures' mean"""
    clips, pictures = video.shape[:2]
    a, v = model.modalities(*model.embed(audio, video.flatten(0, 1)))
    a, v = model.joint(a, "_a").mean(1), model.joint(v, "_v").mean(1)
    return a.float(), v.float().view(clips, pictures, -1).mean(1)


def embed(options):
    model = CavMae(FULL_SIZE)
    model.load_state_dict(torch.load(options.checkpoint, map_location="cpu"))
    model.eval()
    torch.set_num_threads(options.threads)
    jobs = [(path, options.all_frames) for path in options.files]
    audios, videos, network_seconds = [], [], 0.0
    with multiprocessing.get_context("fork").Pool(options.workers) as pool, torch.inference_mode(), \
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
        clips = pool.imap(read_clip, jobs)
        for first in range(0, len(jobs), options.batch_size):
            batch = [next(clips) for _ in jobs[first:first + options.batch_size]]
            begin = time.perf_counter()
            audio, video = features(model, torch.stack([a for a, _ in batch]), torch.stack([v for _, v in batch]))
            network_seconds += time.perf_counter() - begin
            audios.append(audio)
            videos.append(video)
    numpy.savez(options.out, audio=torch.cat(audios).numpy(), video=torch.cat(videos).numpy())
    print(json.dumps({"clips": len(jobs), "seconds": time.perf_counter() - BEGIN, "network_seconds": network_seconds}))


def make_checkpoint(path):
    torch.manual_seed(1)
    torch.save(CavMae(FULL_SIZE).state_dict(), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--make-checkpoint", metavar="FILE")
    parser.add_argument("--checkpoint", metavar="FILE")
    parser.add_argument("--out", metavar="FILE")
    parser.add_argument("--all-frames", action="store_true")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.make_checkpoint:
        make_checkpoint(options.make_checkpoint)
    elif options.files and options.checkpoint and options.out:
        embed(options)
    else:
        parser.error("give files, --checkpoint and --out, or --make-checkpoint")


if __name__ == "__main__":
    main()
