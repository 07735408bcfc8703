"""Measure a generator of digits: are they right, do they look real, are they varied, are they new?

Every figure of generated images is beside the same figure of real, held-out images, measured
in the same way and at the same number. Only the two together say something: a Fréchet distance
falls with the number of images, and a nearest neighbour comes nearer in a larger training set.

    reference   real images of the training part, as many of each digit as are measured
    held out    real images of the test part, as many of each digit; the yardstick
    measured    the images in question, with the labels that were asked for

All images are in [-1, 1], (N, 1, 28, 28), clamped and rounded to 256 grey levels.
"""

import hashlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import torch
from rich.table import Table
from torch import Tensor

from course import CourseError
from course.files import require_writable, write_whole
from course.model.data import NAMES, Images, load_images
from course.model.digit_networks import extract, load_network, logits, quantise
from course.model.exported import load_exported
from course.model.forms import Form, Formed
from course.model.held_out import BANDS, eps_mse_by_band
from course.model.models import (
    Implementation,
    build_schedule,
    choose_device,
    device_of,
    load_model,
)
from course.model.prompts import Captioned
from course.model.sampling import draw, eps_network, require_guidance

RECALL_K = 3  # Kynkäänniemi et al. use 3
COVERAGE_K = 5  # Naeem et al. use 5
COPY_RATIO = 1 / 3  # Yoon et al. 2023
CLOSE_QUANTILE = 0.01  # of the held-out images' distances to the training set
MSE_IMAGES = 512  # held-out images on which the network's error is measured
RATIOS = ("frechet", "recall", "coverage", "nearest", "spread", "ink", "sharpness")

# From where on something is flagged. Held-out real images stay clear of every limit.
ACCURACY_LIMIT = 0.95  # of the accuracy on real images
DIGIT_LIMIT = 0.8  # the worst digit's accuracy, of that of all
FRECHET_LIMIT = 5.0  # times real against real, which falls as the number of images grows
VARIETY_LIMIT = 0.6  # of real against real's recall and coverage
SPREAD_LIMIT = 0.3  # of the distance between real images that are neighbours
COPY_LIMIT = 0.05  # more copies among all images than in the held-out ones
SHARPNESS_LIMITS = (0.75, 1.3)  # times the real images'


# A set of images, measured


@dataclass(frozen=True)
class Share:
    """`part` of `count`, with a 95 % interval."""

    part: int
    count: int
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        return self.part / self.count if self.count else math.nan


def share_of(ch08: ModuleType, part: Tensor, count: Tensor) -> Share:
    part, count = int(part), int(count)
    low, high = ch08.wilson_interval(part, count)
    return Share(part, count, (float(low), float(high)))


@dataclass(frozen=True)
class Values:
    """What was measured on one set of images."""

    accuracy: Share  # judged to be the digit that was asked for
    by_digit: tuple[Share, ...]
    worst_digit: int
    frechet: float
    recall: float
    coverage: float
    nearest: float  # median Euclidean distance to the training set, over the pixels
    close: float  # share nearer to it than all but 1 % of the held-out images
    copied: float  # share three times as near to one training image as to any other
    spread: float  # median distance to the nearest other image of the set
    ink: float
    sharpness: float


@dataclass(frozen=True)
class Measurement:
    """A set's figures beside those of held-out real images, at the same number of each digit."""

    values: Values
    real: Values
    frechet_ratio: float  # of the two Fréchet distances, by chapter 08's distance_ratio

    def ratio(self, name: str) -> float:
        """One figure as a multiple of the real images'; `name` is a field of Values."""
        if name == "frechet":
            return self.frechet_ratio
        real = getattr(self.real, name)
        return getattr(self.values, name) / real if real else math.nan


