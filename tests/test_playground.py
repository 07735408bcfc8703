"""The playground's samplers walk as the reference does; the book has its parts, or says so."""

import json
import math
import shutil
import subprocess
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
import torch

from course import ROOT
from course.model.sampling import fast_walk
from course.pages import playground
from course.pages.playground import RUNTIME, playground_files

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node.js: apt install nodejs")
T, SHAPE, NULL = 1000, (3, 1, 2, 5), 10
LABELS = [3, None, 9]


def network(x, t, labels):
    """What a network might say: it looks at x, t and the label. tests/samplers.mjs has it, too."""
    return torch.sin(2 * x + 0.3 * labels.view(-1, 1, 1, 1) + t.view(-1, 1, 1, 1) / 500)


def walked_in_javascript(request: dict) -> dict:
    done = subprocess.run(
        [NODE, ROOT / "tests" / "samplers.mjs"],
        input=json.dumps({"seed": 0, "gaussians": 0, **request}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reference_walk(solutions, predict, sampler, x_T, num_steps, guidance, eta, noises, prediction):
    """The reference's own functions in float64: for each step (t, x after it, guess of x_0).

    In float32 the rounding of the first step is amplified 20,000 times before it is clipped.
    """
    ch01, ch02 = solutions.chapter("ch01_noise_schedule"), solutions.chapter("ch02_forward_process")
    ch05, ch06 = solutions.chapter("ch05_training"), solutions.chapter("ch06_guided_sampling")
    betas = ch01.cosine_betas(T)
    alpha_bars = torch.cumprod(1 - betas.double(), dim=0)
    asked = torch.tensor([NULL if label is None else label for label in LABELS])
    moments, noises = [], iter(noises)

    def eps_of(x, t, labels):
        said = predict(x, t, labels)
        return ch05.eps_from_v(x, said, t, alpha_bars) if prediction == "v" else said

    def predict_eps(x, t):
        if guidance == 0:
            eps = eps_of(x, t, asked)
        else:
            eps = ch06.guided_eps(eps_of, x, t, asked, guidance, NULL)
        moments.append([int(t[0]), ch02.predict_x0(x, t, eps, alpha_bars).clamp(-1, 1)])
        return eps

    if sampler == "ancestral":
        short, timesteps = ch06.respace(betas, num_steps)
        schedule = ch02.make_schedule(short)
        schedule = type(schedule)(
            **{field.name: getattr(schedule, field.name).double() for field in fields(schedule)}
        )
        x = x_T
        for step in reversed(range(num_steps)):
            t = torch.full((len(x),), step)
            eps = predict_eps(x, timesteps[t])
            x = ch06.p_sample(x, t, eps, next(noises), schedule, ch02.predict_x0, ch02.q_posterior)
            moments[-1].append(x)
    else:
        timesteps = solutions.chapter("ch07_fast_sampling").time_grid(alpha_bars, num_steps)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "randn", lambda *shape, **options: next(noises))
            walk = fast_walk(solutions, sampler, alpha_bars, timesteps, eta)
            _, film = walk(predict_eps, x_T, torch.Generator(), timesteps.tolist())
        for moment, x in zip(moments, film):
            moment.append(x)
    return moments


@needs_node
@pytest.mark.parametrize(
    "sampler, num_steps, guidance, eta, prediction",
    [
        ("ancestral", 16, 0.5, 0.0, "v"),
        ("ancestral", 7, 0.0, 0.0, "eps"),
        ("ddim", 20, -1.0, 0.0, "v"),
        ("ddim", 16, 2.0, 0.7, "v"),
        ("ddim", 3, 0.0, 1.0, "eps"),
        ("2m", 20, 0.5, 0.0, "v"),
        ("2m", 5, 3.0, 0.0, "eps"),
        ("2m", 2, 0.0, 0.0, "v"),
    ],
)
def test_a_whole_walk_is_the_references(solutions, sampler, num_steps, guidance, eta, prediction):
    generator = torch.Generator().manual_seed(num_steps)
    draws = partial(torch.randn, SHAPE, generator=generator, dtype=torch.float64)
    x_T, noises = draws(), [draws() for _ in range(num_steps)]
    answer = walked_in_javascript(
        {
            "T": T,
            "xT": x_T.flatten().tolist(),
            "noise": [noise.flatten().tolist() for noise in noises],
            "labels": LABELS,
            "config": {"prediction": prediction, "num_classes": NULL},
            "guidance": guidance,
            "sampler": sampler,
            "steps": num_steps,
            "eta": eta,
        }
    )
    wanted = reference_walk(
        solutions, network, sampler, x_T, num_steps, guidance, eta, noises, prediction
    )
    assert len(answer["moments"]) == len(wanted) == num_steps
    for moment, (t, x0, x) in zip(answer["moments"], wanted):
        assert moment["t"] == t
        for ours, theirs in ((moment["x"], x), (moment["x0"], x0)):
            assert (torch.tensor(ours) - theirs.flatten()).abs().max() < 1e-4
    betas = solutions.chapter("ch01_noise_schedule").cosine_betas(T)
    assert torch.allclose(torch.tensor(answer["betas"]), betas, rtol=1e-6, atol=0)


@needs_node
def test_the_noise_of_a_seed_is_gaussian():
    def noise(seed):
        request = {"T": T, "xT": [], "noise": [], "labels": [], "config": {}, "steps": 0}
        return walked_in_javascript({**request, "seed": seed, "gaussians": 20_000})["gaussian"]

    one, other = (torch.tensor(noise(seed)) for seed in (4, 5))
    assert torch.equal(one, torch.tensor(noise(4)))
    error = 5 / math.sqrt(len(one))  # five standard errors
    for draws in (one, other):
        assert abs(draws.mean()) < error and abs(draws.square().mean() - 1) < error * math.sqrt(2)
        assert abs(draws.pow(4).mean() - 3) < error * math.sqrt(96)
        assert abs((draws[1:] * draws[:-1]).mean()) < error
    assert abs((one * other).mean()) < error


# Its parts


def test_what_npm_got_once_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(playground, "fetch_runtime", lambda folder: pytest.fail("it asks npm"))
    kept = tmp_path / f"{playground.PACKAGE}-{playground.VERSION}"
    kept.mkdir()
    for name in RUNTIME:
        (kept / name).write_text(name)
    files = playground_files(tmp_path)
    assert files[Path("ort", RUNTIME[0])] == RUNTIME[0].encode()
    assert json.loads(files[Path("model.json")])["prediction"] == "v"
    assert files[Path("model.onnx")] == (ROOT / "models" / "mnist.onnx").read_bytes()


@pytest.mark.parametrize(
    "npm, words",
    [
        (None, "npm, which gets onnxruntime-web, is not installed"),
        ("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n", "npm error code ENOTFOUND"),
        ("#!/bin/sh\necho else > $4/onnxruntime-web.tgz\n", "is not what the course knows"),
    ],
)
def test_without_npms_package_it_is_said(npm, words, tmp_path, monkeypatch, capsys):
    if npm is not None:
        (tmp_path / "npm").write_text(npm)
        (tmp_path / "npm").chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: npm and str(tmp_path / "npm"))
    assert playground_files(tmp_path / "cache") == {}
    printed = capsys.readouterr().out
    assert "the book is built without its playground" in printed and words in printed
    assert not (tmp_path / "cache").exists()
