"""Probes of chapter 08: they call the code under test and report what it returns."""

import itertools

import torch
from torch import Tensor

from checks.probes.toys import kind, name_of_error, parts, strided


def _number(value):
    """A number, whatever type it has; anything else as it is."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if hasattr(value, "item") and not isinstance(value, Tensor):
        return value.item()  # NumPy's numbers
    return value


def _type_of_number(value) -> str:
    """ "int" or "float", NumPy's among them; anything else in words."""
    if hasattr(value, "item") and not isinstance(value, Tensor):
        value = value.item()
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return type(value).__name__ if plain else kind(value)


def _type_of_tuple(value) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else kind(value)


# 8.1


def counts(impl, inputs):
    """What each case of logits and labels gives."""
    found = {"right": [], "count": [], "worst": []}
    for case in inputs["cases"]:
        right, count, worst = parts(impl.right_by_class(case["logits"], case["labels"]), 3)
        found["right"].append(right)
        found["count"].append(count)
        found["worst"].append(_number(worst))
    return found


def intervals(impl, inputs):
    """The interval of each (right, count), with a z where the inputs name one."""
    option = {"z": inputs["z"]} if "z" in inputs else {}
    ends = []
    for right, count in inputs["seen"]:
        low, high = parts(impl.wilson_interval(right, count, **option), 2)
        ends.append([_number(low), _number(high)])
    return {"ends": ends}


def types_of_counts(impl, inputs):
    """What kind of thing the result is, and its last part. The logits are not contiguous."""
    result = impl.right_by_class(strided(inputs["logits"]), labels=inputs["labels"])
    return {"result": _type_of_tuple(result), "worst": _type_of_number(parts(result, 3)[2])}


def types_of_intervals(impl, inputs):
    """What kind of thing each interval is, and its two ends."""
    results = [impl.wilson_interval(right=r, count=n) for r, n in inputs["seen"]]
    ends = [[_type_of_number(end) for end in parts(result, 2)] for result in results]
    return {"results": [_type_of_tuple(result) for result in results], "ends": ends}


def refused_intervals(impl, inputs):
    """What is raised for each (right, count)."""
    cases = inputs["seen"]
    return {"raised": [name_of_error(lambda c=c: impl.wilson_interval(*c)) for c in cases]}


# 8.2


def moments(impl, inputs):
    """Mean and covariance of each set."""
    results = [impl.feature_moments(features) for features in inputs["sets"]]
    return {
        "mean": [parts(result, 2)[0] for result in results],
        "cov": [parts(result, 2)[1] for result in results],
        "results": [_type_of_tuple(result) for result in results],
    }


def moments_of_strided(impl, inputs):
    """The same of sets that are not contiguous in memory."""
    return moments(impl, {"sets": [strided(features) for features in inputs["sets"]]})


def refused_moments(impl, inputs):
    """What is raised for each set."""
    sets = inputs["sets"]
    return {"raised": [name_of_error(lambda s=s: impl.feature_moments(s)) for s in sets]}


# 8.3


def frechet(impl, inputs):
    """The distance of each pair of Gaussians."""
    return {"distances": [_frechet(impl, pair) for pair in inputs["pairs"]]}


NAMES = ("mean_a", "cov_a", "mean_b", "cov_b")


def _frechet(impl, pair):
    return _number(impl.frechet_distance(*(pair[name] for name in NAMES)))


def type_of_frechet(impl, inputs):
    """What kind of number each distance is, named arguments, covariances not contiguous."""
    pairs = [{name: pair[name] for name in NAMES} for pair in inputs["pairs"]]
    pairs = [p | {name: strided(p[name]) for name in ("cov_a", "cov_b")} for p in pairs]
    return {"types": [_type_of_number(impl.frechet_distance(**pair)) for pair in pairs]}


# 8.4


