"""Measures training on two ranks with `cavmae bench` and models many nodes; scale_out.sh calls it."""
import argparse
import contextlib
import datetime
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import scale_out_model

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 300  # seconds that a measurement may take
PARTS = ("pairs", "free-core", "networks")


def parse():
    parser = argparse.ArgumentParser(prog="scale_out.sh", description=__doc__)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/cavmae"))
    parser.add_argument("--config", default="cav-mae", help="configuration of cavmae, by name or file [cav-mae]")
    parser.add_argument("--batch-size", type=int, default=8, help="clips of a rank [8]")
    parser.add_argument("--precision", default="bf16", choices=("fp32", "bf16"))
    parser.add_argument("--steps", type=int, default=5, help="steps whose median counts [5]")
    parser.add_argument("--rounds", type=int, default=3, help="in which the runs take turns [3]")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure these parts and keep the others")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "docs/scale_out.json"))
    parser.add_argument("--plot", metavar="FILE", default=os.path.join(ROOT, "docs/scale_out.svg"))
    parser.add_argument("--plot-only", action="store_true", help="draw what --json holds")
    return parser.parse_args()


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


class Ranks:
    """Ranks of one bench run; all are ended when it is left."""

    def __init__(self, options, ranks, threads, flags=(), hosts=()):
        self.folder = tempfile.TemporaryDirectory()
        self.result = os.path.join(self.folder.name, "result.json")
        command = [options.program, "bench", "--quiet", "--config", options.config, "--precision", options.precision, "--batch-size",
                   str(options.batch_size), "--steps", str(options.steps), "--threads", str(threads), "--json", self.result, *flags]
        url = f"tcp://{'10.77.0.1' if hosts else '127.0.0.1'}:{free_port()}"
        self.processes = []
        for rank in range(ranks):
            on = ["ip", "netns", "exec", hosts[rank]] if hosts else []
            own = ["--dist-rank", str(rank), "--dist-size", str(ranks), "--dist-url", url] if ranks > 1 else []
            self.processes.append(subprocess.Popen(on + command + own, stdout=subprocess.DEVNULL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        self.folder.cleanup()

    def pin(self, core_of_main, core_of_others):
        """The thread that computes, and the others: those of the exchange."""
        for rank, process in enumerate(self.processes):
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                cores = core_of_main[rank] if int(thread) == process.pid else core_of_others
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), cores)

    def finish(self, pin=None):
        end = time.monotonic() + LIMIT
        while any(process.poll() is None for process in self.processes):
            if time.monotonic() > end:
                sys.exit("scale_out: a measurement takes too long")
            if pin:
                with contextlib.suppress(FileNotFoundError):
                    self.pin(*pin)
            time.sleep(0.2)
        if any(process.returncode for process in self.processes):
            sys.exit("scale_out: a rank has failed")
        with open(self.result, encoding="utf-8") as file:
            return json.load(file)


def measure(options, ranks, threads, flags=(), hosts=(), pin=None):
    with Ranks(options, ranks, threads, flags, hosts) as running:
        result = running.finish(pin)
    print(f"{ranks} x {threads} threads {' '.join(flags)}: {result['step_seconds']:.3f} s a step, {result['samples_per_second']:.3f} clips/s, "
          f"exposed {result.get('exchange_seconds', 0):.3f} s", file=sys.stderr, flush=True)
    return result


def outer_parts(result):
    sums = {}
    for part in result["parts"]:
        name = part["part"].split("/")[0]
        sums[name] = sums.get(name, 0.0) + part["seconds"]
    return sums


def summary(results):
    """Medians over the rounds."""
    median = lambda values: statistics.median(list(values))
    parts = {name: median(outer_parts(r)[name] for r in results) for name in outer_parts(results[0])}
    return {"step_seconds": median(r["step_seconds"] for r in results), "samples_per_second": median(r["samples_per_second"] for r in results),
            "exchange_seconds": median(r.get("exchange_seconds", 0.0) for r in results), "parts": parts}


def in_turns(options, runs):
    results = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            results[name].append(run())
    return {name: summary(of_run) for name, of_run in results.items()} | {
        "ratios": [b["samples_per_second"] / a["samples_per_second"] for a, b in zip(*list(results.values())[:2])]}


def measure_pairs(options):
    """Each thread on a core of its own; the exchange's threads go where there is room."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    pinned = ([{cores[0]}, {cores[1]}], set(cores))
    return in_turns(options, {"one rank": lambda: measure(options, 1, 2),
                              "two ranks": lambda: measure(options, 2, 1, pin=pinned),
                              "two ranks, no overlap": lambda: measure(options, 2, 1, ["--no-overlap"], pin=pinned)})


def measure_free_core(options):
    """Both ranks compute on the first core in turns, and the second is the exchange's."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    pinned = ([{first}, {first}], {second})
    return in_turns(options, {"no overlap": lambda: measure(options, 2, 1, ["--no-overlap"], pin=pinned),
                              "overlap": lambda: measure(options, 2, 1, pin=pinned)})


@contextlib.contextmanager
def two_hosts(gbit):
    names = [f"cavmae-{os.getpid()}-{i}" for i in (1, 2)]
    run = lambda *command: subprocess.run(command, check=True)
    try:
        for name in names:
            run("ip", "netns", "add", name)
        run("ip", "-n", names[0], "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", names[1])
        for i, name in enumerate(names):
            run("ip", "-n", name, "address", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", f"{gbit}gbit", "burst", "2mb",
                "latency", "50ms")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def measure_networks(options):
    first, second = sorted(os.sched_getaffinity(0))[:2]
    pinned = ([{first}, {second}], {first, second})
    networks = {}
    for gbit in (10, 1):
        with two_hosts(gbit) as hosts:
            networks[str(gbit)] = in_turns(options, {"no overlap": lambda: measure(options, 2, 1, ["--no-overlap"], hosts, pinned),
                                                     "overlap": lambda: measure(options, 2, 1, [], hosts, pinned)})
    return networks


def main():
    options = parse()
    data = {}
    if os.path.exists(options.json) and (options.plot_only or options.only):
        with open(options.json, encoding="utf-8") as file:
            data = json.load(file)
    if not options.plot_only:
        machine = json.loads(subprocess.run([options.program, "info", "--machine", "--json", "-"], check=True, text=True,
                                            stdout=subprocess.PIPE).stdout)
        data.update({"date": datetime.date.today().isoformat(), "cpu": machine.get("cpu_model", ""), "config": options.config,
                     "precision": options.precision, "clips_of_a_rank": options.batch_size, "steps": options.steps, "rounds": options.rounds})
        wanted = options.only or PARTS
        for name, run in zip(PARTS, (measure_pairs, measure_free_core, measure_networks)):
            if name in wanted:
                data[name] = run(options)
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.write("\n")
    scale_out_model.report(data, options.plot)


if __name__ == "__main__":
    main()
