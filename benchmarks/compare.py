"""Takes turns between cavmae and plain PyTorch (peer_train.py) and prints a table; compare.sh calls it.

Both programs stay in memory, warmed up, and each takes a step when it is told to: A B A B. A round is one step of each,
and a ratio is the median of the rounds' ratios, so that what a neighbour takes from one round is taken from both sides.
"""
import argparse
import contextlib
import fcntl
import functools
import glob
import json
import os
import signal
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEER = [sys.executable, os.path.join(ROOT, "benchmarks/peer_train.py")]

# What is tuned for the peer: what cavmae sets for itself, so that the difference is the program.
TUNED = {
    "MALLOC_MMAP_MAX_": "0",                 # big tensors stay in the heap, whose pages are kept
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # huge pages
    "GOMP_SPINCOUNT": "3000",                # a thread that waits soon sleeps: a busy neighbour costs less
}
TUNING_IN_WORDS = ("OpenBLAS with OpenMP threads; malloc keeps freed memory (MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_, "
                   "MALLOC_TOP_PAD_) and asks for huge pages (glibc.malloc.hugetlb=1); GOMP_SPINCOUNT=3000; gradients set to none; bf16 by autocast")


class SideFailed(Exception):
    """A program ended or answered what it should not; the message says which."""


class Side:
    """A program that takes a step when it reads a line."""

    def __init__(self, name, command, environment):
        self.name = name
        clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS")}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**clean, **environment})
        self.seconds = []
        self.cpu_seconds = []
        try:
            self.ready = self._read("ready")
        except SideFailed:
            self.end()
            raise

    def _read(self, key):
        line = self.process.stdout.readline()
        if not line:
            raise SideFailed(f"{self.name} ended early; its command was {' '.join(self.process.args)}")
        answer = json.loads(line)
        if key not in answer:
            raise SideFailed(f"{self.name} answered {line.strip()}")
        return answer

    def step(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self._read("seconds")
        self.process.send_signal(signal.SIGSTOP)  # its threads may spin after their work
        self.seconds.append(answer["seconds"])
        self.cpu_seconds.append(answer["cpu_seconds"])

    def end(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        memory = self._read("peak_memory_bytes")["peak_memory_bytes"]
        self.process.wait()
        return memory


def parse():
    parser = argparse.ArgumentParser(prog="compare.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: text.split(",")
    parser.add_argument("--quick", action="store_true", help="a small model (configuration tiny)")
    parser.add_argument("--config", help="configuration of cavmae, by name or file [cav-mae]")
    parser.add_argument("--modes", type=words, default=["pretrain", "embed", "finetune"],
                        help="of pretrain, embed and finetune [all]")
    parser.add_argument("--precisions", "--dtypes", dest="dtypes", type=words, default=["fp32", "bf16"], help="of fp32, bf16 [both]")
    parser.add_argument("--threads", type=lambda t: [int(n) for n in t.split(",")], help="e.g. 1,2 [1 and every core, at most 2]")
    parser.add_argument("--batch-size", "--batch", dest="batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each side whose median counts, at least 5")
    parser.add_argument("--warm-up", type=int, default=3, help="steps of each side before those [3]")
    parser.add_argument("--no-shipped", action="store_true", help="leave out PyTorch as shipped")
    parser.add_argument("--no-pytorch", action="store_true", help="leave out PyTorch altogether")
    parser.add_argument("--other", metavar="PROGRAM", help="another build of cavmae, which takes turns with this one as well")
    parser.add_argument("--build", metavar="DIR", default=os.path.join(ROOT, "build/release"),
                        help="where cavmae and bin/peak_benchmark were built [build/release]")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--lock", metavar="FILE", help="hold a lock on FILE in each round, to take turns with other measurements")
    parser.add_argument("--shipped-blas", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.program = os.path.join(options.build, "cavmae")
    options.peak = os.path.join(options.build, "bin/peak_benchmark")
    options.config = options.config or ("tiny" if options.quick else "cav-mae")
    cores = sorted(os.sched_getaffinity(0))
    options.threads = options.threads or sorted({1, min(2, len(cores))})
    options.modes = ["embed" if mode == "features" else mode for mode in options.modes]  # as it was called
    known = {"modes": {"pretrain", "embed", "finetune"}, "dtypes": {"fp32", "bf16"}}
    for name, allowed in known.items():
        for word in getattr(options, name):
            if word not in allowed:
                parser.error(f"--{'precisions' if name == 'dtypes' else name}: '{word}' is none of {', '.join(sorted(allowed))}")
    if not 1 <= max(options.threads) <= len(cores) or min(options.threads) < 1:
        parser.error(f"--threads: from 1 to {len(cores)}, as many as there are cores")
    if options.rounds < 5:
        parser.error("--rounds: at least 5")
    if options.batch < 1:
        parser.error("--batch-size: at least 1")
    return options


@contextlib.contextmanager
def turn(lock):
    if not lock:
        yield
        return
    with open(lock, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    return fields.get("model name", "an unnamed processor"), fields.get("flags", "").split()


def model_file(options):
    """The configuration with every size spelled out, for the peer."""
    text = subprocess.run([options.program, "pretrain", "--config", options.config, "--print-config"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    path = os.path.join(options.build, "compare_config.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def pinned(threads):
    return ["taskset", "-c", ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:threads])]


def blas_folder(pattern):
    found = glob.glob(pattern)
    return os.path.dirname(found[0]) if found else None


@functools.cache
def knows_todays_words(program):
    """Whether a build calls its flags as this one; older ones say --batch, --dtype and features (c383ea1 and before)."""
    text = subprocess.run([program, "bench", "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout
    return "--batch-size" in text


def start_cavmae(options, mode, dtype, threads, name="cavmae", program=None):
    program = program or options.program
    if knows_todays_words(program):
        words = ["--mode", mode, "--precision", dtype, "--batch-size", str(options.batch)]
    else:
        words = ["--mode", "features" if mode == "embed" else mode, "--dtype", dtype, "--batch", str(options.batch)]
    return Side(name, pinned(threads) + [
        program, "bench", "--config", options.config, *words, "--threads", str(threads), "--follow"], {})


def start_peer(options, mode, dtype, threads, name, environment):
    return Side(name, pinned(threads) + PEER + [
        "--mode", mode, "--precision", dtype, "--batch-size", str(options.batch), "--threads", str(threads), "--config",
        options.model_file, "--follow"], environment)


def peers(options, mode, dtype):
    """Name, type and environment of each peer that can be measured."""
    if options.no_pytorch or (dtype == "bf16" and not options.has_bf16):
        return []
    tuned = dict(TUNED)
    openmp = blas_folder("/usr/lib/*/openblas-openmp/libblas.so.3")
    if openmp:
        tuned["LD_LIBRARY_PATH"] = openmp
    found = [("PyTorch, best tuned", dtype, tuned)]
    shipped = blas_folder(f"{options.shipped_blas}/*/openblas-pthread/libblas.so.3")
    if mode == "pretrain" and shipped and not options.no_shipped:
        found.append(("PyTorch as shipped, fp32", "fp32", {"LD_LIBRARY_PATH": shipped}))
    return found


def measure_peak(options, threads, dtype):
    with turn(options.lock):
        text = subprocess.run(pinned(threads) + [options.peak, str(threads)], check=True, text=True, stdout=subprocess.PIPE).stdout
    peak = json.loads(text)
    return peak["bf16_gflops"] if dtype == "bf16" and peak["bf16_gflops"] else peak["fp32_gflops"]


def rounds(options, sides):
    """Takes turns. What comes before the rounds that count warms up: malloc's heap grows over a few steps."""
    for _ in range(options.warm_up):
        with turn(options.lock):
            for side in sides:
                side.step()
    for side in sides:
        side.seconds.clear()
        side.cpu_seconds.clear()
    for number in range(options.rounds):
        with turn(options.lock):
            for side in sides:
                side.step()
        say(f"  round {number + 1}: " + ", ".join(f"{side.name} {side.seconds[-1]:.3f} s" for side in sides))


def row(options, side, reference, peak, gflop_per_sample, memory):
    speed = options.batch / statistics.median(side.seconds)
    got = statistics.median(busy / wall for busy, wall in zip(side.cpu_seconds, side.seconds))
    return {"side": side.name, "seconds": side.seconds, "cpu_seconds": side.cpu_seconds, "cores_got": got,
            "samples_per_second": speed,
            "cavmae_is_faster_by": statistics.median(b / a for a, b in zip(reference.seconds, side.seconds)),
            "peak_share": speed * gflop_per_sample / peak, "peak_memory_bytes": memory,
            "engine": side.ready.get("engine", "")}


def compare(options, mode, dtype, threads):
    """One group of rows: cavmae beside each peer. Never more than two programs at once: three would need 30 GB."""
    group = {"mode": mode, "dtype": dtype, "threads": threads, "rows": []}
    peaks, timed = [measure_peak(options, threads, dtype)], []
    others = [(name, functools.partial(start_peer, options, mode, peer_dtype, threads, name, environment))
              for name, peer_dtype, environment in peers(options, mode, dtype)]
    if options.other:
        others.append(("the other cavmae", functools.partial(start_cavmae, options, mode, dtype, threads, "the other cavmae",
                                                             options.other)))
    for name, start in others or [(None, None)]:
        say(f"{mode}, {dtype}, {threads} thread(s): cavmae{' beside ' + name if name else ''}")
        sides = []
        try:
            with turn(options.lock):
                sides.append(start_cavmae(options, mode, dtype, threads))
            if name:
                with turn(options.lock):
                    sides.append(start())
            rounds(options, sides)
            group["gflop_per_sample"] = sides[0].ready["gflop_per_sample"]
            for side in sides:
                memory = side.finish()
                if side is not sides[0] or not timed:
                    timed.append((side, sides[0], memory))
        except (SideFailed, OSError, subprocess.CalledProcessError) as error:
            say(f"compare: {error}")
            options.failed.append(f"{mode}, {dtype}, {threads} thread(s){', beside ' + name if name else ''}: {error}")
            for side in sides:
                side.end()
        peaks.append(measure_peak(options, threads, dtype))
    group["peak_gflops"] = statistics.mean(peaks)
    group["rows"] = [row(options, side, reference, group["peak_gflops"], group["gflop_per_sample"], memory)
                     for side, reference, memory in timed]
    return group


def print_table(options, groups):
    print(f"\n{options.config}, batch {options.batch}, medians of {options.rounds} steps taken in turn, on {options.cpu}")
    print(f"{'':32}{'samples/s':>10}{'cavmae is':>12}{'of peak':>9}{'memory':>10}{'cores':>7}")
    for group in groups:
        if not group["rows"]:
            continue
        print(f"{group['mode']}, {group['dtype']}, {group['threads']} thread{'' if group['threads'] == 1 else 's'}"
              f" (peak {group['peak_gflops']:.0f} GFLOP/s, {group['gflop_per_sample']:.2f} GFLOP a sample)")
        for r in group["rows"]:
            faster = "" if r["side"] == "cavmae" else f"{r['cavmae_is_faster_by']:.2f} times"
            print(f"  {r['side']:<30}{r['samples_per_second']:>10.3f}{faster:>12}{100 * r['peak_share']:>8.1f}%"
                  f"{r['peak_memory_bytes'] / 1e9:>7.2f} GB{r['cores_got']:>7.2f}")
            if r["engine"]:
                print(f"      by {r['engine']}")
    if options.other:
        print(f"\nThe other cavmae: {options.other}")
    if not options.no_pytorch:
        print(f"\nPyTorch, best tuned: {TUNING_IN_WORDS}.")
    if any(r["side"].startswith("PyTorch as shipped") for g in groups for r in g["rows"]):
        print("PyTorch as shipped: Debian's default OpenBLAS with pthreads, malloc and OpenMP as they come.")
    print("The share of the peak counts the arithmetic that the result needs, for every side the same. Cores: how many a side "
          "had while it was measured; fewer than its threads tell of busy neighbours.")
    if "bf16" in options.dtypes and not options.has_bf16 and not options.no_pytorch:
        print("bf16: PyTorch's rows are left out: this processor has no bf16 instructions (avx512_bf16), so that autocast would "
              "emulate them many times slower than fp32; cavmae computes the same products in fp32.")


def main():
    options = parse()
    options.failed = []
    for path in (options.program, options.peak):
        if not os.path.exists(path):
            sys.exit(f"compare: no {path}; build it first: cmake --preset release && cmake --build --preset release")
    options.cpu, flags = cpu()
    options.has_bf16 = "avx512_bf16" in flags
    options.model_file = model_file(options)
    groups = [compare(options, mode, dtype, threads)
              for mode in options.modes for dtype in options.dtypes for threads in options.threads]
    print_table(options, groups)
    if options.json:
        result = {"config": options.config, "batch": options.batch, "cpu": options.cpu, "tuned": TUNED, "groups": groups,
                  "failed": options.failed}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    if options.failed:
        sys.exit("compare: not measured: " + "; ".join(options.failed))


if __name__ == "__main__":
    main()
