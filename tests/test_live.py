"""The sliders that the book computes itself show what the notebooks' sliders show."""

import json
import re
import shutil
import subprocess

import nbformat
import pytest
import torch

from course import ROOT
from course.model.data import load_images
from course.pages.live import LIVE

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js: apt install nodejs")
T = 1000


def drawn(requests: list[dict]) -> dict:
    done = subprocess.run(
        [NODE, ROOT / "tests" / "live.mjs"],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Slider:
    """Stands for SliderPicture: keeps what the notebook hands it, and draws nothing."""

    made = []

    def __init__(self, draw, values, name, value, caption):
        self.draw, self.values, self.name, self.value, self.caption = (
            draw,
            list(values),
            name,
            value,
            caption,
        )
        Slider.made.append(self)


@pytest.fixture(scope="module")
def notebooks(solutions):
    """The sliders that have a live form, each with its notebook's variables, by LIVE's keys."""
    ch01, ch02 = solutions.chapter("ch01_noise_schedule"), solutions.chapter("ch02_forward_process")
    images = load_images("mnist5k")
    digits, _ = images.batch(slice(0, 28))
    eps = torch.randn(digits.shape, generator=torch.Generator().manual_seed(0))
    schedule = ch02.make_schedule(ch01.cosine_betas(T))
    betas = {"linear": ch01.linear_betas(T), "cosine": ch01.cosine_betas(T)}
    given = {
        **{name: value for name, value in vars(ch02).items() if not name.startswith("_")},
        "torch": torch,
        "SliderPicture": Slider,
        "images": images,
        "digit": digits[3:4],
        "eps": eps,
        "T": T,
        "schedule": schedule,
        "alpha_bars": {name: ch01.compute_alpha_bars(each) for name, each in betas.items()},
        "factors": ch02.amplification(schedule.alpha_bars),
    }
    found = {}
    for stem in sorted({stem for stem, _ in LIVE}):
        variables = dict(given)
        if stem.startswith("01"):
            variables["eps"] = eps[3:4]
        cells = nbformat.read(ROOT / "chapters" / f"{stem}.ipynb", as_version=4).cells
        for cell in cells:
            if re.search(r"SliderPicture\(|def (estimate|witnesses)\(", cell.source):
                if cell.cell_type == "code" and "import SliderPicture" not in cell.source:
                    exec(cell.source, variables)
        for slider in Slider.made:
            found[stem, slider.draw.__name__] = slider, variables
        Slider.made.clear()
    return found


def requests_for(notebooks, key, steps=None):
    slider, variables = notebooks[key]
    numbers = LIVE[key](variables)
    kind = LIVE[key].__name__
    steps = slider.values if steps is None else steps
    return [{"kind": kind, "numbers": numbers, "settings": {"t": t}} for t in steps]


@pytest.mark.parametrize("key", LIVE, ids=lambda key: key[1])
def test_its_captions_are_the_notebooks(key, notebooks):
    slider, _ = notebooks[key]
    seen = drawn(requests_for(notebooks, key))["seen"]
    assert [each["words"] for each in seen] == [slider.caption(value) for value in slider.values]


def pictures(seen: dict) -> torch.Tensor:
    return torch.tensor([picture["values"] for picture in seen["pictures"]]).view(-1, 28, 28)


@pytest.mark.parametrize("settings", [{}, {"T": 250, "s": 0.05, "end": 0.2}, {"T": 50, "s": 0.0}])
def test_both_schedules_are_the_references(settings, notebooks, solutions):
    ch01, ch02 = solutions.chapter("ch01_noise_schedule"), solutions.chapter("ch02_forward_process")
    key = ("01_noise_schedule", "compare")
    (request,) = requests_for(notebooks, key, [40])
    request["settings"] |= settings
    (seen,) = drawn([request])["seen"]
    steps = settings.get("T", T)
    wanted = {
        "linear": ch01.linear_betas(steps, beta_end=settings.get("end", 0.02)),
        "cosine": ch01.cosine_betas(steps, s=settings.get("s", 0.008)),
    }
    _, variables = notebooks[key]
    digit, eps = variables["digit"].double(), variables["eps"].double()
    for line, picture, (name, betas) in zip(
        seen["plot"]["lines"], pictures(seen), wanted.items(), strict=True
    ):
        alpha_bars = ch01.compute_alpha_bars(betas)
        assert line["name"] == name
        assert torch.allclose(torch.tensor(line["y"]), alpha_bars, rtol=0, atol=1e-6)
        noised = ch02.q_sample(digit, torch.tensor([40]), eps, alpha_bars.double())
        assert (picture - noised).abs().max() < 1e-6
    assert all(f"{100 * line['y'][40]:.1f} %" in seen["words"] for line in seen["plot"]["lines"])


def test_the_estimate_is_the_references(notebooks, solutions):
    ch02 = solutions.chapter("ch02_forward_process")
    key, steps = ("02_forward_process", "estimate_picture"), [0, 300, 601, 950, 999]
    _, variables = notebooks[key]
    digit, eps, eps_hat = (variables[name].double() for name in ("digit", "eps_true", "eps_hat"))
    alpha_bars = variables["schedule"].alpha_bars.double()
    for step, seen in zip(steps, drawn(requests_for(notebooks, key, steps))["seen"]):
        t = torch.tensor([step])
        x_t = ch02.q_sample(digit, t, eps, alpha_bars)
        x0 = ch02.predict_x0(x_t, t, eps_hat, alpha_bars)
        shades = 2 * (x0 - x0.min()) / (x0.max() - x0.min()) - 1
        wanted = torch.cat([x_t, shades, x0.clamp(-1, 1)])[:, 0]
        assert (pictures(seen) - wanted).abs().max() < 1e-6
        assert f"black {x0.min():,.1f}, white {x0.max():,.1f}" in seen["pictures"][1]["title"]


def test_the_posterior_of_a_pixel_is_the_references(notebooks):
    key, steps = ("02_forward_process", "witness_picture"), [1, 2, 20, 500, 998, 999]
    _, variables = notebooks[key]
    for step, spread in zip(steps, drawn(requests_for(notebooks, key, steps))["spreads"]):
        for name, wanted in variables["witnesses"](step).items():
            assert spread[name] == pytest.approx(wanted, rel=1e-6, abs=1e-6), (step, name)
