"""The clinic: twelve runs that went wrong, tools to examine them, and the mending of each.

The runs are small: they train the toy of points in the plane (course/pages/toy.py), with the
chapters' own functions, one of which is ill. What is stored of them is made by

    python -m benchmarks.clinic --write
"""

import copy
import functools
import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from course import ROOT, CourseError
from course.grading.checking import checks_of
from course.grading.code import LoadedCode, Overlay, reference
from course.grading.grader import Result, judge
from course.learner.workspace import Workspace
from course.pages.notebook import Card
from course.pages.plots import COLOURS
from course.pages.toy import (
    SHAPES,
    Network,
    cloud,
    distance,
    make_schedule,
    noisy_walk,
    points_on,
)
from course.probing.loading import load_file
from course.syllabus import PASSED, find_exercise

_cases = importlib.import_module("checks.cases")  # which course.grading lets be found
Case, cases, diagnosis, SETTINGS = _cases.Case, _cases.cases, _cases.diagnosis, _cases.SETTINGS
DECOYS = _cases.DECOYS
NUM_STEPS, UPDATES = _cases.NUM_STEPS, _cases.UPDATES

EVIDENCE = ROOT / "benchmarks" / "results" / "clinic.json"
MOMENTS = (100, 300, 600)  # updates after which points are drawn
DRAWN = 200  # points
SQUARE = ((-1, 1, 1, -1, -1), (-1, -1, 1, 1, -1))  # the range of the data, x and y of its corners
LAST = "mean of the last 100 losses"  # as it is called in the report, the chart and its words
LEAST = {"points": 2, "updates": 1, "batch": 1, "steps of the walk": 2}  # of what is counted
SHAPE = "moons"


def case_of(number: int) -> Case:
    """A case by its number, from 1.

    Raises:
        CourseError: if there is none.
    """
    if not 1 <= number <= len(cases()):
        raise CourseError(f"the clinic has the cases 1 to {len(cases())}, there is no {number!r}")
    return cases()[number - 1]


# Running a case


@dataclass
class Run:
    """A run of the toy, as far as it went."""

    network: nn.Module
    average: nn.Module  # with the averaged weights
    losses: list[float]
    drawings: list[Tensor]  # (DRAWN, 2, 1, 1) after each of the moments
    asked: Tensor  # (DRAWN,), the group that each point was asked for
    points: Tensor  # what it was trained on
    groups: Tensor
    numbers: dict[str, float] = field(default_factory=dict)


class Blurred(nn.Module):
    """The toy's network with dropout on its answer, which is off in eval mode."""

    def __init__(self, network: nn.Module, share: float):
        super().__init__()
        self.network, self.share, self.null_label = network, share, network.null_label

    def forward(self, x: Tensor, t: Tensor, groups: Tensor) -> Tensor:
        return F.dropout(self.network(x, t, groups), self.share, self.training)


def of_case(case: Case | None, exercise_id: str) -> ModuleType:
    """The chapter of an exercise, with the case's ill code in it if that is the one."""
    path = reference().path(find_exercise(exercise_id).chapter)
    module = load_file(path)
    if case and case.exercise == exercise_id:
        exec(compile(case.code, "<the owner's code>", "exec"), vars(module))
    return module


def own_function(case: Case, name: str) -> Callable:
    """A function of the owner's that is no exercise."""
    names = {"torch": torch}
    exec(compile(case.code, "<the owner's code>", "exec"), names)
    return names[name]


def data(settings: dict, case: Case | None) -> tuple[Tensor, Tensor]:
    """What a run is trained on: points and the group of each."""
    points, groups = points_on(SHAPES[SHAPE], settings["points"])
    if case and "def prepare" in case.code:
        stored = ((points + 1) * 127.5).round().to(torch.uint8)
        points = own_function(case, "prepare")(stored)
    return points, groups


