"""Probes of chapter 08: they call the code under test and report what it returns."""

import torch
from torch import Tensor

from checks.probes.toys import parts


def _number(value):
    """A number, whatever type it has; anything else as it is."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if hasattr(value, "item") and not isinstance(value, Tensor):
        return value.item()  # NumPy's numbers
    return value


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


# 8.2


def moments(impl, inputs):
    """Mean and covariance of each set."""
    found = {"mean": [], "cov": []}
    for features in inputs["sets"]:
        mean, cov = parts(impl.feature_moments(features), 2)
        found["mean"].append(mean)
        found["cov"].append(cov)
    return found


# 8.3


def frechet(impl, inputs):
    """The distance of each pair of Gaussians."""
    return {"distances": [_frechet(impl, pair) for pair in inputs["pairs"]]}


def _frechet(impl, pair):
    names = ("mean_a", "cov_a", "mean_b", "cov_b")
    return _number(impl.frechet_distance(*(pair[name] for name in names)))


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
        self.calls.clear()
        sets = self.sets
        generator = torch.Generator().manual_seed(seed)
        return _number(
            impl.distance_ratio(
                self, sets["reference"], sets["held_out"], sets["generated"], generator
            )
        )


def ratio_and_pairs(impl, inputs):
    """The ratio, and between which sets a distance was asked for."""
    recorder = Recorder(inputs)
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


def same_reference(impl, inputs):
    """Were the same rows of the reference used in every distance?"""
    recorder = Recorder(inputs)
    recorder.run(impl, inputs["seed"])
    used = {tuple(sorted(call["rows"].get("reference", []))) for call in recorder.calls}
    return {"different choices": len(used)}


def rows_drawn(impl, inputs):
    """Over many seeds: which rows of each set were ever used, and whether the choice changed."""
    ever, choices = {}, {}
    for seed in range(inputs["draws"]):
        recorder = Recorder(inputs)
        recorder.run(impl, seed)
        for call in recorder.calls:
            for name, rows in call["rows"].items():
                ever.setdefault(name, set()).update(rows)
                choices.setdefault(name, set()).add(tuple(sorted(rows)))
    return {
        "never used": {name: len(inputs[name]) - len(rows) for name, rows in sorted(ever.items())},
        "always the same": {name: len(rows) == 1 for name, rows in sorted(choices.items())},
    }


def generator_use(impl, inputs):
    """Does the choice of rows follow the generator, and nothing but the generator?"""

    def run(generator, global_seed):
        torch.manual_seed(global_seed)
        recorder = Recorder(inputs)
        sets = (inputs["reference"], inputs["held_out"], inputs["generated"])
        impl.distance_ratio(recorder, *sets, generator)
        return [sorted(call["rows"].items()) for call in recorder.calls]

    generator = torch.Generator().manual_seed(5)
    first = run(generator, 1)
    second = run(generator, 1)  # the same generator, which has moved on
    return {
        "same seed, same rows": first == run(torch.Generator().manual_seed(5), 2),
        "other seed, same rows": first == run(torch.Generator().manual_seed(6), 1),
        "later draws, same rows": first == second,
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


def _share(function, case):
    """Recall or coverage of one case, with a k where the case names one."""
    k = [case["k"]] if "k" in case else []
    return _number(function(case["real"], case["generated"], *k))


def recalls(impl, inputs):
    return {"recall": [_share(impl.recall, case) for case in inputs["cases"]]}


def coverages(impl, inputs):
    return {"coverage": [_share(impl.coverage, case) for case in inputs["cases"]]}


def recalls_and_coverages(impl, inputs):
    return {**recalls(impl, inputs), **coverages(impl, inputs)}


# 8.6


def nearest(impl, inputs):
    """The two distances of every image."""
    return {"nearest": impl.two_nearest(inputs["images"], inputs["training"])}


def copies(impl, inputs):
    """Which rows of distances are those of a copy, with a ratio where the inputs name one."""
    option = {"ratio": inputs["ratio"]} if "ratio" in inputs else {}
    return {"copies": impl.is_copy(inputs["nearest"], **option)}


def rates_of_copies(impl, inputs):
    """Which images of each set are told to be copies of the training images."""
    return {
        "copies": {
            name: impl.is_copy(impl.two_nearest(images, inputs["training"]))
            for name, images in inputs["sets"].items()
        }
    }
