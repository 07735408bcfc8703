"""Measure what prompts do: three readers of captions, what is learned when, combinations, maps.

course train --preset prompts            and prompts-pooled, prompts-bag, pairs: the runs
python -m benchmarks.prompts             tables from those of these runs that are there
python -m benchmarks.prompts --write     and benchmarks/results/prompts.json with its two pictures

encoders   each attribute, for captions of combinations that were in the training and of those that
           were kept out of it, and for captions in twos that differ in nothing but which colour is
           the digit's: "a red seven on blue", "a blue seven on red"
learning   each attribute after every epoch of `prompts`
guidance   each attribute over w, beside the product of digit, colour and ground
sides      of `pairs`, how often the relation is right if the caption begins with the digit on the
           left or above, and if it begins with the other: "a blue seven right of a red three"
maps       how much the pixels look at each word, in one picture with less and less noise

What was measured is kept: the same command goes on with what is missing, or was trained anew.
Minutes for each run on one core. MNIST has to be there if the runs were trained on it.
"""

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.kept import load, save
from course import ROOT
from course.learner.workspace import home
from course.model.evaluation import data_of, share_dict, share_of
from course.model.models import build_schedule, load_model
from course.model.pictures import save_picture
from course.model.prompt_evaluation import ATTRIBUTES, as_dict, shares_of
from course.model.prompts import read_prompts
from course.model.sampling import draw
from course.model.scenes import ALONE, PARTS, Reader, make_scenes
from course.model.word_maps import word_maps
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "prompts.json"
RUNS = {"prompts": "cross", "prompts-pooled": "pooled", "prompts-bag": "bag"}  # and how they read
SAMPLER, STEPS = "2m", 20
SCALES = (0.0, 0.5, 1.0, 2.0, 3.0)
GUIDANCE = 2.0  # where it is not what is varied
PROMPT = "a red seven on blue"  # of the maps
NOISE = (950, 850, 750, 650, 550, 450, 350, 250, 150, 50)  # the steps t of the maps
SHOWN = 10  # pictures of seen and of held-out combinations in the grid of prompts


class Model:
    """A run's network, asked with captions and judged by what its pictures show."""

    def __init__(self, folder: Path, count: int, seed: int):
        self.solutions, self.reader = Implementation("solutions"), Reader()
        self.ch08 = self.solutions.chapter("ch08_evaluation")
        self.count, self.seed, self.folder = count, seed, folder
        file = folder / "models" / "model.safetensors"
        self.sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        self.model, self.config = load_model(file, self.solutions)
        self.kind, _, digits = self.config.data.partition(" of ")
        images = data_of(digits)[1]
        self.scenes = {
            part: make_scenes(self.kind, images, count, torch.Generator().manual_seed(seed), part)
            for part in PARTS
        }

    def draw(self, captions: list[str], guidance: float) -> Tensor:
        return draw(
            self.solutions, self.model, self.config, captions, guidance, STEPS, self.seed,
            sampler=SAMPLER, progress=f"{self.folder.name}, w = {guidance:g}",
        )[0]  # fmt: skip

    def attributes(self, guidance: float) -> dict:
        """How often each attribute is right, of seen and of held-out combinations."""
        measured = {}
        for part, scenes in self.scenes.items():
            seen = self.reader.read(self.draw(scenes.captions, guidance))
            measured[part] = shares_of(self.ch08, self.kind, seen, scenes.facts)
        return as_dict(measured)

    def after_epoch(self, epoch: int) -> dict:
        """The same with the weights that the run had, on average, after that epoch."""
        last = self.model.state_dict()
        last = {name: value.clone() for name, value in last.items()}
        state = torch.load(self.folder / "models" / f"epoch_{epoch}.pt", weights_only=True)
        self.model.load_state_dict(state["ema"])
        try:
            return {"step": state["step"], **self.attributes(GUIDANCE)}
        finally:
            self.model.load_state_dict(last)

    def exchanged(self) -> dict:
        """How often both colours are right if captions come in twos with exchanged colours.

        Both captions begin from the same noise. A network that draws the same for both is right
        for one of them at most.
        """
        facts = self.scenes["seen"].facts
        colour = facts.colour.clone()
        colour[:, 0] = facts.ground
        right = []
        exchanged = replace(facts, colour=colour, ground=facts.colour[:, 0])
        for asked in (facts, exchanged):
            captions = asked.captions(torch.zeros(len(asked), dtype=torch.bool))
            agreed = self.reader.read(self.draw(captions, GUIDANCE)).agree(asked)
            right.append(agreed["colour"] & agreed["ground"])
        of_one, of_both = torch.cat(right), right[0] & right[1]
        return {"right": self.share(of_one), "both of two": self.share(of_both)}

    def sides(self) -> dict:
        """How often the relation is right for captions that begin with the first or second digit.

        Both captions ask for the same picture, from the same noise.
        """
        facts = self.scenes["seen"].facts
        two = facts.layout != ALONE
        right = []
        for turned in (False, True):
            captions = facts.captions(torch.full((len(facts),), turned))
            drawn = self.draw([c for c, pair in zip(captions, two.tolist()) if pair], GUIDANCE)
            right.append(self.reader.read(drawn).agree(facts[two])["relation"])
        names = ("from the left or above", "from the right or below", "both")
        return dict(zip(names, map(self.share, (*right, right[0] & right[1]))))

    def share(self, right: Tensor) -> dict:
        return share_dict(share_of(self.ch08, right.sum(), torch.tensor(len(right))))

    def maps(self) -> tuple[dict, Tensor]:
        """Maps of a drawn picture at the steps NOISE, and what it looks like there.

        Returns:
            (figures, pictures): maps with the axes step, word, row, column, and (10, 3, 28, 28).
        """
        ch02 = self.solutions.chapter("ch02_forward_process")
        ch09 = self.solutions.chapter("ch09_prompts")
        count = len(NOISE)
        x0 = self.draw([PROMPT], GUIDANCE).expand(count, -1, -1, -1)
        eps = torch.randn(x0[:1].shape, generator=torch.Generator().manual_seed(self.seed))
        t = torch.tensor(NOISE)
        alpha_bars = build_schedule(self.solutions, self.config).alpha_bars
        x_t = ch02.q_sample(x0, t, eps.expand_as(x0), alpha_bars)
        tokens, mask = read_prompts(self.solutions, self.config.text, [PROMPT] * count)
        maps = F.avg_pool2d(word_maps(ch09, self.model, x_t, t, tokens, mask), 2)  # (10, L, 14, 14)
        words = ["<bos>", *PROMPT.split()]
        maps = [[plane.mul(1000).round().int().tolist() for plane in row] for row in maps]
        figures = {"prompt": PROMPT, "words": words, "t": list(NOISE), "maps_per_mille": maps}
        return figures, x_t

    def grid(self) -> tuple[dict, Tensor]:
        """One picture for each of twenty prompts, ten of them of held-out combinations."""
        captions = [c for part in PARTS for c in self.scenes[part].captions[:SHOWN]]
        return {"captions": captions}, self.draw(captions, GUIDANCE)