class Recorder:
    """A distance that writes down which rows of which set it is handed."""

    def __init__(self, inputs):
        self.sets = {name: inputs[name] for name in ("reference", "held_out", "generated")}
        self.table = inputs["table"]
        self.calls: list[dict] = []

    def __call__(self, a, b):
        (name_a, rows_a), (name_b, rows_b) = self.origin(a), self.origin(b)
        self.calls.append({"sets": [name_a, name_b], "rows": {name_a: rows_a, name_b: rows_b}})
        return self.table.get(" and ".join(sorted([name_a, name_b])), 0.25)

    def origin(self, rows):
        """The set that these rows come from, and their numbers in it."""
        if not isinstance(rows, Tensor) or rows.ndim != 2:
            return "something else", []
        for name, whole in self.sets.items():
            equal = (rows[:, None] == whole).all(dim=2)  # (n, size of the set)
            if len(rows) and bool(equal.any(dim=1).all()):
                return name, equal.int().argmax(dim=1).tolist()
        return "something else", []

    def run(self, impl, seed):
        return _number(self.result(impl, seed))

    def result(self, impl, seed):
        self.calls.clear()
        generator = torch.Generator().manual_seed(seed)
        return impl.distance_ratio(self, **self.sets, generator=generator)


def ratio_and_pairs(impl, inputs):
    """The ratio, and between which sets a distance was asked for. No set is contiguous."""
    recorder = Recorder(inputs)
    recorder.sets = {name: strided(rows) for name, rows in recorder.sets.items()}
    ratio = recorder.run(impl, inputs["seed"])
    return {"ratio": ratio, "pairs": sorted(sorted(call["sets"]) for call in recorder.calls)}


def sizes_of_sets(impl, inputs):
    """With how many rows each set came, and how many of them differ, in each case."""
    found = []
    for case in inputs["cases"]:
        recorder = Recorder({**case, "table": inputs["table"]})
        recorder.run(impl, inputs["seed"])
        rows = [(name, one) for call in recorder.calls for name, one in call["rows"].items()]
        found.append(
            {
                "rows": sorted({(name, len(one)) for name, one in rows}),
                "different rows": sorted({(name, len(set(one))) for name, one in rows}),
            }
        )
    return {"cases": found}


def forms_of_rows(impl, inputs):
    """In what form sets came to the distance, each form once."""
    forms = set()

    def distance(a, b):
        forms.update((kind(a), kind(b)))
        return 1.0

    sets = (inputs["reference"], inputs["held_out"], inputs["generated"])
    impl.distance_ratio(distance, *sets, torch.Generator().manual_seed(inputs["seed"]))
    return {"forms": sorted(forms)}


def same_reference(impl, inputs):
    """Were the same rows of the reference used in every distance?"""
    recorder = Recorder(inputs)
    recorder.run(impl, inputs["seed"])
    used = {tuple(sorted(call["rows"].get("reference", []))) for call in recorder.calls}
    return {"different choices": len(used)}


def type_of_ratio(impl, inputs):
    return {"type": _type_of_number(Recorder(inputs).result(impl, inputs["seed"]))}


def rows_drawn(impl, inputs):
    """What rows were used over many seeds, in each case."""
    cases = [{**case, "table": inputs["table"]} for case in inputs["cases"]]
    return {"cases": [_rows_drawn(impl, case, inputs["draws"]) for case in cases]}


def _rows_drawn(impl, case, draws):
    """Which rows of each set were ever used, how often the choice changed, and with another's."""
    choices = {}  # of each set, those of each seed
    for seed in range(draws):
        recorder = Recorder(case)
        recorder.run(impl, seed)
        for name, rows in {
            n: r for call in recorder.calls for n, r in call["rows"].items()
        }.items():
            choices.setdefault(name, []).append(frozenset(rows))
    names = sorted(choices)
    size = {name: len(case.get(name, ())) for name in names}
    different = {name: len(set(choices[name])) for name in names}
    return {
        "never used": {n: size[n] - len(frozenset().union(*choices[n])) for n in names},
        "always the same": {n: different[n] == 1 for n in names},
        "few choices": {n: different[n] < draws / 2 for n in names},
        "alike": [
            f"{a} and {b}"
            for a, b in itertools.combinations(names, 2)
            if sum(x == y for x, y in zip(choices[a], choices[b])) > draws / 4
        ],
    }


