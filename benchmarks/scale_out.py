"""Measures training on two ranks with `cavmae bench` and models many nodes; scale_out.sh calls it."""
import argparse
import contextlib
import datetime
import json
import os
import select
import socket
import statistics
import subprocess
import sys

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
    parser.add_argument("--pairs", type=int, default=9, help="steps of one rank and of two that take turns [9]")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure these parts and keep the others")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(ROOT, "docs/scale_out.json"))
    parser.add_argument("--plot", metavar="FILE", default=os.path.join(ROOT, "docs/scale_out.svg"))
    parser.add_argument("--plot-only", action="store_true", help="draw what --json holds")
    return parser.parse_args()


def cores():
    return sorted(os.sched_getaffinity(0))[:2]


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


class Ranks:
    """Ranks that take steps when they are told, waiting in between; all are ended when it is left. `pinned`: the cores of each
    rank's thread that computes, and those of its others, which exchange."""

    def __init__(self, options, threads, flags=(), hosts=(), pinned=()):
        ranks = max(1, len(pinned))
        command = [options.program, "bench", "--quiet", "--follow", "--config", options.config, "--precision", options.precision,
                   "--batch-size", str(options.batch_size), "--threads", str(threads), *flags]
        url = f"tcp://{'10.77.0.1' if hosts else '127.0.0.1'}:{free_port()}"
        self.clips = ranks * options.batch_size
        self.processes = []
        for rank in range(ranks):
            on = ["ip", "netns", "exec", hosts[rank]] if hosts else []
            own = ["--dist-rank", str(rank), "--dist-size", str(ranks), "--dist-url", url] if ranks > 1 else []
            self.processes.append(subprocess.Popen(on + command + own, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        try:
            self.answer()  # all are there, and a step has warmed them up
        except SystemExit:
            self.__exit__()
            raise
        for process, (main, others) in zip(self.processes, pinned):
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(thread), main if int(thread) == process.pid else others)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def answer(self):
        out = self.processes[0].stdout
        if not select.select([out], [], [], LIMIT)[0]:
            sys.exit("scale_out: a measurement takes too long")
        line = out.readline()
        if not line:
            sys.exit("scale_out: a rank has failed")
        return json.loads(line)

    def step(self):
        self.processes[0].stdin.write("\n")
        self.processes[0].stdin.flush()
        result = self.answer()
        parts = {}
        for part in result["parts"]:
            name = part["part"].split("/")[0]
            parts[name] = parts.get(name, 0.0) + part["seconds"]
        return {"step_seconds": result["seconds"], "samples_per_second": self.clips / result["seconds"],
                "exchange_seconds": result["exchange_seconds"], "parts": parts}


def summary(steps):
    """Medians, and every step's seconds."""
    median = lambda key: statistics.median(step[key] for step in steps)
    return {"step_seconds": median("step_seconds"), "samples_per_second": median("samples_per_second"),
            "exchange_seconds": median("exchange_seconds"), "all_step_seconds": [round(step["step_seconds"], 3) for step in steps],
            "parts": {name: statistics.median(step["parts"].get(name, 0.0) for step in steps) for name in steps[0]["parts"]}}


def take(options, name, ranks):
    steps = [ranks.step() for _ in range(options.steps)]
    result = summary(steps)
    print(f"{name}: {result['step_seconds']:.3f} s a step, exposed {result['exchange_seconds']:.3f} s", file=sys.stderr, flush=True)
    return result


def measure_pairs(options):
    """Step by step in turns. Each rank's thread has a core of its own; the exchange's threads go where there is room."""
    first, second = cores()
    both = {first, second}
    with Ranks(options, 2) as one, Ranks(options, 1, pinned=[({first}, both), ({second}, both)]) as two:
        steps = [(one.step(), two.step()) for _ in range(options.pairs)]
    ratios = [b["samples_per_second"] / a["samples_per_second"] for a, b in steps]
    with Ranks(options, 1, ["--no-overlap"], pinned=[({first}, both), ({second}, both)]) as apart:
        no_overlap = take(options, "two ranks, no overlap", apart)
    return {"one rank": summary([a for a, _ in steps]), "two ranks": summary([b for _, b in steps]), "two ranks, no overlap": no_overlap,
            "ratios": ratios, "ratio": statistics.median(ratios)}


def with_and_without(options, name, pinned, hosts=()):
    result = {}
    for run, flags in (("no overlap", ["--no-overlap"]), ("overlap", [])):
        with Ranks(options, 1, flags, hosts, pinned) as ranks:
            result[run] = take(options, f"{name}, {run}", ranks)
    return result


def measure_free_core(options):
    """Both ranks compute on the first core in turns, and the second is the exchange's."""
    first, second = cores()
    return with_and_without(options, "a core is free", [({first}, {second}), ({first}, {second})])


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
    first, second = cores()
    both = {first, second}
    networks = {}
    for gbit in (10, 1):
        with two_hosts(gbit) as hosts:
            networks[str(gbit)] = with_and_without(options, f"{gbit} Gbit/s", [({first}, both), ({second}, both)], hosts)
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
        measured = {"date": datetime.date.today().isoformat(), "cpu": machine.get("cpu_model", ""), "config": options.config,
                    "precision": options.precision, "clips_of_a_rank": options.batch_size, "steps": options.steps}
        wanted = options.only or PARTS
        for name, run in zip(PARTS, (measure_pairs, measure_free_core, measure_networks)):
            if name in wanted:
                data[name] = {"measured": measured, "results": run(options)}  # another part may be of another machine
                with open(options.json, "w", encoding="utf-8") as file:  # after each: they take minutes
                    json.dump(data, file, indent=1)
                    file.write("\n")
    scale_out_model.report(data, options.plot)


if __name__ == "__main__":
    main()