class Ruler:
    """Measures sets of images that have the same labels against the same real images.

    What is measured is defined in chapter 08. `real` holds the figures of the held-out images. Two
    rulers with the same arguments give the same figures.
    """

    def __init__(
        self,
        impl: Implementation,
        train_set: Images,
        test_set: Images,
        labels: Tensor,
        seed: int = 0,
    ):
        """labels: of the images that will be measured, (N,), int64."""
        self.ch08 = impl.chapter("ch08_evaluation")
        self.labels, self.seed = labels, seed
        self.judge, self.judge_info = load_network("judge")
        self.features, self.features_info = load_network("features")
        self.training = train_set.batch(slice(None))[0].flatten(1)  # (M, 784)
        self.reference = extract(self.features, matching(train_set, labels, seed))
        held_out = quantise(matching(test_set, labels, seed))
        self.held_out = extract(self.features, held_out)
        nearest = self.ch08.two_nearest(held_out.flatten(1), self.training)[:, 0]
        self.close = float(nearest.quantile(CLOSE_QUANTILE))
        self.real = self.values(held_out, self.held_out)

    def measure(self, images: Tensor) -> Measurement:
        """Figures of images (N, 1, 28, 28) that were drawn for the ruler's labels.

        Raises:
            CourseError: if shape or number do not fit, or a pixel is not a finite number.
        """
        expected = (len(self.labels), 1, 28, 28)
        if tuple(images.shape) != expected:
            raise CourseError(f"expected images of shape {expected}, got {tuple(images.shape)}")
        if not bool(images.isfinite().all()):
            broken = int((~images.isfinite()).flatten(1).any(dim=1).sum())
            raise CourseError(f"{broken} of {len(images)} images hold infinite values or NaN")
        images = quantise(images.float().cpu())
        features = extract(self.features, images)
        ratio = self.ch08.distance_ratio(
            self.frechet,
            self.reference,
            self.held_out,
            features,
            torch.Generator().manual_seed(self.seed),
        )
        return Measurement(self.values(images, features), self.real, float(ratio))

    def frechet(self, a: Tensor, b: Tensor) -> float:
        """The Fréchet distance of two sets of features."""
        moments = self.ch08.feature_moments
        return float(self.ch08.frechet_distance(*moments(a), *moments(b)))

    def values(self, images: Tensor, features: Tensor) -> Values:
        ch08, pixels = self.ch08, images.flatten(1)
        right, count, worst = ch08.right_by_class(logits(self.judge, images), self.labels)
        near = ch08.two_nearest(pixels, self.training)
        return Values(
            accuracy=self.share(right.sum(), count.sum()),
            by_digit=tuple(self.share(*numbers) for numbers in zip(right, count)),
            worst_digit=int(worst),
            frechet=self.frechet(self.reference, features),
            recall=float(ch08.recall(self.reference, features, RECALL_K)),
            coverage=float(ch08.coverage(self.reference, features, COVERAGE_K)),
            nearest=float(near[:, 0].median()),
            close=float((near[:, 0] < self.close).double().mean()),
            copied=float(ch08.is_copy(near, COPY_RATIO).double().mean()),
            spread=float(ch08.two_nearest(pixels, pixels)[:, 1].median()),
            ink=ink(images),
            sharpness=sharpness(images),
        )

    def share(self, part: Tensor, count: Tensor) -> Share:
        return share_of(self.ch08, part, count)


# Simple properties of the pixels


def ink(images: Tensor) -> float:
    """Mean brightness, 0 for black and 1 for white."""
    return float((images.double() + 1).mean() / 2)


def sharpness(images: Tensor) -> float:
    """How much neighbouring pixels differ, against how bright they are.

    The squared differences between neighbours, summed, over the squared brightness, summed: the
    mean squared frequency of the image. Blur lowers it, noise raises it.
    """
    pixels = (images.double() + 1) / 2
    change = pixels.diff(dim=2).square().sum() + pixels.diff(dim=3).square().sum()
    return float(change / pixels.square().sum().clamp_min(1e-9))


# Real images to compare with, and what is wrong


