"""The tables of table1.sh: mean average precision over seeds, and which systems are ordered at this size.

Reads OUT/scores/SYSTEM-MODE-SEED.json (cavmae classify), OUT/retrieval/SYSTEM-SEED.json (cavmae retrieve) and the labels of the
test clips."""
import argparse
import itertools
import json
import math
import pathlib

import numpy

SYSTEMS = ("random", "audio-mae", "visual-mae", "cav", "av-mae-vanilla", "av-mae", "cav-mae")
MODES = {"audio": "A", "video": "V", "both": "AV", "few": "AV, a third of the labels"}
DRAWS = 1000
QUANTILE = 1.96  # of the normal distribution, both sides of 95 %


def student_quantile(degrees):
    """The same of Student's t with so many degrees of freedom, by the substitution x = sqrt(degrees) tan(angle)."""
    if degrees > 500:
        return QUANTILE
    angles = numpy.linspace(-math.pi / 2, math.pi / 2, 200_001)
    below = numpy.cumsum(numpy.cos(angles).clip(0) ** (degrees - 1))
    return math.sqrt(degrees) * math.tan(angles[numpy.searchsorted(below, 0.975 * below[-1])])


def parse():
    parser = argparse.ArgumentParser(prog="table1.py", description=__doc__)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--test", type=pathlib.Path, required=True, help="manifest of the test clips")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--variants", nargs="*", default=[], help="cav-mae with other weights, by name")
    parser.add_argument("--ways", nargs="*", default=[], help="av-mae-WAY and cav-mae-WAY: both with something else changed")
    parser.add_argument("--way-seeds", type=int, nargs="*", default=[], help="those of --seeds by which the ways were varied")
    options = parser.parse_args()
    if options.ways and not options.way_seeds:
        parser.error("--ways needs --way-seeds")
    return options


def read_truth(manifest):
    """The labels of each clip by its id, and what is drawn as one: clips that share a picture stand and fall together."""
    labels, group = {}, {}
    with open(manifest, encoding="utf-8") as lines:
        for line in lines:
            clip = json.loads(line)
            labels[clip["id"]] = set(clip["labels"])
            group[clip["id"]] = clip.get("image", clip["id"])
    return labels, group


class Scores:
    """Scores of a fine-tuned network, ordered once for each class, so that many weightings of the clips are quick."""

    def __init__(self, file, truth, ids):
        clips = {clip["id"]: {of["label"]: of["score"] for of in clip["labels"]}
                 for clip in json.loads(file.read_text(encoding="utf-8"))["clips"]}
        missing = [i for i in ids if i not in clips]
        if missing:
            raise SystemExit(f"table1: {file} lacks {len(missing)} test clips, {missing[0]} for one")
        self.classes = []
        for name in sorted(set().union(*truth.values())):
            score = numpy.array([clips[i][name] for i in ids])
            order = numpy.argsort(-score, kind="stable")
            ends = numpy.append(numpy.flatnonzero(numpy.diff(score[order])), len(ids) - 1)  # equal scores are one threshold
            positive = numpy.array([name in truth[i] for i in ids], dtype=numpy.float64)[order]
            self.classes.append((order, ends, positive))

    def mean_average_precision(self, weights):
        """Of each row of weights [draws, clips] in percent, over the classes that occur in it. -> [draws]"""
        total, count = numpy.zeros(len(weights)), numpy.zeros(len(weights))
        for order, ends, positive in self.classes:
            drawn = weights[:, order]
            found = numpy.cumsum(drawn * positive, axis=1)[:, ends]
            seen = numpy.cumsum(drawn, axis=1)[:, ends]
            precision = found / numpy.maximum(seen, 1)
            gained = numpy.diff(found, axis=1, prepend=0)
            positives = found[:, -1]
            total += numpy.where(positives > 0, (gained * precision).sum(axis=1) / numpy.maximum(positives, 1), 0)
            count += positives > 0
        return 100 * total / count