def start(case: Case | None = None, **changes) -> Run:
    """Run a case from its beginning, or a sound run without one; some seconds.

    Args:
        case: whose fault is in the run.
        changes: settings that replace those of the case, as `{"updates": 300}`.

    Raises:
        CourseError: for a setting that there is not, or a number that cannot be.
    """
    settings = _settings(case, changes)
    parts = _Parts(case, settings)
    asked = torch.arange(DRAWN) % 2
    run = Run(parts.network, parts.average.model, [], [], asked, *data(settings, case))
    moments = [settings["updates"] * moment // UPDATES for moment in MOMENTS]
    for loss in parts.train(run, case, 0, settings["updates"]):
        run.losses.append(loss)
        if len(run.losses) in moments:
            run.drawings.append(draw(run, case, settings))
    return run


def _settings(case: Case | None, changes: dict) -> dict:
    """The settings of a run, each of which there must be."""
    settings = {**(case.shown if case else SETTINGS), **changes}
    if unknown := set(settings) - set(SETTINGS):
        raise CourseError(
            f"there is no setting {', '.join(map(repr, sorted(unknown)))}; there are "
            f"{', '.join(SETTINGS)}"
        )
    for counted, least in LEAST.items():
        if not isinstance(settings[counted], int) or settings[counted] < least:
            raise CourseError(
                f"{counted} must be a whole number from {least}, got {settings[counted]!r}"
            )
    return settings


def stop_and_go_on(case: Case | None = None, halfway: int = 300) -> tuple[Run, Run]:
    """The same run without a stop, and stopped halfway, saved, loaded and gone on with.

    Returns:
        (whole, resumed): of the same number of updates; no drawings are made.
    """
    settings, runs = SETTINGS, []
    for stops in (False, True):
        parts = _Parts(case, settings)
        run = Run(
            parts.network, parts.average.model, [], [], torch.arange(0), *data(settings, case)
        )
        run.losses += parts.train(run, case, 0, halfway)
        if stops:
            fresh = _Parts(case, settings)
            with tempfile.TemporaryDirectory() as folder:
                path, done = Path(folder) / "checkpoint.pt", halfway
                parts.ch05.save_checkpoint(path, *parts.state(), done)
                fresh.ch05.load_checkpoint(path, *fresh.state())
            parts, run.network, run.average = fresh, fresh.network, fresh.average.model
        run.losses += parts.train(run, case, halfway, 2 * halfway)
        runs.append(run)
    return runs[0], runs[1]


class _Parts:
    """What a run trains with: the chapters' code, and all that changes from step to step."""

    def __init__(self, case: Case | None, settings: dict):
        ill_here = case.exercise if case and case.exercise.startswith("5.") else "5.1"
        self.ch05, self.settings = of_case(case, ill_here), settings
        self.generator = torch.Generator().manual_seed(0)
        self.network: nn.Module = Network(num_groups=2, width=64)
        if share := settings["dropout in the network"]:
            self.network = Blurred(self.network, share)
        self.average = self.ch05.EMA(self.network, settings["EMA decay"])
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings["learning rate"])

    def state(self) -> tuple:
        return self.network, self.average, self.optimizer, self.generator

    def train(self, run: Run, case: Case | None, first: int, last: int) -> Iterator[float]:
        """The losses of the updates first ... last - 1."""
        drop, settings = of_case(case, "3.4").drop_labels, self.settings

        def batches():
            for step in range(first, last):
                picker = torch.Generator().manual_seed(1000 + step)  # the step decides the batch
                some = torch.randint(0, len(run.points), (settings["batch"],), generator=picker)
                yield run.points[some], run.groups[some]

        null_label = self.network.null_label
        return self.ch05.train(
            self.network,
            self.average,
            self.optimizer,
            batches(),
            make_schedule().alpha_bars,
            self.generator,
            reference().chapter("ch02_forward_process").q_sample,
            lambda labels, g: drop(labels, settings["label dropout"], null_label, g),
        )


