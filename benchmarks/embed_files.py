"""Takes turns between 'cavmae embed' and peer_embed.py and prints a table; embed_files.sh calls it."""
import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER = [sys.executable, str(ROOT / "benchmarks/peer_embed.py")]
TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "67108864",
         "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "GOMP_SPINCOUNT": "3000"}  # as compare.py
# What the vectors of fp32 and of bf16, and of two decoders, may differ in: of noisy pictures ffmpeg's default conversion to RGB,
# which interpolates colours and rounds its own way, leaves 0.96 to 0.98; beside the next clip's vectors it is 0.55 and less.
LEAST_COSINE = 0.9
# What is to be reached, of the bound and beside the peer.
SHARE_AIM, RATIO_AIM = 0.85, 2.5


def parse():
    parser = argparse.ArgumentParser(prog="embed_files.sh", description=__doc__)
    parser.add_argument("--clips", type=int, default=24, help="clips of 10 s [24]")
    parser.add_argument("--rounds", type=int, default=5, help="rounds whose median counts [5]")
    parser.add_argument("--latency-rounds", type=int, default=10, help="rounds with one file [10]")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/embed_files", help="keeps clips and model")
    parser.add_argument("--program", default=str(ROOT / "build/release/cavmae"))
    parser.add_argument("--other", metavar="PROGRAM", help="an older cavmae, which takes its turns too")
    parser.add_argument("--workers", type=int, help="the peer's processes that read clips [the best of 1, 2, 3 and 4]")
    parser.add_argument("--no-peer", action="store_true", help="cavmae alone")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    return parser.parse_args()


def make_clips(folder, count):
    clips = []
    for i in range(count):
        clips.append(folder / f"{i:03}.mp4")
        if clips[-1].exists():
            continue
        beside = clips[-1].with_suffix(".part.mp4")
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i",
             f"anoisesrc=amplitude=0.2:color=pink:sample_rate=44100:seed={i}", "-vf", f"hue=h={15 * i},noise=alls=5:allf=t:all_seed={i}",
             "-pix_fmt", "yuv420p", "-ac", "2", "-t", "10", "-c:v", "libx264", "-c:a", "aac", "-y", str(beside)], check=True)
        beside.rename(clips[-1])
    return [str(clip) for clip in clips]


def make_model(folder, program):
    theirs, ours = folder / "peer.pth", folder / "model.safetensors"
    if not theirs.exists():
        beside = folder / "part.pth"
        subprocess.run([*PEER, "--make-checkpoint", str(beside)], check=True)
        beside.rename(theirs)
    if not ours.exists():
        subprocess.run([program, "--quiet", "convert", str(theirs), str(ours)], check=True)
    return theirs, ours


def timed(command, out, environment=None):
    """Seconds from the command to the file `out` closed and in its place; what a program does until it has ended is not counted."""
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS")}
    begin = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**clean, **(environment or {})})
    if done.returncode != 0:
        sys.exit(f"embed_files: {' '.join(command[:3])} ... ended with {done.returncode}: {done.stderr.strip()}")
    return out.stat().st_ctime - begin


def json_of(command):
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