def generator_use(impl, inputs):
    """Does the choice of rows follow the generator, and nothing but the generator?"""

    def run(generator, global_seed):
        torch.manual_seed(global_seed)
        recorder = Recorder(inputs)
        sets = (inputs["reference"], inputs["held_out"], inputs["generated"])
        impl.distance_ratio(recorder, *sets, generator)
        return [sorted(call["rows"].items()) for call in recorder.calls]

    before = torch.get_rng_state()
    Recorder(inputs).run(impl, inputs["seed"])
    untouched = torch.equal(before, torch.get_rng_state())
    generator = torch.Generator().manual_seed(5)
    first = run(generator, 1)
    second = run(generator, 1)  # the same generator, which has moved on
    return {
        "same seed, same rows": first == run(torch.Generator().manual_seed(5), 2),
        "other seed, same rows": first == run(torch.Generator().manual_seed(6), 1),
        "later draws, same rows": first == second,
        "torch's own untouched": untouched,
    }


def ratio_of_equals(impl, inputs):
    """The ratio for sets of one and the same distribution, of very different sizes."""

    def distance(a, b):
        return float((a.mean(dim=0) - b.mean(dim=0)).square().sum())

    ratios = []
    for case in inputs["cases"]:
        generator = torch.Generator().manual_seed(inputs["seed"])
        sets = (case["reference"], case["held_out"], case["generated"])
        ratios.append(_number(impl.distance_ratio(distance, *sets, generator)))
    return {"ratios": ratios}


# 8.5


def radii(impl, inputs):
    """The radii of each set of points, for each k."""
    return {
        "radii": [
            [impl.neighbour_radii(points, k) for k in inputs["ks"]] for points in inputs["sets"]
        ]
    }


def radii_of_strided(impl, inputs):
    """The same of points that are not contiguous in memory."""
    return radii(impl, {**inputs, "sets": [strided(points) for points in inputs["sets"]]})


def refused_radii(impl, inputs):
    """What is raised for each k."""
    points, ks = inputs["points"], inputs["ks"]
    return {"raised": [name_of_error(lambda k=k: impl.neighbour_radii(points, k)) for k in ks]}


def _share(function, case):
    """Recall or coverage of one case, with a k where the case names one."""
    return _number(function(**case))


def types_of_shares(impl, inputs):
    """What kind of number each share is."""
    return {
        name: [_type_of_number(function(**case)) for case in inputs["cases"]]
        for name, function in (("recall", impl.recall), ("coverage", impl.coverage))
    }


def recalls(impl, inputs):
    return {"recall": [_share(impl.recall, case) for case in inputs["cases"]]}


def coverages(impl, inputs):
    return {"coverage": [_share(impl.coverage, case) for case in inputs["cases"]]}


def shares_of_each(impl, inputs):
    """Recall and coverage, each of cases of its own, whose sets are not contiguous in memory."""

    def shares(name):
        cases = [
            {key: strided(value) if key != "k" else value for key, value in case.items()}
            for case in inputs[name]
        ]
        return [_share(getattr(impl, name), case) for case in cases]

    return {name: shares(name) for name in ("recall", "coverage")}


def recalls_and_coverages(impl, inputs):
    return {**recalls(impl, inputs), **coverages(impl, inputs)}


# 8.6


def nearest(impl, inputs):
    """The two distances of every image."""
    return {"nearest": impl.two_nearest(inputs["images"], inputs["training"])}


def nearest_of_strided(impl, inputs):
    """The same of images that are not contiguous in memory, the arguments by name."""
    images, training = strided(inputs["images"]), strided(inputs["training"])
    return {"nearest": impl.two_nearest(images=images, training=training)}


def copies_alone(impl, inputs):
    """Of each row by itself whether it is that of a copy."""
    return {"copies": [impl.is_copy(row[None]) for row in inputs["nearest"]]}


def copies(impl, inputs):
    """Which rows of distances are those of a copy, with a ratio where the inputs name one."""
    option = {"ratio": inputs["ratio"]} if "ratio" in inputs else {}
    return {"copies": impl.is_copy(inputs["nearest"], **option)}


def copies_of_strided(impl, inputs):
    """The same of distances that are not contiguous in memory."""
    return copies(impl, {**inputs, "nearest": strided(inputs["nearest"])})


def rates_of_copies(impl, inputs):
    """Which images of each set are told to be copies of the training images."""
    return {
        "copies": {
            name: impl.is_copy(impl.two_nearest(images, inputs["training"]))
            for name, images in inputs["sets"].items()
        }
    }
