#!/usr/bin/env python3
"""How far embeddings in bf16 are from those in fp32, and how much faster they come.

  benchmarks/precision.py --checkpoint RUN [--check] [--data CLIPS | --clips 2000] [--cavmae build/release/cavmae] [--folder DIR]

Embeds the clips (--data, or as many generated ones) with --precision fp32 and bf16 from one cache, and prints a JSON object:
of audio and video the smallest and the mean cosine between a clip's two vectors, the mean vector of each set taken off, and the way
between these means over a clip's median distance from its mean (shift); R@1 of both
precisions in both directions; the share of a query's first ten answers that both precisions agree on; and the seconds of either
pass. Takes Debian's python3-numpy.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np


def read_vectors(path):
    """{"audio": float32 [N, D], "video": ...} of a file of 'cavmae embed'."""
    with open(path, "rb") as file:
        header_bytes, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_bytes))
        data = file.read()
    out = {}
    for side in ("audio", "video"):
        begin, end = header[side]["data_offsets"]
        out[side] = np.frombuffer(data[begin:end], "<f4").reshape(header[side]["shape"])
    return out


def normalized(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def first_answers(queries, answers, count=10):
    """The best `count` rows of `answers` for each query, best first."""
    return np.argsort(-(normalized(queries) @ normalized(answers).T), axis=1, kind="stable")[:, :count]


def agreement(a, b):
    return float(np.mean([len(set(x) & set(y)) / len(x) for x, y in zip(a, b)]))


def compare(fp32, bf16):
    out = {}
    for side in ("audio", "video"):
        means = fp32[side].mean(axis=0), bf16[side].mean(axis=0)
        distances = np.linalg.norm(fp32[side] - means[0], axis=1)
        cosines = (normalized(fp32[side] - means[0]) * normalized(bf16[side] - means[1])).sum(axis=1)
        # How far bf16 moves all clips alike, which matters to who compares vectors of both.
        out[f"{side}_shift"] = float(np.linalg.norm(means[1] - means[0]) / np.median(distances))
        out[f"{side}_cosine_min"], out[f"{side}_cosine_mean"] = float(cosines.min()), float(cosines.mean())
    for query, answer in (("audio", "video"), ("video", "audio")):
        name = f"{query}_to_{answer}"
        lists = [first_answers(vectors[query], vectors[answer]) for vectors in (fp32, bf16)]
        own = np.arange(len(fp32[query]))
        out[f"{name}_r1_fp32"], out[f"{name}_r1_bf16"] = (float(np.mean(best[:, 0] == own)) for best in lists)
        out[f"{name}_top10_overlap"] = agreement(*lists)
    return out


LEAST_COSINE, MOST_R1_CHANGE, LEAST_OVERLAP = 0.999, 0.005, 0.98


def failures(result):
    """What is worse than the limits, in words."""
    found = [f"{key} is {result[key]:.5f}, less than {LEAST_COSINE}" for key in ("audio_cosine_min", "video_cosine_min")
             if not result[key] >= LEAST_COSINE]
    for name in ("audio_to_video", "video_to_audio"):
        change = abs(result[f"{name}_r1_bf16"] - result[f"{name}_r1_fp32"])
        if not change <= MOST_R1_CHANGE:
            found.append(f"{name}: R@1 moves by {100 * change:.2f} points, more than {100 * MOST_R1_CHANGE}")
        if not result[f"{name}_top10_overlap"] >= LEAST_OVERLAP:
            found.append(f"{name}: first ten answers agree to {result[f'{name}_top10_overlap']:.4f}, less than {LEAST_OVERLAP}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--cavmae", default="build/release/cavmae")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a cosine is below 0.999, R@1 moves by more "
                        "than 0.5 points or fewer than 98 %% of the first ten answers agree")
    parser.add_argument("--folder", help="where clips, cache and vectors are kept [a temporary one]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data = args.data or str(folder / "clips")
        if not args.data and not (folder / "clips").exists():
            subprocess.run([args.cavmae, "synth", "--out", data, "--clips", str(args.clips), "--seed", "77"], check=True)

        def embed(precision, out):
            begin = time.monotonic()
            subprocess.run([args.cavmae, "embed", "--quiet", "--checkpoint", args.checkpoint, "--data", data, "--cache",
                            str(folder / "cache"), "--precision", precision, "--out", str(out)], check=True)
            return time.monotonic() - begin

        embed("bf16", folder / "warm.safetensors")  # fills the cache
        result = {"clips": 0}
        for precision in ("fp32", "bf16"):
            result[f"seconds_{precision}"] = round(embed(precision, folder / f"{precision}.safetensors"), 2)
        vectors = [read_vectors(folder / f"{precision}.safetensors") for precision in ("fp32", "bf16")]
        result["clips"] = len(vectors[0]["audio"])
        result.update(compare(*vectors))
    print(json.dumps(result, indent=2))
    found = failures(result) if args.check else []
    if found:
        sys.exit("precision: " + "; ".join(found))


if __name__ == "__main__":
    main()