class Ours:
    def __init__(self, name, program, model, folder, threads):
        self.name, self.program, self.model, self.out, self.threads = name, program, model, folder / f"{name}.safetensors", threads

    def embed(self, clips, pictures):
        return timed([self.program, "embed", "--quiet", "--checkpoint", str(self.model), "--out", str(self.out), "--frames",
                      "all" if pictures > 1 else "middle", "--threads", str(self.threads), *clips], self.out)

    def vectors(self):
        with open(self.out, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            data = file.read()
        return {side: numpy.frombuffer(data[slice(*header[side]["data_offsets"])], "<f4").reshape(header[side]["shape"])
                for side in ("audio", "video")}


class Peer:
    name = "peer"

    def __init__(self, model, folder, threads):
        self.model, self.out, self.threads, self.workers = model, folder / "peer.npz", threads, 2

    def embed(self, clips, pictures):
        return timed([*PEER, "--checkpoint", str(self.model), "--out", str(self.out), "--threads", str(self.threads), "--workers",
                      str(self.workers), *(["--all-frames"] if pictures > 1 else []), *clips], self.out, TUNED)

    def vectors(self):
        with numpy.load(self.out) as found:
            return {side: found[side] for side in ("audio", "video")}

    def tune(self, clips):
        seconds = {}
        for self.workers in (1, 2, 3, 4):
            seconds[self.workers] = self.embed(clips, 1)
        self.workers = min(seconds, key=seconds.get)
        print("peer, seconds by processes that read: " + ", ".join(f"{w}: {s:.2f}" for w, s in seconds.items()), file=sys.stderr)


def cosines(ours, theirs):
    """The smallest cosine between a clip's two vectors, of each side; of several clips, the mean of ours taken off."""
    found = {}
    for side in ours:
        centre = ours[side].mean(0) if len(ours[side]) > 1 else 0
        a, b = ours[side] - centre, theirs[side] - centre
        found[side] = float(((a * b).sum(1) / (numpy.linalg.norm(a, axis=1) * numpy.linalg.norm(b, axis=1))).min())
    return found


def bound(options, clips, pictures, threads):
    """Seconds that network and decoding take at least: what both take of the cores, over the cores."""
    listed = options.folder / "clips.txt"
    listed.write_text("".join(f"{clip}\n" for clip in clips[:4]))
    decoding = json_of([str(pathlib.Path(options.program).parent / "bin/data_benchmark"), "all" if pictures > 1 else "middle",
                        str(listed)])["ms_per_sample"] / 1000
    network = json_of([options.program, "bench", "--mode", "embed", "--precision", json_of(
        [options.program, "embed", "--quiet", "--checkpoint", str(options.folder / "model.safetensors"), "--out",
         str(options.folder / "one.safetensors"), "--json", "-", clips[0]])["precision"], "--num-frames", str(pictures), "--batch-size",
        "8", "--threads", str(threads), "--json", "-"])
    a_clip = 1 / network["samples_per_second"]
    return {"decoding_ms": 1000 * decoding, "network_ms": 1000 * a_clip * threads,
            "seconds": len(clips) * (a_clip + decoding / threads)}


def processor():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        found = dict(line.split(":", 1) for line in file.read().replace("\t", "").splitlines() if ":" in line)
    return f"{found['model name'].strip()}, family {found['cpu family'].strip()}, model {found['model'].strip()}"


def main():
    options = parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    threads = min(2, len(os.sched_getaffinity(0)))
    clips = make_clips(options.folder, options.clips)
    theirs, ours = make_model(options.folder, options.program)
    sides = [Ours("cavmae", options.program, ours, options.folder, threads)]
    if options.other:
        sides.append(Ours("other", options.other, ours, options.folder, threads))
    if not options.no_peer:
        peer = Peer(theirs, options.folder, threads)
        if options.workers:
            peer.workers = options.workers
        else:
            peer.tune(clips)
        sides.append(peer)
    report = {"processor": processor(), "threads": threads, "clips": len(clips), "rounds": options.rounds}
    print(f"{processor()}, {threads} threads, {len(clips)} clips, medians of {options.rounds} rounds ({options.latency_rounds} for one file)")
    print(f"{'':28}" + "".join(f"{side.name:>10}" for side in sides) + "   ratios   of the bound")
    startup, wrong = {}, []
    for name, some, pictures, rounds in (("one file, one picture", clips[:1], 1, options.latency_rounds),
                                         (f"{len(clips)} files, one picture", clips, 1, options.rounds),
                                         (f"{len(clips)} files, ten pictures", clips, 10, options.rounds)):
        seconds = {side.name: [] for side in sides}
        for side in sides:
            side.embed(some, pictures)  # files into memory
        for _ in range(rounds):
            for side in sides:
                seconds[side.name].append(side.embed(some, pictures))
        medians = {side: statistics.median(s) for side, s in seconds.items()}
        ratios = {side.name: statistics.median(b / a for a, b in zip(seconds["cavmae"], seconds[side.name])) for side in sides[1:]}
        entry = {"seconds": seconds, "medians": medians, "ratios": ratios,
                 "cosines": {side.name: cosines(sides[0].vectors(), side.vectors()) for side in sides[1:]}}
        line = f"{name:28}" + "".join(f"{medians[side.name]:9.2f}s" for side in sides)
        line += "   " + " ".join(f"{ratio:.2f}" for ratio in ratios.values())
        if len(some) == 1:
            startup = medians
        else:
            entry["bound"] = limit = bound(options, some, pictures, threads)
            entry["share"] = (limit["seconds"] - limit["seconds"] / len(some)) / (medians["cavmae"] - startup["cavmae"])
            line += f"   {100 * entry['share']:.0f} % (aim {100 * SHARE_AIM:.0f}; network {limit['network_ms']:.0f} ms, decoding {limit['decoding_ms']:.0f} ms of a core a clip)"
            if "peer" in ratios:
                line += f"; {ratios['peer']:.2f} times the peer's speed (aim {RATIO_AIM})"
        print(line, flush=True)
        report[name] = entry
        for side, found in entry["cosines"].items():
            if min(found.values()) < LEAST_COSINE:
                wrong.append(f"{name}: the vectors of {side} are others: cosines {found}")
    report["wrong"] = wrong
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if wrong:
        sys.exit("embed_files: " + "; ".join(wrong))


if __name__ == "__main__":
    main()
