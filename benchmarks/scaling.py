"""Measures a pretraining step at growing sizes with `cavmae bench` and draws time and memory; scaling.sh calls it."""
import argparse
import contextlib
import fcntl
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.path.join(ROOT, "build/release/cavmae")
FRAMES_PER_SECOND = 102.4  # 1,024 filterbank frames are the 10 s of the paper


def parse():
    parser = argparse.ArgumentParser(prog="scaling.sh", description=__doc__)
    numbers = lambda text: [float(x) for x in text.split(",")]
    parser.add_argument("--config", default="cav-mae", help="configuration of cavmae, by name or file [cav-mae]")
    parser.add_argument("--precision", "--dtype", dest="dtype", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--batches", type=numbers, default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=numbers, default=[2.5, 5, 10, 20], help="lengths of a clip")
    parser.add_argument("--image-sizes", type=numbers, default=[112, 160, 224, 304, 384])
    parser.add_argument("--batch-size", "--batch", dest="batch", type=int, default=4, help="of the clips whose length or picture grows [4]")
    parser.add_argument("--steps", type=int, default=3, help="steps whose median counts")
    parser.add_argument("--threads", type=int, default=0, help="0: every usable core")
    parser.add_argument("--lock", metavar="FILE", help="hold a lock on FILE while measuring, to take turns with others")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "docs/scaling.json"))
    parser.add_argument("--plot", metavar="FILE", default=os.path.join(ROOT, "docs/scaling.svg"))
    parser.add_argument("--plot-only", action="store_true", help="draw what --json holds")
    return parser.parse_args()


@contextlib.contextmanager
def turn(lock):
    if not lock:
        yield
        return
    with open(lock, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def measure(options, value, batch, flags):
    command = [PROGRAM, "bench", "--quiet", "--config", options.config, "--precision", options.dtype, "--batch-size", str(batch),
               "--steps", str(options.steps), "--threads", str(options.threads), "--json", "-"] + flags
    with turn(options.lock):
        text = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    result = json.loads(text)
    point = {"value": value, "batch": batch, "step_seconds": result["step_seconds"],
             "gflop_per_sample": result["gflop_per_sample"], "peak_memory_bytes": result["peak_memory_bytes"]}
    print(f"{' '.join(flags) or f'--batch-size {batch}'}: {point['step_seconds']:.2f} s a step, "
          f"{point['peak_memory_bytes'] / 1e9:.2f} GB", file=sys.stderr, flush=True)
    return point, result


def frames(seconds, patch=16):
    return str(round(seconds * FRAMES_PER_SECOND / patch) * patch)


def measure_all(options):
    series = {"batch": [], "seconds": [], "image_size": []}
    result = None
    for n in options.batches:
        point, result = measure(options, n, int(n), [])
        series["batch"].append(point)
    for n in options.seconds:
        point, result = measure(options, n, options.batch, ["--num-fbank-frames", frames(n)])
        series["seconds"].append(point)
    for n in options.image_sizes:
        point, result = measure(options, n, options.batch, ["--image-size", str(int(n))])
        series["image_size"].append(point)
    return {"config": options.config, "dtype": options.dtype, "threads": result["threads"],
            "cpu": result["machine"]["cpu_model"], "steps": options.steps, "series": series}


def draw(data, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    matplotlib.rcParams["svg.hashsalt"] = "cavmae"
    import matplotlib.pyplot as plot

    panels = [("batch", "clips in a batch"), ("seconds", "length of a clip in seconds"),
              ("image_size", "side of the picture in pixels")]
    figure, axes = plot.subplots(2, 3, figsize=(11, 6), constrained_layout=True)
    for column, (name, label) in enumerate(panels):
        points = data["series"][name]
        x = [p["value"] for p in points]
        time, memory = axes[0][column], axes[1][column]
        time.plot(x, [p["step_seconds"] / p["batch"] for p in points], "o-", color="#1f5fa8", label="measured")
        middle = points[len(points) // 2]
        rate = middle["gflop_per_sample"] * middle["batch"] / middle["step_seconds"]
        time.plot(x, [p["gflop_per_sample"] / rate for p in points], "--", color="#999999",
                  label="as the arithmetic grows")
        memory.plot(x, [p["peak_memory_bytes"] / 1e9 for p in points], "o-", color="#b4532a")
        memory.set_xlabel(label)
        for axis in (time, memory):
            axis.set_ylim(bottom=0)
            axis.set_xticks(x)
            axis.set_xticklabels([f"{v:g}" for v in x])
            axis.grid(True, color="#e5e5e5")
        if name == "batch":
            for axis in (time, memory):
                axis.set_xscale("log", base=2)
                axis.set_xticks(x)
                axis.set_xticklabels([f"{v:g}" for v in x])
                axis.minorticks_off()
        else:
            memory.set_title(f"batch {points[0]['batch']}", fontsize=9, color="#555555")
    axes[0][0].set_ylabel("seconds a clip")
    axes[1][0].set_ylabel("peak memory in GB")
    axes[0][0].legend(frameon=False, fontsize=9)
    figure.suptitle(f"A pretraining step of {data['config']}, {data['dtype']}, {data['threads']} threads on {data['cpu']}",
                    fontsize=11)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main():
    options = parse()
    if not options.plot_only:
        if not os.path.exists(PROGRAM):
            sys.exit(f"scaling: no {PROGRAM}; build it first: cmake --preset release && cmake --build --preset release")
        data = measure_all(options)
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
    with open(options.json, encoding="utf-8") as file:
        draw(json.load(file), options.plot)
    print(f"drawn: {options.plot}")


if __name__ == "__main__":
    main()