def draw(run: Run, case: Case | None, settings: dict, seed: int = 0) -> Tensor:
    """Draw a point for each group that is asked for, as the owner of the case does."""
    ch02, ch06 = reference().chapter("ch02_forward_process"), of_case(case, "6.1")
    schedule, w = make_schedule(), settings["guidance w"]
    network: Any = run.average.eval()
    if settings["steps of the walk"] != NUM_STEPS:
        respace = of_case(case, "6.5").respace
        betas, times = respace(schedule.betas, settings["steps of the walk"])
        schedule = ch02.make_schedule(betas)
        trained = network

        def network(x, t, groups):
            return trained(x, times[t], groups)

    if case and "def predict(" in case.code:
        predict, run_mode = own_function(case, "predict"), run.average.train()
        network = functools.partial(predict, run_mode)

    def step(x, t, eps, noise, schedule):
        return ch06.p_sample(x, t, eps, noise, schedule, ch02.predict_x0, ch02.q_posterior)

    null_label, guided = run.average.null_label, ch06.guided_eps
    if case and "def make_predict" in case.code:
        predict_eps = own_function(case, "make_predict")(network, run.asked, w, null_label, guided)
    else:

        def predict_eps(x, t):
            return guided(network, x, t, run.asked, w, null_label)

    generator = torch.Generator().manual_seed(seed)
    x_T = torch.randn(len(run.asked), 2, 1, 1, generator=generator)
    with torch.random.fork_rng():  # dropout draws from torch's own generator
        walk = noisy_walk(schedule, step)
        return walk(predict_eps, x_T, generator, ())[0]


# What a case shows


@functools.cache
def stored() -> dict:
    return json.loads(EVIDENCE.read_text(encoding="utf-8"))


def chart(number: int | None) -> Figure:
    """What the owner sees: the loss, and points drawn at three moments; None is the sound run."""
    kept = stored()["sound" if number is None else str(number)]
    figure = Figure(figsize=(9.6, 2.6), dpi=90, layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=(1.5, 1, 1, 1))
    axes[0].plot(kept["at"], kept["losses"], color=COLOURS[0])
    if "losses without a stop" in kept:
        dashed = dict(linestyle="--", color=COLOURS[1], label="without a stop")
        axes[0].plot(kept["at"], kept["losses without a stop"], **dashed)
        axes[0].legend(fontsize=8)
    axes[0].set_title(f"loss; {LAST}: {kept['numbers'][LAST]:g}", fontsize=10)
    axes[0].set_xlabel("update")
    if max(kept["losses"]) > 3:
        axes[0].set_yscale("log")
    for place in axes[1 + len(kept["drawings"]) :]:
        place.axis("off")
    asked = torch.arange(DRAWN) % 2
    for place, after, points in zip(axes[1:], kept["moments"], kept["drawings"]):
        cloud(place, torch.tensor(points).view(-1, 2, 1, 1), asked, f"after {after} updates")
        place.plot(*SQUARE, color="0.7", linewidth=0.8, zorder=0)
    return figure


def words(number: int | None) -> str:
    """The chart in words, for those who cannot see it."""
    kept = stored()["sound" if number is None else str(number)]
    asked = torch.arange(DRAWN) % 2
    texts = [
        _words_of_loss(kept),
        f"{DRAWN} points are drawn, blue ones asked for as the upper moon and orange ones as the "
        "lower; a grey square goes from -1 to 1.",
    ]
    texts += [
        f"After {after} updates {_words_of_points(torch.tensor(points), asked)}."
        for after, points in zip(kept["moments"], kept["drawings"])
    ]
    return " ".join(texts)