def measure(folder: Path, count: int, seed: int, record: dict, out: Path | None) -> None:
    """Add to the record what it lacks of these runs; if `out` is given, write it and pictures."""
    torch.set_num_threads(1)  # so that the figures do not depend on the number of cores
    for run in (*RUNS, "pairs"):
        if not (folder / run / "models" / "model.safetensors").is_file():
            print(f"there is no run {run}; to have it: course train --preset {run}")
            continue
        model = Model(folder / run, count, seed)
        for name, work in works(model, run, out).items():
            if record["measured"].get(name, {}).get("model_sha256") != model.sha256:
                record["measured"][name] = {"model_sha256": model.sha256, **work()}
                if out:
                    save(out, record)


def works(model: Model, run: str, out: Path | None) -> dict[str, Callable[[], dict]]:
    """What is to be measured of a run, by the name that it has in the record."""

    def shown(name: str, found: tuple[dict, Tensor]) -> dict:
        figures, pictures = found
        image_grid = model.solutions.chapter("ch06_guided_sampling").image_grid
        if out:
            picture = image_grid(pictures, SHOWN, gap=0)
            save_picture(picture, out.with_name(f"{out.stem}_{name}.png"))
        return figures

    todo: dict[str, Callable[[], dict]] = {}
    if run in RUNS:
        todo[f"encoder {RUNS[run]}"] = lambda: {**model.attributes(GUIDANCE), **model.exchanged()}
    if run in ("prompts", "pairs"):
        for guidance in SCALES:
            todo[f"{run} w {guidance:g}"] = lambda w=guidance: model.attributes(w)
        todo[f"{run} grid"] = lambda: shown(f"{run}_grid", model.grid())
    if run == "pairs":
        todo["pairs sides"] = model.sides
    if run == "prompts":
        todo["maps"] = lambda: shown("maps", model.maps())
        for file in (model.folder / "models").glob("epoch_*.pt"):
            epoch = int(file.stem.removeprefix("epoch_"))
            todo[f"epoch {epoch}"] = lambda n=epoch: model.after_epoch(n)
    return todo


def table(measured: dict) -> list[str]:
    """The figures as a Markdown table."""
    lines = []
    for kind in ("scenes", "pairs"):
        names = ATTRIBUTES[kind]
        rows = [key for key in measured if (key.startswith("pairs w")) == (kind == "pairs")]
        rows = [key for key in rows if "seen" in measured[key]]
        if rows:
            lines += [f"| {kind} | combinations | {' | '.join((*names, 'product'))} |"]
            lines += ["|---" * (len(names) + 3) + "|"]
        for key in rows:
            for part in PARTS:
                figures = measured[key][part]
                shares = [f"{figures[name]['value']:.1%}" for name in names]
                lines.append(
                    f"| {key} | {part} | {' | '.join(shares)} | {figures['product']:.1%} |"
                )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, help="the folder of the runs (default runs/)")
    parser.add_argument("--count", type=int, default=400, help="pictures of each (default 400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    settings = {"count": options.count, "seed": options.seed, "sampler": SAMPLER, "steps": STEPS}
    record = load(RESULTS, settings)
    out = RESULTS if options.write else None
    measure(options.runs or home() / "runs", options.count, options.seed, record, out)
    print(*table(record["measured"]), sep="\n")


if __name__ == "__main__":
    main()
