"""Distil a model into copies that draw in fewer calls, as in chapter 12.

progressive   a student learns to go in one step where its teacher goes in two, and then it is the
              teacher: 16 calls become 8, 4, 2, 1
consistency   the model learns, without a teacher, to guess the same image all along a path
"""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course import CourseError
from course.files import write_whole
from course.model import METHODS
from course.model.data import kind_of, load_images
from course.model.models import (
    Implementation,
    build_schedule,
    choose_device,
    load_model,
    save_model,
)
from course.model.sampling import eps_network, few_steps_grid, require_guidance

STAGES = 4  # of consistency: at stage k the target is at t * (1 - 2^-k)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what distilling computes, beside the model that it begins with."""

    method: str = "progressive"
    calls: int = 4  # that the last student makes
    teacher_calls: int = 16  # of DDIM, by the model that is distilled
    guidance: float = 0.5  # of that model; the students have it in their weights
    steps: int = 1000  # of training, for each student
    batch_size: int = 32
    lr: float = 1e-3
    warmup: int = 20  # steps
    label_dropout: float = 0.1
    max_grad_norm: float = 1.0
    seed: int = 0


def rounds_of(recipe: Recipe) -> list[int]:
    """How many calls each student in turn makes.

    Raises:
        CourseError: if halving does not lead from the teacher's calls to the last student's.
    """
    if recipe.method not in METHODS:
        raise CourseError(f"--method is {' or '.join(METHODS)}, got {recipe.method!r}")
    halves = [recipe.teacher_calls]
    while halves[-1] % 2 == 0:
        halves.append(halves[-1] // 2)
    if recipe.calls not in halves[1:]:
        raise CourseError(
            f"halving {recipe.teacher_calls} calls gives {', '.join(map(str, halves[1:]))}; "
            f"got --calls {recipe.calls}"
        )
    if recipe.method == "consistency":
        return [recipe.calls]
    return halves[1 : halves.index(recipe.calls) + 1]


class Distilling:
    """One model, distilled, and its folder.

    DIR/config.json                     the recipe, the first model, data and implementation
    DIR/metrics.json                    each student's losses and seconds
    DIR/models/N_calls.safetensors      each student
    DIR/models/model.safetensors        the last one
    """

    def __init__(
        self,
        folder: Path,
        model_file: Path,
        recipe: Recipe,
        impl: Implementation,
        data: str = "auto",
        device: str = "auto",
        quiet: bool = False,
    ):
        self.folder, self.impl, self.recipe, self.quiet = Path(folder), impl, recipe, quiet
        self.rounds = rounds_of(recipe)
        require_guidance(recipe.guidance)
        if recipe.steps < 1:
            raise CourseError(f"--steps must be at least 1, got {recipe.steps}")
        self.device = choose_device(device)
        self.first, self.config = load_model(model_file, impl)
        config = self.config
        digits = config.text is None and not config.classes
        in_pixels = config.network_shape == config.image_shape
        if not digits or config.calls or config.prediction != "v" or not in_pixels:
            raise CourseError(
                f"{model_file} cannot be distilled: it has to be a model that draws digits in "
                "pixels, predicts v, and has not been distilled already"
            )
        if kind_of(data) != "digits":
            raise CourseError(
                f"a model of digits is distilled, and {data} has none; leave --data out"
            )
        self.model_file = Path(model_file)
        self.train_set = load_images(data, train=True, download=True)
        self.alpha_bars = build_schedule(impl, self.config).alpha_bars.to(self.device)
        self.metrics: dict[str, dict] = {}

    def train(self) -> Path:
        """Train student after student, from the first that is not there yet; the last one's file.

        Raises:
            CourseError: if the folder holds something else.
        """
        models = self.folder / "models"
        models.mkdir(parents=True, exist_ok=True)
        self._remember()
        teacher = self.first.to(self.device)
        for calls in self.rounds:
            path = models / f"{calls}_calls.safetensors"
            if not path.is_file():
                self._round(teacher, calls, path)
            teacher = load_model(path, self.impl)[0].to(self.device)
        last = models / "model.safetensors"
        write_whole(last, path.read_bytes())
        return last

    def _remember(self) -> None:
        """Write or compare what the folder holds."""
        file, metrics = self.folder / "config.json", self.folder / "metrics.json"
        config = {
            **asdict(self.recipe),
            "model": self.model_file.name,
            "data": self.train_set.name,
            "implementation": self.impl.folder.name,
        }
        if file.is_file() and json.loads(file.read_text(encoding="utf-8")) != config:
            raise CourseError(
                f"{self.folder} holds a run with other settings; choose another --name, or the "
                "same settings to go on with it"
            )
        write_whole(file, json.dumps(config, indent=2) + "\n")
        if metrics.is_file():
            self.metrics = json.loads(metrics.read_text(encoding="utf-8"))

    def _round(self, teacher: nn.Module, calls: int, path: Path) -> None:
        """Train one student, and keep it."""
        started, recipe, ch05 = time.monotonic(), self.recipe, self.impl.chapter("ch05_training")
        # A copy, not the teacher itself: otherwise the target would move with every step.
        student = copy.deepcopy(teacher).requires_grad_(True)
        # Decay 0: the average is the student. Its learning rate falls to 0, which averages, too.
        average = ch05.EMA(student, decay=0.0)
        optimizer = ch05.make_optimizer(student, recipe.lr, weight_decay=0.0)
        generator = torch.Generator().manual_seed(recipe.seed)
        losses = []
        bar = tqdm(range(recipe.steps), desc=f"{calls} calls", unit="step", disable=self.quiet)
        for step in bar:
            for group in optimizer.param_groups:
                group["lr"] = ch05.learning_rate(
                    step, recipe.steps, recipe.lr, recipe.warmup, decay=True
                )
            batch = self._batch(generator)
            if recipe.method == "progressive":
                compute_loss = self._progressive(teacher, calls, batch, generator)
            else:
                compute_loss = self._consistency(step, batch, generator)
            losses.append(
                ch05.training_step(student, average, optimizer, compute_loss, recipe.max_grad_norm)
            )
        save_model(path, average.model, replace(self.config, calls=calls))
        seconds = round(time.monotonic() - started, 1)
        self.metrics[str(calls)] = {"losses": losses, "seconds": seconds}
        write_whole(self.folder / "metrics.json", json.dumps(self.metrics) + "\n")

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images and labels, some of these replaced by the null label."""
        count = (self.recipe.batch_size,)
        index = torch.randint(len(self.train_set), count, generator=generator)
        x0, labels = self.train_set.batch(index)
        labels = self.impl.chapter("ch03_embeddings").drop_labels(
            labels, self.recipe.label_dropout, self.config.null_label, generator
        )
        return x0.to(self.device), labels.to(self.device)

    def _noise(self, x0: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(x0.shape, generator=generator).to(self.device)

    def _progressive(self, teacher, calls, batch, generator) -> Callable[[nn.Module], Tensor]:
        """The loss of a student that makes half as many calls as its teacher."""
        ch12 = self.impl.chapter("ch12_few_steps")
        x0, labels = batch
        grid = few_steps_grid(self.impl, self.alpha_bars, 2 * calls, self.recipe.teacher_calls)
        pairs = ch12.paired_steps(grid)
        which = torch.randint(calls, (len(x0),), generator=generator).to(self.device)
        steps = tuple(part[which] for part in pairs)  # three of (B,)
        eps = self._noise(x0, generator)
        q_sample = self.impl.chapter("ch02_forward_process").q_sample
        x_t = q_sample(x0, steps[0], eps, self.alpha_bars)
        # Guidance is distilled once. From the second round on the teacher has it in its weights.
        guidance = self.recipe.guidance if 2 * calls == self.recipe.teacher_calls else 0.0
        teacher_step = self.teacher_step(teacher, guidance)
        return lambda student: ch12.distillation_loss(
            student, teacher_step, x_t, steps, labels, self.alpha_bars, ch12.jump_x0
        )

    def teacher_step(self, teacher: nn.Module, guidance: float) -> Callable[..., Tensor]:
        """One step of DDIM by the teacher, as (x, t, t_next, labels) -> x at t_next."""
        network = eps_network(self.impl, teacher, self.config, self.alpha_bars)
        predict_x0 = self.impl.chapter("ch02_forward_process").predict_x0
        ch06, ch07 = (self.impl.chapter(c) for c in ("ch06_guided_sampling", "ch07_fast_sampling"))

        def step(x: Tensor, t: Tensor, t_next: Tensor, labels: Tensor) -> Tensor:
            if guidance == 0:
                eps = network(x, t, labels)
            else:
                eps = ch06.guided_eps(network, x, t, labels, guidance, self.config.null_label)
            return ch07.ddim_step(x, t, t_next, eps, None, self.alpha_bars, predict_x0)

        return step

    def _consistency(self, step, batch, generator) -> Callable[[nn.Module], Tensor]:
        """The loss of a model that is to agree with itself; the places come nearer by stages."""
        ch12 = self.impl.chapter("ch12_few_steps")
        q_sample = self.impl.chapter("ch02_forward_process").q_sample
        x0, labels = batch
        t = torch.randint(len(self.alpha_bars), (len(x0),), generator=generator).to(self.device)
        stage = 1 + STAGES * step // self.recipe.steps
        t_next = t - 1 - t // 2**stage
        eps = self._noise(x0, generator)
        return lambda model: ch12.consistency_loss(
            model, x0, t, t_next, labels, eps, self.alpha_bars, q_sample
        )
