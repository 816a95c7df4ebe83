#!/usr/bin/env python3
"""The peer of data_benchmark: one training sample from a .wav and a .jpg by torchaudio, Pillow and torchvision.

Fbank as CAV-MAE's authors call it, padded to 1024 frames, normalised, uniform noise, a roll in time; the picture
resized to 224 by bicubic interpolation, cropped, normalised. One thread. Usage: peer_data.py FOLDER SECONDS, where
FOLDER holds N.wav and N.jpg. Prints one JSON object with samples a second and, with --stages, each stage's time; all in the
process's own processor time, which a busy neighbour does not lengthen.
"""
import json
import pathlib
import random
import sys
import time

import numpy
import torch
import torchaudio
import torchvision.transforms as transforms
from PIL import Image

SOUND_MEAN, SOUND_STD, FRAMES = -5.081, 4.4849, 1024
RESIZE = transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC)
CROP = transforms.CenterCrop(224)
TO_TENSOR = transforms.ToTensor()
NORMALIZE = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def read_wav(path):
    waveform, rate = torchaudio.load(path)
    return waveform[:1], rate


def fbank(waveform, rate):
    return torchaudio.compliance.kaldi.fbank(
        waveform - waveform.mean(), htk_compat=True, sample_frequency=rate, use_energy=False,
        window_type="hanning", num_mel_bins=128, dither=0.0, frame_shift=10)


def augment(features):
    missing = FRAMES - features.shape[0]
    if missing > 0:
        features = torch.nn.functional.pad(features, (0, 0, 0, missing))
    features = (features[:FRAMES] - SOUND_MEAN) / SOUND_STD
    features = features + torch.rand(features.shape) * (numpy.random.rand() / 10)
    return torch.roll(features, random.randint(-FRAMES, FRAMES - 1), 0)


def read_jpeg(path):
    with Image.open(path) as image:
        return image.convert("RGB")


def resize(image):
    return RESIZE(image)


def crop_and_normalize(image):
    return NORMALIZE(TO_TENSOR(CROP(image)))


def read_sample(wav, jpg):
    sound = augment(fbank(*read_wav(wav)))
    return sound, crop_and_normalize(resize(read_jpeg(jpg)))


def seconds_each(items, work, seconds):
    for item in items:
        work(item)
    count, start = 0, time.process_time()
    while True:
        for item in items:
            work(item)
        count += len(items)
        elapsed = time.process_time() - start
        if elapsed >= seconds:
            return elapsed / count


def stages(pairs, seconds):
    sounds = [read_wav(wav) for wav, _ in pairs]
    features = [fbank(*sound) for sound in sounds]
    images = [read_jpeg(jpg) for _, jpg in pairs]
    resized = [resize(image) for image in images]
    work = {
        "read_wav": ([wav for wav, _ in pairs], read_wav),
        "fbank": (sounds, lambda sound: fbank(*sound)),
        "augment": (features, augment),
        "jpeg": ([jpg for _, jpg in pairs], read_jpeg),
        "resize": (images, resize),
        "crop_and_normalize": (resized, crop_and_normalize),
    }
    return {name: 1000 * seconds_each(items, f, seconds) for name, (items, f) in work.items()}


def main():
    folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    pairs = [(str(wav), str(wav.with_suffix(".jpg"))) for wav in sorted(folder.glob("*.wav"))]
    if not pairs:
        sys.exit(f"peer_data.py: {folder} holds no .wav")
    each = seconds_each(pairs, lambda pair: read_sample(*pair), seconds)
    report = {"samples_per_second": 1 / each, "ms_per_sample": 1000 * each}
    if "--stages" in sys.argv:
        report["stages_ms"] = stages(pairs, seconds / 4)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