def matching(images: Images, labels: Tensor, seed: int) -> Tensor:
    """A random real image for each label, none of them twice: (N,) -> (N, 1, 28, 28).

    Raises:
        CourseError: if the data set has too few images of a digit.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    index = torch.empty_like(labels)
    for digit in labels.unique():
        places = (labels == digit).nonzero()[:, 0]
        there = order[images.labels[order] == digit]
        if len(there) < len(places):
            raise CourseError(
                f"{len(labels)} images need {len(places)} real ones of the digit {int(digit)} to "
                f"be compared with, and this part of {images.name} has {len(there)}; choose a "
                f"--count of at most {largest_count(images)}"
            )
        index[places] = there[: len(places)]
    return images.batch(index)[0]


def largest_count(*parts: Images) -> int:
    """Of how many images, as many of each digit, each of the parts has real ones to compare."""
    return 10 * min(int(part.labels.bincount(minlength=10).min()) for part in parts)


def flags(measurement: Measurement) -> list[str]:
    """What is wrong with a set of images, in words; an empty list if nothing shows.

    The limits stand at the top of this module. No flag is no praise: it says only that none of
    these failures was seen.
    """
    checks = (_accuracy_flag, _digit_flag, _polarity_flag, _frechet_flag)
    checks += (_variety_flag, _repeated_flag, _copy_flag, _sharpness_flag)
    return [text for text in (check(measurement) for check in checks) if text]


def _accuracy_flag(m: Measurement) -> str | None:
    share, real = m.values.accuracy, m.real.accuracy.value
    if share.interval[1] < ACCURACY_LIMIT * real:
        text = f"only {share.value:.1%} of the images are judged to be the digit asked for"
        if m.ratio("frechet") < FRECHET_LIMIT and share.value < 0.5:
            text += ", though as a set they look real: the labels are mixed up or ignored"
        return text
    return None


def _digit_flag(m: Measurement) -> str | None:
    digit = m.values.worst_digit
    share = m.values.by_digit[digit]
    if share.interval[1] < DIGIT_LIMIT * m.values.accuracy.value:
        return f"only {share.value:.1%} of the images for the digit {digit} are judged to be one"
    return None


def _polarity_flag(m: Measurement) -> str | None:
    if abs(m.values.ink - (1 - m.real.ink)) < abs(m.values.ink - m.real.ink):
        return (
            f"the mean brightness is {m.values.ink:.2f}, that of real images {m.real.ink:.2f}: "
            "black and white are inverted, or the background is not black"
        )
    return None


def _frechet_flag(m: Measurement) -> str | None:
    if m.ratio("frechet") > FRECHET_LIMIT:
        return (
            f"the Fréchet distance to real images is {m.ratio('frechet'):.1f} times that between "
            "real images: as a set they can be told from the data"
        )
    return None


def _variety_flag(m: Measurement) -> str | None:
    share = min(m.ratio("recall"), m.ratio("coverage"))
    if share < VARIETY_LIMIT:
        return (
            f"recall is {m.ratio('recall'):.0%} and coverage {m.ratio('coverage'):.0%} of what "
            "other real images reach: much of the data's variety is missing"
        )
    return None


def _repeated_flag(m: Measurement) -> str | None:
    if m.ratio("spread") < SPREAD_LIMIT:
        return (
            f"images lie {m.ratio('spread'):.0%} as far from their nearest neighbour in the set as "
            "real ones do: the same images are repeated"
        )
    return None


def _copy_flag(m: Measurement) -> str | None:
    if m.values.copied > m.real.copied + COPY_LIMIT:
        return (
            f"{m.values.copied:.1%} of the images lie three times as near to one training image as "
            f"to any other (held-out images: {m.real.copied:.1%}): the training set is copied"
        )
    return None


def _sharpness_flag(m: Measurement) -> str | None:
    low, high = SHARPNESS_LIMITS
    sharp = m.ratio("sharpness")
    if _polarity_flag(m):
        return None  # a bright background changes the measure
    if sharp < low:
        return f"neighbouring pixels differ {sharp:.2f} times as much as in real images: blurred"
    if sharp > high:
        return f"neighbouring pixels differ {sharp:.2f} times as much as in real images: noise"
    return None


# A model, measured


def data_of(trained_on: str, asked: str = "auto") -> tuple[Images, Images]:
    """Training and test part of the data set that a model was trained on, or of the one asked for.

    Raises:
        CourseError: if it is not on this machine, or measuring against it would say nothing.
    """
    name = trained_on.lower()
    if asked not in NAMES:
        raise CourseError(f"there is no data set {asked!r}; choose one of {', '.join(NAMES)}")
    if name not in ("mnist", "mnist5k"):
        raise CourseError(
            f"this model was trained on {trained_on}, which the course does not have, and against "
            "other data it cannot be measured. Train one anew: course train --name NAME"
        )
    if (name, asked) == ("mnist5k", "mnist"):
        raise CourseError(
            "this model was trained on mnist5k, and is measured against its 500 held-out digits. "
            "Use --data mnist5k, or leave it out"
        )
    name = name if asked == "auto" else asked
    return load_images(name, train=True), load_images(name, train=False)


def data_at_hand(trained_on: str) -> str:
    """What to measure a model against: its own data; without MNIST on the disk, mnist5k."""
    if trained_on == "MNIST" and load_images("auto", train=False).name == "mnist5k":
        return "mnist5k"
    return "auto"


def remarks(trained_on: str, data: Images) -> list[str]:
    """What has to be known of the held-out images before a figure is believed."""
    if data.name != "mnist5k":
        return []
    seen = "the judge and the features have seen these held-out digits in their training"
    if trained_on == "mnist5k":
        return [f"{seen}: they may be surer of them than of new ones"]
    return [
        f"{seen}, and so has the model: its error on them is that on training images",
        "copies are looked for among 4,500 of the model's 60,000 training images; with MNIST on "
        "the disk (DIFFUSION_DATA) all are searched, and the held-out images are new to everyone",
    ]


class Measuring(ABC):
    """One model, measured; the report is written as it grows.

    What is measured is decided by those that build on it: they give `test_set`, and `run`.
    """

    test_set: Images | Captioned

    def __init__(
        self,
        impl: Implementation,
        model_file: Path,
        out: Path,
        count: int = 1000,
        num_steps: int = 50,
        sampler: str = "ancestral",
        seed: int = 0,
        device: str = "auto",
        quiet: bool = False,
        onnx: bool = False,
    ):
        if count < 10:
            raise CourseError(f"--count must be at least 10, got {count}")
        if Path(out).suffix != ".json":
            raise CourseError(f"--out must end in .json, got {str(out)!r}")
        require_writable(Path(out))
        self.impl, self.out, self.quiet = impl, Path(out), quiet
        self.num_steps, self.sampler, self.seed = num_steps, sampler, seed
        self.model, self.config = (load_exported if onnx else load_model)(model_file, impl)
        if not self.config.calls and not 2 <= num_steps <= self.config.num_steps:
            raise CourseError(
                f"steps must be between 2 and {self.config.num_steps}, got {num_steps}"
            )
        self.model = self.model.to(choose_device(device))
        self.report = {
            "model": Path(model_file).name,
            "model_sha256": hashlib.sha256(Path(model_file).read_bytes()).hexdigest(),
            "implementation": impl.folder.name,
            "data": self.config.data,
            "steps": num_steps,
            "sampler": sampler,
            "seed": seed,
            "device": str(device_of(self.model)),
            "torch": torch.__version__,
            "network": "ONNX Runtime" if onnx else "PyTorch",
            "generated": [],
            "complete": False,
        }

    @abstractmethod
    def run(self, guidances: list[float]) -> dict:
        """Measure everything; interrupted, the report keeps what was finished."""

    def eps_mse(self, images: Images | Captioned) -> dict:
        """The network's own error on these images."""
        device = device_of(self.model)
        alpha_bars = build_schedule(self.impl, self.config).alpha_bars.to(device)
        network = eps_network(self.impl, self.model, self.config, alpha_bars)
        progress = None if self.quiet else "the network's error"
        count = min(MSE_IMAGES, len(images))
        images = Formed(images, Form(self.impl, self.config, self.model))
        bands = eps_mse_by_band(network, alpha_bars, images, MSE_IMAGES, 0, progress)
        return {"mean": sum(bands) / len(bands), "bands": bands, "images": count}

    def _write(self) -> None:
        write_whole(self.out, json.dumps(self.report, indent=2) + "\n")


