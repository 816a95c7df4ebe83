#!/usr/bin/python3
"""How many moments a second 'cavmae index' makes of a film, beside what network and decoding allow.

  benchmarks/index_rate.py [--seconds 300] [--rounds 3] [--folder DIR] [--program build/release/cavmae] [--json FILE]

Indexes a generated film (640x360, H.264 and AAC) with a full-size network, a library anew each time, and a film of one
moment, whose time is the start-up that is taken off. The bound: a moment needs half a window's decoding and its sound and
half a window's pictures in the network, since moments overlap by half; what both take of the cores, over the cores.
Takes the Debian packages that embed_files.sh installs, and data_benchmark of the preset release.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

from embed_files import ROOT, json_of, make_model, processor, timed


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="length of the film [300]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds whose median counts [3]")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build/embed_files", help="keeps films and model")
    parser.add_argument("--program", default=str(ROOT / "build/release/cavmae"))
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    return parser.parse_args()


def make_film(folder, seconds):
    film = folder / f"film-{seconds}.mp4"
    if not film.exists():
        beside = film.with_suffix(".part.mp4")
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i",
             "anoisesrc=amplitude=0.2:color=pink:sample_rate=44100:seed=1", "-vf", "noise=alls=5:allf=t:all_seed=1", "-pix_fmt",
             "yuv420p", "-ac", "2", "-t", str(seconds), "-c:v", "libx264", "-c:a", "aac", "-y", str(beside)], check=True)
        beside.rename(film)
    return film


def index(options, film, model):
    """Seconds that it took, and how many moments there are."""
    library = options.folder / "library"
    shutil.rmtree(library, ignore_errors=True)
    seconds = timed([options.program, "index", str(library), "--quiet", "--data", str(film), "--checkpoint", str(model)])
    moments = json_of([options.program, "info", str(library), "--json", "-"])["moments"]
    shutil.rmtree(library)
    return seconds, moments


def bound(options, film, model):
    """Seconds of all cores that a moment takes at least."""
    listed = options.folder / "film.txt"
    listed.write_text(f"{film}\n")
    precision = json_of([options.program, "embed", "--quiet", "--checkpoint", str(model), "--out",
                         str(options.folder / "one.safetensors"), "--json", "-", str(film)])["precision"]
    decoding = json_of([str(pathlib.Path(options.program).parent / "bin/data_benchmark"), "all", str(listed)])["ms_per_sample"] / 1000
    network = json_of([options.program, "bench", "--mode", "embed", "--precision", precision, "--num-frames", "5", "--batch-size", "8",
                       "--json", "-"])
    return {"decoding_ms": 500 * decoding, "network_ms": 1000 / network["samples_per_second"] * network["threads"],
            "seconds": 1 / network["samples_per_second"] + decoding / 2 / network["threads"]}


def main():
    options = parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    _, model = make_model(options.folder, options.program)
    film, short = make_film(options.folder, options.seconds), make_film(options.folder, 10)
    index(options, short, model)
    rounds = [(index(options, short, model), index(options, film, model)) for _ in range(options.rounds)]
    a_moment = statistics.median((whole[0] - start[0]) / (whole[1] - start[1]) for start, whole in rounds)
    limit = bound(options, short, model)
    report = {"processor": processor(), "rounds": rounds, "moments_per_second": 1 / a_moment, "bound": limit,
              "share": limit["seconds"] / a_moment}
    print(f"{processor()}: {1 / a_moment:.2f} moments/s, {100 * report['share']:.0f} % of what network ({limit['network_ms']:.0f} ms of a "
          f"core a moment) and decoding ({limit['decoding_ms']:.0f} ms) allow; median of {options.rounds} rounds")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