class Results:
    """mean average precision of every system, mode and seed: on the test clips, and on DRAWS draws of them."""

    def __init__(self, options):
        self.out, self.seeds = options.out, options.seeds
        truth, groups = read_truth(options.test)
        ids = sorted(truth)
        names = sorted(set(groups.values()))
        member = numpy.array([names.index(groups[i]) for i in ids]) if len(names) < len(ids) else numpy.arange(len(ids))
        self.num_clips, self.num_groups = len(ids), len(names)
        generator = numpy.random.default_rng(1)
        drawn = generator.multinomial(len(names), numpy.full(len(names), 1 / len(names)), size=DRAWS)
        self.weights = drawn[:, member].astype(numpy.float64)
        self.seed_draws = generator.integers(len(self.seeds), size=(DRAWS, len(self.seeds)))
        self.truth, self.ids, self.kept = truth, ids, {}

    def has(self, system, mode):
        return all((self.out / "scores" / f"{system}-{mode}-{seed}.json").exists() for seed in self.seeds)

    def of_seed(self, system, mode, seed):
        """Of all clips, and [draws]"""
        if (system, mode, seed) not in self.kept:
            scores = Scores(self.out / "scores" / f"{system}-{mode}-{seed}.json", self.truth, self.ids)
            self.kept[system, mode, seed] = (scores.mean_average_precision(numpy.ones((1, len(self.ids))))[0],
                                             scores.mean_average_precision(self.weights))
        return self.kept[system, mode, seed]

    def of(self, system, mode):
        """[seeds], and [seeds, draws]"""
        points, draws = zip(*(self.of_seed(system, mode, seed) for seed in self.seeds))
        return numpy.array(points), numpy.stack(draws)

    def interval(self, points, draws):
        """95 % of the mean difference over draws of clips and seeds. Few seeds drawn again and again vary less than new ones would:
        their deviations are scaled by sqrt(n / (n - 1)), and the interval by Student's t."""
        seeds = len(points)
        of_draw = draws.mean(axis=0)
        if seeds > 1:
            chosen = numpy.take_along_axis(draws, self.seed_draws.T, axis=0).mean(axis=0)
            of_draw = of_draw + math.sqrt(seeds / (seeds - 1)) * (chosen - of_draw)
        of_clips, of_seeds = variances(points, draws)
        total = of_clips + of_seeds
        wider = width(of_clips, of_seeds, seeds) / (QUANTILE * math.sqrt(total)) if total > 0 else 1.0
        return points.mean() + wider * (numpy.percentile(of_draw, (2.5, 97.5)) - points.mean())

    def retrieval(self, system):
        """R@1 of both directions, their mean, of each seed; nothing where the system has no retrieval."""
        files = [self.out / "retrieval" / f"{system}-{seed}.json" for seed in self.seeds]
        if not all(file.exists() for file in files):
            return None
        rates = []
        for file in files:
            found = json.loads(file.read_text(encoding="utf-8"))
            rates.append(100 * (found["audio_to_video"]["r1"] + found["video_to_audio"]["r1"]) / 2)
        return numpy.array(rates)


def mean_and_deviation(values):
    if values is None:
        return "-"
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values.mean():.1f}"


def print_systems(results, systems):
    print(f"| pretrained as | {' | '.join(MODES.values())} | R@1 |\n|---|{'---:|' * (len(MODES) + 1)}")
    for system in systems:
        cells = [mean_and_deviation(results.of(system, mode)[0] if results.has(system, mode) else None) for mode in MODES]
        print(f"| {system} | {' | '.join(cells)} | {mean_and_deviation(results.retrieval(system))} |")


def width(of_clips, of_seeds, seeds):
    """Half of the 95 % interval of a difference with these variances, the seeds' estimated from so few: Student's t with the degrees
    of freedom that Satterthwaite gives their sum."""
    total = of_clips + of_seeds
    if seeds < 2 or of_seeds == 0:
        return QUANTILE * math.sqrt(total)
    return student_quantile((seeds - 1) * (total / of_seeds) ** 2) * math.sqrt(total)