def _words_of_loss(kept: dict) -> str:
    losses, size = torch.tensor(kept["losses"]), kept["at"][0]
    jump = losses[len(losses) // 2 :].diff().abs().mean()
    text = (
        f"The loss begins at {losses[0]:,.2f}, the mean of the first {size}, and ends at "
        f"{kept['numbers'][LAST]:g}, the {LAST}. In the second half, from one mean of {size} to "
        f"the next, it changes by {jump:.3f} on average."
    )
    if "losses without a stop" in kept:
        apart = (losses - torch.tensor(kept["losses without a stop"])).abs()
        same = kept["at"][int(apart.nonzero()[0])] - size
        text += (
            f" A dashed curve is the run without a stop. Up to update {same} the two are the same, "
            f"and after it {apart[same // size :].mean():.3f} apart on average."
        )
    return text


def _words_of_points(points: Tensor, asked: Tensor) -> str:
    off, furthest = from_moon(points, asked).median(), points.abs().amax(dim=1)
    outside, edge = furthest > 1, (furthest >= 0.99) & (furthest <= 1)
    spread = torch.stack([points[asked == moon].std(dim=0) for moon in (0, 1)]).mean(dim=0)
    beyond, cells = int((furthest > 2).sum()), len((points / 0.1).floor().unique(dim=0))
    return (
        f"half of them are within {off:.2f} of their moon; {int(outside.sum())} are out of the "
        f"square{f', {beyond} of these out of the picture' if beyond else ''}, and "
        f"{int(edge.sum())} at its edge; a moon's points spread by {spread[0]:.2f} in width and "
        f"{spread[1]:.2f} in height; all lie in {cells} cells of size 0.1"
    )


def report(number: int) -> str:
    """The owner's complaint, the configuration, the numbers and the code, as text.

    Code of an exercise is shown once yours passes, for it would give the answer away.
    """
    case, kept = case_of(number), stored()[str(number)]
    changed = (
        f"{name} = {value:g}" for name, value in case.shown.items() if value != SETTINGS[name]
    )
    lines = [
        f"Case {number}. “{case.complaint}”",
        f"settings: {', '.join(changed) or 'as in the sound run'}",
    ]
    lines += [f"{name}: {value:g}" for name, value in kept["numbers"].items()]
    code = case.code
    if case.exercise and Workspace().status(find_exercise(case.exercise)) != PASSED:
        code = f"the code that is ill is shown here once your exercise {case.exercise} passes"
    return "\n".join([*lines, "", code])


# Tools


def from_moon(points: Tensor, asked: Tensor) -> Tensor:
    """How far each point is from the line of the moon that was asked for: (N,)."""
    places, moons = points_on(SHAPES[SHAPE], 4000, spread=0)
    apart = torch.cdist(points.flatten(1), places.flatten(1))  # (N, 4000)
    return apart.masked_fill(asked[:, None] != moons, torch.inf).amin(dim=1)


def error_by_level(run: Run, levels: int = 5) -> list[float]:
    """The average's squared error in eps at equally wide bands of t, the cleanest first.

    On fresh points of the shape, that it was not trained on. A network that always answers 0 has 1.
    The average is the network with the averaged weights, with which is drawn.
    """
    points, groups = points_on(SHAPES[SHAPE], 1000, seed=7)
    schedule, generator = make_schedule(), torch.Generator().manual_seed(7)
    q_sample, found = reference().chapter("ch02_forward_process").q_sample, []
    with torch.no_grad():
        for level in range(levels):
            low, high = level * NUM_STEPS // levels, (level + 1) * NUM_STEPS // levels
            t = torch.randint(low, high, (len(points),), generator=generator)
            eps = torch.randn(points.shape, generator=generator)
            x_t = q_sample(points, t, eps, schedule.alpha_bars)
            found.append(float(F.mse_loss(run.average.eval()(x_t, t, groups), eps)))
    return found


def gradient_norm(run: Run) -> float:
    """The joint norm of the gradients in one batch of what the run was trained on."""
    network = copy.deepcopy(run.network).train()
    batch = run.points[:128], run.groups[:128]
    _loss(network, *batch, torch.Generator().manual_seed(3)).backward()
    return float(
        torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
    )


def overfit_one_batch(run: Run, updates: int = 200) -> list[float]:
    """Losses of a fresh network that sees one batch with one noise, again and again.

    The batch is the run's; network, loss, loop and learning rate are the tool's own. If the losses
    fall quickly towards 0, the points can be learned, and nothing is said of the run's loop. If
    they do not, look at the points.
    """
    network, batch = Network(num_groups=2, width=64), (run.points[:128], run.groups[:128])
    optimizer, losses = torch.optim.AdamW(network.parameters(), lr=3e-3), []
    for _ in range(updates):
        optimizer.zero_grad()
        loss = _loss(network, *batch, torch.Generator().manual_seed(3))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def guess_at(run: Run, t: int) -> Tensor:
    """The clean points that the network sees in noisy ones at a step t: (DRAWN, 2, 1, 1)."""
    ch02, schedule = reference().chapter("ch02_forward_process"), make_schedule()
    x0, groups = points_on(SHAPES[SHAPE], DRAWN, seed=7)
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(7))
    steps = torch.full((DRAWN,), t)
    x_t = ch02.q_sample(x0, steps, eps, schedule.alpha_bars)
    with torch.no_grad():
        seen = run.average.eval()(x_t, steps, groups)
    return ch02.predict_x0(x_t, steps, seen, schedule.alpha_bars)


