#!/usr/bin/env python3
"""What it takes ranks to come to their first step, of a short list and of a long one.

  benchmarks/rank_startup.py [--clips 200000] [--ranks 1 2 4] [--program build/release/cavmae]

Every rank reads the whole list. The ranks are processes of this machine that compete for its cores, so that the seconds of
processor time are what tells whether a rank's own start grows with their number; seconds on the clock are printed beside.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = {"epochs": 100000, "log_interval_steps": 1,
        "model": {"num_fbank_frames": 96, "num_mel_bins": 32, "image_size": 64, "embed_dim": 64, "num_heads": 2, "modality_depth": 1,
                  "decoder_depth": 1, "decoder_embed_dim": 32, "decoder_num_heads": 2},
        "data": {"window_seconds": 1.0}, "loader": {"num_workers": 1, "batch_size": 2}}
LIMIT = 600  # seconds that a start may take


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/cavmae"))
    parser.add_argument("--clips", type=int, default=200000, help="entries of the long list [200000]")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3, help="starts of each, of which the quickest counts [3]")
    return parser.parse_args()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def start(options, work, data, ranks):
    """Seconds until rank 0 has logged a step: on the clock, of the processor (the most of a rank); and a rank's memory."""
    out = work / f"run-{time.monotonic_ns()}"
    url = f"tcp://127.0.0.1:{free_port()}"
    begin = time.monotonic()
    processes = []
    for rank in range(ranks):
        own = ["--dist-rank", str(rank), "--dist-size", str(ranks), "--dist-url", url] if ranks > 1 else []
        processes.append(subprocess.Popen([options.program, "pretrain", "--config", str(work / "tiny.json"), "--data", str(data), "--out",
                                           str(out), "--threads", "1", "--no-report", "--quiet", *own], stderr=subprocess.DEVNULL))
    try:
        metrics = out / "metrics.jsonl"
        while not metrics.exists() or '"train"' not in metrics.read_text():
            if time.monotonic() - begin > LIMIT or any(process.poll() is not None for process in processes):
                sys.exit("rank_startup: a rank has ended, or takes too long")
            time.sleep(0.01)
        return time.monotonic() - begin, max(map(cpu_seconds, processes)), max(map(peak_megabytes, processes))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "tiny.json").write_text(json.dumps(TINY))
        subprocess.run([options.program, "--quiet", "synth", "--out", str(work / "clips"), "--clips", "20", "--seconds", "1"], check=True,
                       stdout=subprocess.DEVNULL)
        files = sorted((work / "clips/clips").iterdir())
        print(f"{'clips':>8} {'ranks':>6} {'clock, s':>9} {'processor, s':>13} {'memory, MB':>11}")
        for clips in (len(files), options.clips):
            data = work / f"{clips}.jsonl"
            with open(data, "w", encoding="utf-8") as list_file:
                for number in range(clips):
                    print(json.dumps({"id": f"clip {number}", "path": str(files[number % len(files)])}), file=list_file)
            for ranks in options.ranks:
                starts = [start(options, work, data, ranks) for _ in range(options.rounds)]
                print(f"{clips:8} {ranks:6} {min(s[0] for s in starts):9.2f} {min(s[1] for s in starts):13.2f} {max(s[2] for s in starts):11.0f}",
                      flush=True)


if __name__ == "__main__":
    main()