class MeasuringPictures(Measuring):
    """A model whose pictures can be judged: what it draws is measured, guidance by guidance.

    Those that build on it give `row`.
    """

    def run(self, guidances: list[float]) -> dict:
        """The network's error, and what it draws with each guidance."""
        for guidance in guidances:
            require_guidance(guidance)
        self._write()
        self.report["held_out_eps_mse"] = self.eps_mse(self.test_set)
        self._write()
        for guidance in dict.fromkeys(guidances):
            self.report["generated"].append(self.row(guidance))
            self._write()
        self.report["complete"] = True
        self._write()
        return self.report

    @abstractmethod
    def row(self, guidance: float) -> dict:
        """Draw with one guidance and measure what comes."""

    def draw(self, asked: list[int] | list[str], guidance: float) -> Tensor:
        """The pictures to be measured."""
        images, _ = draw(
            self.impl,
            self.model,
            self.config,
            asked,
            guidance=guidance,
            num_steps=self.num_steps,
            sampler=self.sampler,
            seed=self.seed,
            progress=None if self.quiet else f"drawing {len(asked)} with w = {guidance:g}",
        )
        return images


class Evaluation(MeasuringPictures):
    """A model of digits: are they right, do they look real, are they varied, are they new?"""

    def __init__(
        self,
        impl: Implementation,
        model_file: Path,
        out: Path,
        count: int = 1000,
        data: str = "auto",
        seed: int = 0,
        **options,
    ):
        super().__init__(impl, model_file, out, count, seed=seed, **options)
        if data == "auto":
            data = data_at_hand(self.config.data)
        train_set, self.test_set = data_of(self.config.data, data)
        self.notes = remarks(self.config.data, self.test_set)
        if count > (largest := largest_count(train_set, self.test_set)):
            self.notes.append(f"{largest} images for each w, not {count:,}: {self.test_set.name} "
                              f"holds out {largest // 10} of each digit")  # fmt: skip
            count = largest
        self.labels = torch.arange(count) % 10
        self.ruler = Ruler(impl, train_set, self.test_set, self.labels, seed)
        self.measured: dict[float, Measurement] = {}
        self.report |= {
            "against": self.test_set.name,
            "notes": self.notes,
            "count": count,
            "recall_k": RECALL_K,
            "coverage_k": COVERAGE_K,
            "judge_sha256": self.ruler.judge_info["sha256"],
            "features_sha256": self.ruler.features_info["sha256"],
            "real": as_dict(self.ruler.real),
        }

    def row(self, guidance: float) -> dict:
        started = time.monotonic()
        measurement = self.ruler.measure(self.draw(self.labels.tolist(), guidance))
        self.measured[guidance] = measurement
        return {
            "guidance": guidance,
            **as_dict(measurement.values),
            "against_real": {name: _or_none(measurement.ratio(name)) for name in RATIOS},
            "flags": flags(measurement),
            "seconds": round(time.monotonic() - started, 1),
        }