def how_many(is_enough, count):
    """The fewest above `count` that are, or nothing below a million times as many."""
    high = count + 1
    while not is_enough(high):
        high *= 2
        if high > 1_000_000 * count:
            return None
    low = max(count, high // 2)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def variances(points, draws):
    """Of the mean difference: what the choice of clips gives it, and that of seeds."""
    return draws.mean(axis=0).var(ddof=1), points.var(ddof=1) / len(points) if len(points) > 1 else 0.0


def what_would_order(results, points, draws):
    of_clips, of_seeds = variances(points, draws)
    seeds, difference = len(points), points.mean()
    more_clips = how_many(lambda n: width(of_clips * results.num_clips / n, of_seeds, seeds) < difference, results.num_clips)
    more_seeds = how_many(lambda n: width(of_clips, of_seeds * seeds / n, n) < difference, seeds)
    texts = [f"{number:,} {what}" for number, what in ((more_clips, "clips"), (more_seeds, "seeds")) if number]
    return "no; " + (" or ".join(texts) + " would" if texts else "neither more clips nor more seeds alone would")


def print_pairs(results, systems, mode):
    present = [system for system in systems if results.has(system, mode)]
    present.sort(key=lambda system: results.of(system, mode)[0].mean())
    pairs = len(present) * (len(present) - 1) // 2
    print(f"\n{MODES[mode]}: the better of two systems, by how much, and whether this size orders them: {pairs} pairs, of which one in "
          "twenty would be called ordered if none were\n")
    print("| better | worse | difference | 95 % interval | ordered |\n|---|---|---:|---:|---|")
    for worse, better in itertools.combinations(present, 2):
        points = results.of(better, mode)[0] - results.of(worse, mode)[0]
        draws = results.of(better, mode)[1] - results.of(worse, mode)[1]
        low, high = results.interval(points, draws)
        ordered = "yes" if low > 0 else what_would_order(results, points, draws)
        print(f"| {better} | {worse} | {points.mean():.1f} | {low:.1f} to {high:.1f} | {ordered} |")


def print_ways(results, ways, seeds):
    """cav-mae beside av-mae as they are and with something changed, with both modalities: what each seed says, and 95 % of draws of
    the clips."""
    print("\n| both with | av-mae | cav-mae | difference, seed by seed (95 % of draws of the clips) |\n|---|---:|---:|---|")
    for way in ["", *("-" + way for way in ways)]:
        pairs = [[results.of_seed(system + way, "both", seed) for system in ("av-mae", "cav-mae")] for seed in seeds]
        differences = []
        for (worse, worse_draws), (better, better_draws) in pairs:
            low, high = numpy.percentile(better_draws - worse_draws, (2.5, 97.5))
            differences.append(f"{better - worse:+.1f} ({low:.1f} to {high:.1f})")
        means = [numpy.mean([pair[i][0] for pair in pairs]) for i in (0, 1)]
        print(f"| {way[1:] or 'nothing changed'} | {means[0]:.1f} | {means[1]:.1f} | {', '.join(differences)} |")


def main():
    options = parse()
    results = Results(options)
    systems = [system for system in SYSTEMS if any(results.has(system, mode) for mode in MODES)]
    print("The labelled clips are one choice of all for every system and seed.")
    print(f"Mean average precision in percent over {len(results.seeds)} seeds, mean and deviation; R@1, the mean of both directions, of "
          f"the pretrained network. {results.num_clips:,} test clips" +
          (f" of {results.num_groups:,} pictures, which are drawn whole" if results.num_groups < results.num_clips else "") + ".\n")
    print_systems(results, systems)
    if options.variants:
        print("\ncav-mae with another weight of the contrastive loss than 0.01\n")
        print_systems(results, options.variants)
    if options.ways:
        print(f"\nav-mae and cav-mae, fine-tuned with both modalities, over {len(options.way_seeds)} seeds: another mask ratio than 0.75, a quarter "
              "of the epochs, or a third of the clips for three times the epochs")
        print_ways(results, options.ways, options.way_seeds)
    for mode in MODES:
        print_pairs(results, systems + options.variants, mode)


if __name__ == "__main__":
    main()
