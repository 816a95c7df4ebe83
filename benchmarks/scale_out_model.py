"""A step of many nodes, of what scale_out.py has measured of few: tables and the plot."""
import argparse

NODES = (1, 2, 4, 8, 16, 32, 64)
NETWORKS = (10, 25, 100)  # Gbit/s
LATENCY = 30e-6  # seconds of a message between two hosts: TCP in one data centre
PARAMETERS = 190e6
BUCKET_BYTES = 25 * 1024 * 1024
# Of a step without its optimizer, which is measured: matrix products of a backward pass are twice those of the forward pass.
BACKWARD_SHARE = 2 / 3
FASTER_NODE = 32  # 64 cores for the measured two, if they were as fast together


def ring_seconds(size, nodes, gbit):
    """A ring all-reduce: 2 (N - 1) messages of size / N, one after another."""
    return 0.0 if nodes == 1 else 2 * (nodes - 1) * (LATENCY + size / nodes / (gbit * 1e9 / 8))


def step_seconds(compute, optimizer, nodes, gbit, overlap=True):
    """Buckets are complete one after another at equal distances in the backward pass, and reduced one after another."""
    buckets = max(1, round(PARAMETERS * 4 / BUCKET_BYTES))
    forward = compute * (1 - BACKWARD_SHARE)
    end = 0.0
    for bucket in range(buckets):
        complete = forward + compute * BACKWARD_SHARE * (bucket + 1) / buckets if overlap else compute
        end = max(end, complete) + ring_seconds(PARAMETERS * 4 / buckets, nodes, gbit)
    return max(end, compute) + optimizer


def curve(data, faster, gbit, overlap=True):
    one = data["pairs"]["results"]["one rank"]
    optimizer = one["parts"].get("optimizer", 0.0)
    compute = one["step_seconds"] - optimizer
    return [step_seconds(compute / faster, optimizer / faster, nodes, gbit, overlap) for nodes in NODES]


def clips_of_a_node(data):
    """The model's nodes are the ranks of the pairs."""
    return data["pairs"]["measured"]["clips_of_a_rank"]


def settings(part):
    of = part["measured"]
    return f"{of['date']}, {of['cpu']}, {of['config']}, {of['precision']}, {of['clips_of_a_rank']} clips a rank"


def print_pairs(data):
    pairs = data["pairs"]["results"]
    one, two = pairs["one rank"], pairs["two ranks"]
    clips = clips_of_a_node(data)
    print(settings(data["pairs"]))
    print(f"one rank of two threads   {one['step_seconds']:.3f} s for {clips} clips, {one['samples_per_second']:.3f} clips/s")
    print(f"two ranks of one thread   {two['step_seconds']:.3f} s for {2 * clips} clips, {two['samples_per_second']:.3f} clips/s, "
          f"exposed {two['exchange_seconds']:.3f} s")
    print(f"efficiency of pairs       {100 * pairs['ratio']:.1f} % ({', '.join(f'{100 * r:.0f}' for r in sorted(pairs['ratios']))})")
    print(f"\n{'part':12} {'one, ms':>10} {'two / 2':>10} {'lost, % of a step':>18}")
    for name, seconds in sorted(two["parts"].items(), key=lambda item: -item[1]):
        alone = one["parts"].get(name, 0.0)
        print(f"{name:12} {1e3 * alone:10.0f} {1e3 * seconds / 2:10.0f} {100 * (seconds / 2 - alone) / one['step_seconds']:18.1f}")


def print_overlap(data):
    cases = {"free-core": lambda results: {"a core is free": results},
             "networks": lambda results: {f"{gbit} Gbit/s": of for gbit, of in results.items()}}
    for part, rows in cases.items():
        if part not in data:
            continue
        print(f"\n{settings(data[part])}\n{'':16} {'no overlap':>22} {'overlap':>22}")
        for name, case in rows(data[part]["results"]).items():
            texts = [f"{case[run]['step_seconds']:.2f} s, exposed {case[run]['exchange_seconds']:.2f}" for run in ("no overlap", "overlap")]
            print(f"{name:16} {texts[0]:>22} {texts[1]:>22}")


def print_model(data):
    clips = clips_of_a_node(data)
    for faster in (1, FASTER_NODE):
        print(f"\nnodes {faster} times as fast as the one measured: efficiency on 1 to 64")
        for gbit in NETWORKS:
            seconds = curve(data, faster, gbit)
            print(f"{gbit:4} Gbit/s  " + "  ".join(f"{n}: {100 * seconds[0] / s:.0f} % ({n * clips / s:.1f}/s)" for n, s in zip(NODES, seconds)))


def draw(data, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text, and the file small
    matplotlib.rcParams["svg.hashsalt"] = "cavmae"
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    clips = clips_of_a_node(data)
    for faster, style in ((1, "-"), (FASTER_NODE, "--")):
        for gbit, color in zip(NETWORKS, ("tab:red", "tab:orange", "tab:blue")):
            seconds = curve(data, faster, gbit)
            label = f"{gbit} Gbit/s" + (f", node {faster} x" if faster > 1 else "")
            axes[0].plot(NODES, [n * clips / s for n, s in zip(NODES, seconds)], style, color=color, label=label)
            axes[1].plot(NODES, [100 * seconds[0] / s for s in seconds], style, color=color)
    for axis, title in zip(axes, ("samples/s", "efficiency, %")):
        axis.set_xscale("log", base=2)
        axis.set_xticks(NODES, [str(n) for n in NODES])
        axis.set_xlabel("nodes")
        axis.set_title(title)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    axes[1].set_ylim(0, 105)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def report(data, plot):
    if "pairs" in data:
        print_pairs(data)
    print_overlap(data)
    if "pairs" in data:
        print_model(data)
        draw(data, plot)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
