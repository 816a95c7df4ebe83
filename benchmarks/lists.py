#!/usr/bin/env python3
"""Time and memory of reading lists of clips, as 'cavmae info' and 'cavmae weights' read them.

  benchmarks/lists.py [--cavmae build/release/cavmae] [--clips 2000000] [--folder DIR]

Writes a manifest (.jsonl), a table (.csv) and the authors' JSON with as many clips, each with an id of 18 letters, a path
and two labels of 527 (one file exists), and prints a JSON object a list and command: seconds and peak_memory_bytes, as
/usr/bin/time -v tells them.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time


def clip(i):
    """id, path below the list's folder, and labels of clip i."""
    name = f"{i * 2654435761 % (1 << 40):011x}_{i % 600:06d}"
    return name, f"part_{i % 64:02d}/{name}.mp4", [f"/m/{i % 527:06x}", f"/m/{(i * 7 + 3) % 527:06x}"]


def write_lists(folder, clips):
    lists = {kind: folder / f"clips.{kind}" for kind in ("jsonl", "csv", "json")}
    with open(lists["jsonl"], "w") as jsonl, open(lists["csv"], "w") as csv, open(lists["json"], "w") as authors:
        csv.write("path,id,labels\n")
        authors.write('{"data": [\n')
        for i in range(clips):
            name, path, labels = clip(i)
            jsonl.write(json.dumps({"path": path, "id": name, "labels": labels}) + "\n")
            csv.write(f'{path},{name},"{",".join(labels)}"\n')
            entry = {"wav": f"sounds/{name}.flac", "video_id": name, "video_path": "frames", "labels": ",".join(labels)}
            authors.write(json.dumps(entry) + (",\n" if i + 1 < clips else "\n"))
        authors.write("]}\n")
    for path in (clip(0)[1], f"sounds/{clip(0)[0]}.flac"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    return lists


def measure(arguments):
    begin = time.monotonic()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}: failed\n{errors}")
    return {"seconds": round(time.monotonic() - begin, 2), "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "peak_memory_bytes": usage.ru_maxrss * 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cavmae", type=pathlib.Path, default=pathlib.Path("build/release/cavmae"))
    parser.add_argument("--clips", type=int, default=2_000_000)
    parser.add_argument("--folder", type=pathlib.Path, help="where the lists are made [a temporary folder]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = pathlib.Path(folder)
        for kind, path in write_lists(folder, arguments.clips).items():
            for command in (["info", path], ["weights", "--data", path, "--out", folder / "weights.csv"]):
                result = measure([arguments.cavmae, *command])
                print(json.dumps({"list": kind, "bytes": path.stat().st_size, "clips": arguments.clips,
                                  "command": command[0], **result}), flush=True)


if __name__ == "__main__":
    main()