def error_by_label(run: Run) -> dict[str, float]:
    """The average's squared error in eps with the right label, the other one and none.

    On the points that the run was trained on, with the same noise for each. A network that has
    learned its labels errs less with the right one than with none, and far less than with the
    other.
    """
    some = torch.arange(1000) % len(run.points)
    points, groups = run.points[some], run.groups[some]
    told = {"right": groups, "other": 1 - groups, "none": torch.full_like(groups, 2)}
    with torch.no_grad():
        return {
            name: float(_loss(run.average.eval(), points, labels, torch.Generator().manual_seed(7)))
            for name, labels in told.items()
        }


def nearest(run: Run) -> float:
    """How near the last drawing's points are to the nearest point trained on, in the median.

    As a share of the distance to the second nearest. A copy, says chapter 08, has 1/3 or less.
    """
    return float((_two_nearest(run)[:, 0] / _two_nearest(run)[:, 1]).median())


def _two_nearest(run: Run) -> Tensor:
    """Each point's distances to its two nearest points trained on: chapter 08's `two_nearest`."""
    two_nearest = reference().chapter("ch08_evaluation").two_nearest
    return two_nearest(run.drawings[-1].flatten(1), run.points.flatten(1))


def _loss(network: nn.Module, points: Tensor, groups: Tensor, generator: torch.Generator) -> Tensor:
    t = torch.randint(0, NUM_STEPS, (len(points),), generator=generator)
    eps = torch.randn(points.shape, generator=generator)
    q_sample = reference().chapter("ch02_forward_process").q_sample
    x_t = q_sample(points, t, eps, make_schedule().alpha_bars)
    return F.mse_loss(network(x_t, t, groups), eps)


# Naming and mending


def diagnoses() -> list[str]:
    """All that there is to choose from, in the alphabet's order; some fit no case."""
    return sorted([*map(diagnosis, cases()), *DECOYS])


def name(number: int, choice: int) -> None:
    """Say what ails a case, by the number of the diagnosis in `diagnoses()`, from 1."""
    known = diagnoses()
    if choice not in range(1, len(known) + 1):
        raise CourseError(f"choose a number from 1 to {len(known)}, got {choice!r}")
    chosen = known[choice - 1]
    if chosen == diagnosis(case_of(number)):
        print(f"✔ case {number}: {chosen}")
        return
    shows = DECOYS.get(chosen, "What would you see if it were so?")
    print(f"✘ case {number}: {chosen}. {shows} Test that, and look again.")


def mend(number: int, mended: Any) -> Card | None:
    """Grade the mended code, or the mended settings, of a case by what it does.

    Args:
        number: of the case.
        mended: the function or class of the case's code, made right; or a dict of settings.
    """
    case = case_of(number)
    if isinstance(mended, dict) and number - 1 not in SETTINGS_MENDED:
        print(f"✘ case {number}: other settings can only hide the fault. Mend the code.")
        return None
    if not case.exercise:
        problem = _own_problem(case, mended)
        print(f"✘ case {number}: {problem}" if problem else f"✔ case {number} is mended.")
        return None
    exercise = find_exercise(case.exercise)
    symbol = getattr(mended, "__name__", "")
    if symbol not in exercise.symbols:
        raise CourseError(f"case {number} wants {' or '.join(exercise.symbols)}, got {mended!r}")
    chapter = reference().chapter(exercise.chapter)
    code = LoadedCode(Overlay(chapter, **{symbol: mended}), "<your cell>")
    outcomes = []
    for check in checks_of(exercise.id):
        outcomes.append(judge(check, code))
        if outcomes[-1].status != PASSED:
            break
    return Card(Result(exercise, tuple(outcomes)))


