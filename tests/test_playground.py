"""The playground's samplers walk as the reference does; the book has its parts, or says so."""

import json
import math
import shutil
import subprocess
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import pytest
import torch

from course import ROOT, CourseError
from course.model.models import ALL_SHIPPED, ModelConfig, TextConfig
from course.model.prompts import prompted, read_prompts
from course.model.sampling import fast_walk, few_steps_grid
from course.pages import playground
from course.pages.playground import RUNTIME, playground_files

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node.js: apt install nodejs")
T, SHAPE, NULL = 1000, (3, 1, 2, 5), 10
LABELS = [3, None, 9]


def network(x, t, labels):
    """What a network might say: it looks at x, t and the label. tests/samplers.mjs has it, too."""
    return torch.sin(2 * x + 0.3 * labels.view(-1, 1, 1, 1) + t.view(-1, 1, 1, 1) / 500)


def reading_network(x, t, tokens, mask):
    """The same for one that is told words, with their places and strengths."""
    places = torch.arange(1, tokens.shape[1] + 1)
    return network(x, t, (tokens * places * mask.double() / 30).sum(dim=1))


def walked_in_javascript(request: dict) -> dict:
    done = subprocess.run(
        [NODE, ROOT / "tests" / "samplers.mjs"],
        input=json.dumps({"seed": 0, "gaussians": 0, **request}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reference_walk(solutions, told, sampler, x_T, timesteps, eta, noises, prediction):
    """The reference's own functions in float64: for each step (t, x after it, guess of x_0).

    In float32 the rounding of the first step is amplified 20,000 times before it is clipped.

    Args:
        told: called with a function (x, t, *asked) -> eps of `prediction`, gives (x, t) -> eps.
        timesteps: the grid; None is the sampler's own of as many steps as there are noises.
    """
    ch01, ch02 = solutions.chapter("ch01_noise_schedule"), solutions.chapter("ch02_forward_process")
    ch05, ch06 = solutions.chapter("ch05_training"), solutions.chapter("ch06_guided_sampling")
    betas, num_steps = ch01.cosine_betas(T), len(noises)
    alpha_bars = torch.cumprod(1 - betas.double(), dim=0)
    moments, noises = [], iter(noises)

    def eps_of(x, t, *asked):
        said = (network if len(asked) == 1 else reading_network)(x, t, *asked)
        return ch05.eps_from_v(x, said, t, alpha_bars) if prediction == "v" else said

    guided = told(eps_of)

    def predict_eps(x, t):
        eps = guided(x, t)
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
        if timesteps is None:
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
    asked = torch.tensor([NULL if label is None else label for label in LABELS])

    def told(eps_of):
        if guidance == 0:
            return lambda x, t: eps_of(x, t, asked)
        guided_eps = solutions.chapter("ch06_guided_sampling").guided_eps
        return lambda x, t: guided_eps(eps_of, x, t, asked, guidance, NULL)

    request = {"labels": LABELS, "config": {"prediction": prediction, "num_classes": NULL}}
    request |= {"guidance": guidance, "sampler": sampler, "eta": eta}
    answer = assert_the_same_walk(solutions, request, told, num_steps)
    betas = solutions.chapter("ch01_noise_schedule").cosine_betas(T)
    assert torch.allclose(torch.tensor(answer["betas"]), betas, rtol=1e-6, atol=0)


def assert_the_same_walk(solutions, request, told, num_steps, timesteps=None, shape=SHAPE):
    """Both walk from the same noise and are compared at each step; JavaScript's answer."""
    generator = torch.Generator().manual_seed(num_steps)
    draws = partial(torch.randn, shape, generator=generator, dtype=torch.float64)
    x_T, noises = draws(), [draws() for _ in range(num_steps)]
    answer = walked_in_javascript(
        {
            "T": T,
            "xT": x_T.flatten().tolist(),
            "noise": [noise.flatten().tolist() for noise in noises],
            "steps": num_steps,
            "eta": 0.0,
            **request,
        }
    )
    sampler, prediction = request["sampler"], request["config"]["prediction"]
    wanted = reference_walk(
        solutions, told, sampler, x_T, timesteps, request.get("eta", 0.0), noises, prediction
    )
    assert len(answer["moments"]) == len(wanted) == num_steps
    for moment, (t, x0, x) in zip(answer["moments"], wanted):
        assert moment["t"] == t
        for ours, theirs in ((moment["x"], x), (moment["x0"], x0)):
            assert (torch.tensor(ours) - theirs.flatten()).abs().max() < 1e-4
    return answer


@needs_node
@pytest.mark.parametrize("calls", [1, 4])
def test_a_walk_of_few_calls_is_the_references(calls, solutions):
    alpha_bars = torch.cumprod(
        1 - solutions.chapter("ch01_noise_schedule").cosine_betas(T).double(), dim=0
    )
    request = {"config": {"prediction": "v", "num_classes": NULL, "calls": calls}}
    request |= {"labels": [7, 0, 9], "guidance": 0.0, "sampler": "ddim"}
    grid = few_steps_grid(solutions, alpha_bars, calls)
    asked = torch.tensor(request["labels"])
    assert_the_same_walk(
        solutions, request, lambda eps_of: lambda x, t: eps_of(x, t, asked), calls, grid
    )


# Prompts

TEXT = TextConfig(words=("a", "blue", "of", "on", "red", "seven", "three"), length=8)
PROMPTS = ["a red seven on blue", "Blue: three!", "a red:2.5 seven:0 of a three:.5"]


@needs_node
@pytest.mark.parametrize("sampler, guidance", [("2m", 2.0), ("ddim", 0.0), ("ancestral", -1.0)])
def test_a_walk_to_prompts_is_the_references(sampler, guidance, solutions):
    prompts = [PROMPTS[0], "a three of blue", PROMPTS[2]]
    config = ModelConfig(text=TEXT, image_channels=3, prediction="v")

    def told(eps_of):
        cpu = torch.device("cpu")
        predict = prompted(solutions, config, eps_of, prompts, None, guidance, cpu)
        return lambda x, t: predict(x, t, slice(None))

    request = {"prompts": prompts, "config": asdict(config)}
    request |= {"guidance": guidance, "sampler": sampler}
    assert_the_same_walk(solutions, request, told, 9, shape=(3, 3, 2, 4))


def read_in_javascript(prompts: list[str], text: TextConfig) -> dict:
    done = subprocess.run(
        [NODE, ROOT / "tests" / "prompts.mjs"],
        input=json.dumps({"prompts": prompts, "text": asdict(text)}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_a_prompt_is_read_as_the_reference_reads_it(solutions):
    prompts = [
        *PROMPTS[:1],
        PROMPTS[2],
        "  RED,seven\ton-blue. ",
        "red:100 seven:1. on:0",
        "red seven:2,three",  # no number behind the colon
        "a a a a a a a",  # as many as there is room for
        "a a a a a a a a",
        "red::2",
        "red:-1",
        "red:101",
        "red:",
        "red:1e1",
        "red:2:3",
        "seven?three",
        ":2",
        "",
        " ... ",
        "purple",
        "a réd seven",
    ]
    answer = read_in_javascript(prompts, TEXT)
    refused = 0
    for prompt, read in zip(prompts, answer["read"], strict=True):
        try:
            tokens, mask = read_prompts(solutions, TEXT, [prompt])
        except CourseError:
            assert "fault" in read, prompt
            refused += 1
        else:
            assert read["tokens"] == tokens[0].tolist(), prompt
            assert torch.equal(torch.tensor(read["mask"]), mask[0]), prompt
    assert 0 < refused < len(prompts)
    null = solutions.chapter("ch09_prompts").null_prompt(tokens)
    assert answer["none"] == {"tokens": null.tokens[0].tolist(), "mask": null.mask[0].tolist()}


@needs_node
@pytest.mark.parametrize(
    "prompt, words",
    [
        ("a purple cat on red", 'does not know "purple", "cat"'),
        ("cat, cat and red", 'does not know "cat", "and"'),
        ("", "needs at least one word"),
        ("red:lots", 'a number from 0 to 100 such as 1.5, got "red:lots"'),
        ("a " * 8, "reads 7 words at most, and here are 8"),
    ],
)
def test_a_prompt_that_cannot_be_drawn_is_told_why(prompt, words):
    (read,) = read_in_javascript([prompt], TEXT)["read"]
    assert words in read["fault"]


@needs_node
def test_the_noise_of_a_seed_is_gaussian():
    def noise(seed):
        config = {"num_classes": NULL}
        request = {"T": T, "xT": [], "noise": [], "labels": [], "config": config, "steps": 0}
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
    for model_file in ALL_SHIPPED:
        name = model_file.stem
        assert json.loads(files[Path(f"{name}.json")])["prediction"] == "v"
        assert files[Path(f"{name}.onnx")] == model_file.with_suffix(".onnx").read_bytes()


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