# For the file and the screen


def as_dict(values: Values) -> dict:
    """The figures as they stand in evaluation.json."""
    fields = asdict(values)
    fields["accuracy"] = share_dict(values.accuracy)
    fields["by_digit"] = [share_dict(share) for share in values.by_digit]
    return fields


def share_dict(share: Share) -> dict:
    low, high = share.interval
    return {
        "part": share.part, "count": share.count, "value": share.value, "low": low, "high": high
    }  # fmt: skip


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number  # JSON knows no NaN


def tables(evaluation: Evaluation) -> list[Table]:
    """The figures with a column for the held-out images and one for each guidance."""
    real = evaluation.ruler.real
    rows = evaluation.measured
    count = len(evaluation.labels)
    walk = f"{evaluation.num_steps} steps, {evaluation.sampler}"
    table = Table(title=f"{count} images a column, {evaluation.test_set.name}, {walk}")
    table.add_column("")
    for name in ("held-out images", *(f"w = {guidance:g}" for guidance in rows)):
        table.add_column(name, justify="right")

    def line(text: str, show: Callable[[Values], str], ratio: str | None = None) -> None:
        cells = [show(real)]
        for m in rows.values():
            beside = f" ({m.ratio(ratio):.2f} x)" if ratio else ""
            cells.append(show(m.values) + beside)
        table.add_row(text, *cells)

    line("right digit", lambda v: f"{v.accuracy.value:.1%}")
    line("  95 % interval", lambda v: "{:.1%} - {:.1%}".format(*v.accuracy.interval))
    for digit in range(10):
        line(f"  digit {digit}", lambda v, digit=digit: f"{v.by_digit[digit].value:.1%}")
    line("  worst digit", lambda v: f"{v.worst_digit}: {v.by_digit[v.worst_digit].value:.1%}")
    line(
        "    95 % interval",
        lambda v: "{:.1%} - {:.1%}".format(*v.by_digit[v.worst_digit].interval),
    )
    line("Fréchet distance", lambda v: f"{v.frechet:.3f}", "frechet")
    line(f"recall, k = {RECALL_K}", lambda v: f"{v.recall:.3f}", "recall")
    line(f"coverage, k = {COVERAGE_K}", lambda v: f"{v.coverage:.3f}", "coverage")
    line("distance to training set", lambda v: f"{v.nearest:.2f}", "nearest")
    line("  nearer than real's 1 %", lambda v: f"{v.close:.1%}")
    line("  copies", lambda v: f"{v.copied:.1%}")
    line("distance within the set", lambda v: f"{v.spread:.2f}", "spread")
    line("mean brightness", lambda v: f"{v.ink:.3f}", "ink")
    line("sharpness", lambda v: f"{v.sharpness:.3f}", "sharpness")

    return [table, error_table(evaluation)]


def error_table(evaluation: Measuring) -> Table:
    """The network's own error, band by band."""
    mse = evaluation.report["held_out_eps_mse"]
    errors = Table(title=f"held-out eps-MSE, {mse['images']} test images, mean {mse['mean']:.4f}")
    for heading in ("t", "eps-MSE"):
        errors.add_column(heading, justify="right")
    width = evaluation.config.num_steps / BANDS
    for band, error in enumerate(mse["bands"]):
        errors.add_row(f"{band * width:.0f} - {(band + 1) * width - 1:.0f}", f"{error:.4f}")
    return errors