def _own_problem(case: Case, mended: Any) -> str:
    """What is still wrong with a case that no exercise's checks grade; empty if nothing is."""
    number = cases().index(case)
    if number in SETTINGS_MENDED:
        return _problem_of_settings(number, mended)
    if not callable(mended):
        return f"hand in the function, not {mended!r}"
    try:
        return OWN_CHECKS[number](mended)
    except Exception as error:  # whatever the learner's code raises
        return f"it raises {type(error).__name__}: {error}"


def _problem_of_settings(number: int, settings: Any) -> str:
    """Train with these settings, and look at what comes out."""
    if not isinstance(settings, dict) or set(settings) - set(SETTINGS):
        return f"hand in a dict of settings, of {', '.join(SETTINGS)}"
    run = start(None, **{**cases()[number].settings, **settings})
    drawn, (fresh, _) = run.drawings[-1], points_on(SHAPES[SHAPE], 1000, seed=7)
    apart, off = distance(drawn, fresh), float(from_moon(drawn.flatten(1), run.asked).median())
    close = nearest_share(run)
    if not apart < 0.05:
        return f"after training, the drawing is {apart:.3f} from the shape; wanted below 0.05"
    if not off < SHARP:
        return (
            f"after training, half of the points are {off:.2f} or more from the moon asked for; "
            f"wanted below {SHARP}"
        )
    if close > 0.3:
        return f"{100 * close:.0f} % of what is drawn is still a point trained on"
    return ""


def nearest_share(run: Run) -> float:
    """The share of the last drawing that copies a point: chapter 08's `is_copy`."""
    return float(reference().chapter("ch08_evaluation").is_copy(_two_nearest(run)).double().mean())


def _problem_of_range(prepare: Callable) -> str:
    ends = torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1, 1)
    got = prepare(ends)
    if not isinstance(got, Tensor) or got.dtype != torch.float32 or got.shape != ends.shape:
        return "it should return float32 numbers in the shape of what was stored"
    low, high, between = got.flatten().tolist()
    if abs(low + 1) > 1e-4 or abs(high - 1) > 1e-4 or abs(between + 0.6) > 1e-4:
        return (
            f"0, 255 and 51 became {low:g}, {high:g} and {between:g}; the samplers clip to [-1, 1]"
        )
    return ""


def _problem_of_guidance(make_predict: Callable) -> str:
    answers = torch.tensor([1.0, 3.0, 2.0])
    x, t, labels = torch.zeros(2, 1, 1, 1), torch.tensor([4, 4]), torch.tensor([0, 1])

    def network(x, t, labels):
        return answers[labels].view(-1, 1, 1, 1) + 0 * x

    guided = reference().chapter("ch06_guided_sampling").guided_eps
    for w in (0.0, 1.0, 2.5):
        got = make_predict(network, labels, w, 2, guided)(x, t).flatten()
        wanted = (1 + w) * answers[:2] - w * 2
        if not torch.allclose(got, wanted):
            return f"with w = {w:g} the predictions are {got.tolist()}, wanted {wanted.tolist()}"
    return ""


def _problem_of_mode(predict: Callable) -> str:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    network.forward = lambda x, t, labels, layers=list(network): layers[1](layers[0](x))
    x, t = torch.ones(8, 2), torch.zeros(8, dtype=torch.int64)
    for mode in (True, False):
        network.train(mode)
        one, other = predict(network, x, t, t), predict(network, x, t, t)
        if not torch.equal(one, other):
            return "two calls with the same input still differ"
        if any(part.training != mode for part in network.modules()):
            return (
                f"a network in {'training' if mode else 'eval'} mode is left in the other; leave "
                "it in the mode in which you found it"
            )
        if one.requires_grad:
            return "the result hangs on a graph"
    return ""


SETTINGS_MENDED = (0, 11)  # cases that are mended by settings, from 0
SHARP = 0.06  # half of the points are nearer to their moon; some 0.04 in a sound run
OWN_CHECKS = {2: _problem_of_range, 5: _problem_of_guidance, 7: _problem_of_mode}
