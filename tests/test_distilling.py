"""Distilling: students in turn, what may be distilled, and how a distilled model draws."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import few_steps
from benchmarks.few_steps import RESULTS, walk_of
from course import ROOT, CourseError, cli
from course.grading.mixture import Mixture
from course.model import METHODS
from course.model.digit_networks import load_network, logits
from course.model.distilling import Distilling, Recipe, rounds_of
from course.model.evaluation import data_of
from course.model.models import SHIPPED_FEW, ModelConfig, build_model, load_model, save_model
from course.model.rehearsal import rehearse_distilling
from course.model.sampling import draw, few_steps_grid

SMALL = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, prediction="v")
SHORT = Recipe(calls=4, steps=2, batch_size=2)


@pytest.fixture
def model_file(solutions, tmp_path):
    """A network that has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path / "first.safetensors"
    save_model(path, build_model(solutions, SMALL), SMALL)
    return path


@pytest.fixture
def distilling(solutions, model_file, tmp_path):
    """Distilling of that network, as distilling(recipe)."""

    def make(recipe=SHORT):
        return Distilling(
            tmp_path / "run", model_file, recipe, solutions, "mnist5k", "cpu", quiet=True
        )

    return make


def test_students_make_half_as_many_calls_each():
    assert rounds_of(Recipe(calls=1)) == [8, 4, 2, 1]
    assert rounds_of(Recipe(calls=4)) == [8, 4]
    assert rounds_of(Recipe(method="consistency", calls=1)) == [1]


@pytest.mark.parametrize("calls", [0, 3, 16, 32])
def test_calls_that_halving_does_not_give_are_refused(calls):
    with pytest.raises(CourseError, match="8, 4, 2, 1"):
        rounds_of(Recipe(calls=calls))


def test_each_student_is_kept_and_draws_in_its_calls(distilling, solutions):
    last = distilling().train()
    names = sorted(path.name for path in last.parent.iterdir())
    assert names == ["4_calls.safetensors", "8_calls.safetensors", "model.safetensors"]
    for calls in (8, 4):
        model, config = load_model(last.parent / f"{calls}_calls.safetensors", solutions)
        assert config == replace(SMALL, calls=calls)
        images, _ = draw(solutions, model, config, [3, None], 0.0, calls, sampler="ddim")
        assert images.shape == (2, 1, 28, 28) and bool(images.isfinite().all())


def test_it_goes_on_after_the_last_student_that_is_there(distilling):
    last = distilling().train()
    first = (last.parent / "8_calls.safetensors").stat().st_mtime_ns
    whole = load_file(last)
    for name in ("4_calls.safetensors", "model.safetensors"):
        (last.parent / name).unlink()
    again = load_file(distilling().train())
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert (last.parent / "8_calls.safetensors").stat().st_mtime_ns == first
    metrics = json.loads((last.parents[1] / "metrics.json").read_text())
    assert [len(metrics[calls]["losses"]) for calls in ("8", "4")] == [2, 2]


def test_other_settings_in_the_same_folder_are_refused(distilling):
    distilling().train()
    with pytest.raises(CourseError, match="other settings"):
        distilling(replace(SHORT, lr=1e-4)).train()


def test_the_teacher_stays_and_the_student_learns(distilling):
    run = distilling()
    before = copy.deepcopy(run.first.state_dict())
    run._round(run.first, 8, run.folder / "8.safetensors")
    assert all(torch.equal(run.first.state_dict()[name], before[name]) for name in before)
    student, _ = load_model(run.folder / "8.safetensors", run.impl)
    assert any(not torch.equal(student.state_dict()[name], before[name]) for name in before)


def test_guidance_is_distilled_once(distilling, monkeypatch):
    run, seen = distilling(), []
    teacher_step = run.teacher_step
    monkeypatch.setattr(
        run, "teacher_step", lambda model, w: seen.append(w) or teacher_step(model, w)
    )
    run.train()
    assert seen == [0.5] * SHORT.steps + [0.0] * SHORT.steps


def test_a_guided_teacher_steps_by_guided_eps(distilling):
    run = distilling()
    x, t = torch.randn(2, 1, 28, 28), torch.tensor([999, 499])
    step = {w: run.teacher_step(run.first, w)(x, t, t - 100, torch.tensor([3, 10]))
            for w in (0.0, 2.0)}  # fmt: skip
    assert not torch.allclose(step[0.0][0], step[2.0][0])
    assert torch.allclose(
        step[0.0][1], step[2.0][1], atol=1e-5
    )  # the null label is away from itself


@pytest.mark.parametrize("change", [{"prediction": "eps"}, {"calls": 4}])
def test_what_cannot_be_distilled_is_refused(solutions, tmp_path, change):
    path, config = tmp_path / "other.safetensors", replace(SMALL, **change)
    save_model(path, build_model(solutions, config), config)
    with pytest.raises(CourseError, match="cannot be distilled"):
        Distilling(tmp_path / "run", path, SHORT, solutions, "mnist5k", "cpu", quiet=True)


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": 0.5, "num_steps": 4, "sampler": "ddim"},
        {"guidance": 0.0, "num_steps": 8, "sampler": "ddim"},
        {"guidance": 0.0, "num_steps": 4, "sampler": "2m"},
        {"guidance": 0.0, "num_steps": 4, "sampler": "ddim", "eta": 0.5},
    ],
)
def test_a_distilled_model_draws_in_its_own_way_only(solutions, options):
    config = replace(SMALL, calls=4)
    with pytest.raises(CourseError, match="distilled"):
        draw(solutions, build_model(solutions, config), config, [1], **options)


def test_the_grid_is_the_teachers_with_every_second_step_left_out(solutions):
    bars = torch.linspace(0.999, 0.001, 1000)
    teacher = solutions.chapter("ch07_fast_sampling").time_grid(bars, 16)
    for calls in (8, 4, 2, 1):
        grid = few_steps_grid(solutions, bars, calls)
        assert torch.equal(grid, teacher[:: 16 // calls])
    with pytest.raises(CourseError, match="halving"):
        few_steps_grid(solutions, bars, 3)


def test_the_benchmark_draws_as_the_commands_do(solutions):
    config = replace(SMALL, calls=4)
    torch.manual_seed(1)
    model = build_model(solutions, config)
    images, _ = draw(solutions, model, config, [3, 5], 0.0, 4, seed=2, sampler="ddim")
    assert torch.equal(walk_of(model, config, 0.0, 4)([3, 5], seed=2), images)


def test_what_ships_draws_digits_in_one_call(solutions):
    model, config = load_model(SHIPPED_FEW, solutions)
    assert config.calls == 1 and SHIPPED_FEW.stat().st_size <= 1e6
    labels = torch.arange(100) % 10
    images, _ = draw(solutions, model, config, labels.tolist(), 0.0, 1, sampler="ddim")
    judge, _ = load_network("judge")
    assert int((logits(judge, images.clamp(-1, 1)).argmax(dim=1) == labels).sum()) > 90


def test_the_card_has_the_measured_figures():
    card = (ROOT / "models" / "mnist_few.md").read_text(encoding="utf-8")
    for walk in json.loads((RESULTS / "few_steps.json").read_text(encoding="utf-8"))[
        "measured"
    ].values():
        low, high = walk["interval"]
        line = (
            f"| {walk['model']} | {walk['calls']} | {100 * walk['right']:.1f} % "
            f"| {100 * low:.1f} – {100 * high:.1f} % "
            f"| {walk['worst_digit']}: {100 * walk['worst_right']:.0f} % "
            f"| {walk['frechet_ratio']:.1f} x | {walk['recall_ratio']:.2f} x "
            f"| {walk['coverage_ratio']:.2f} x | {walk['ten_digits_seconds']:.2f} s |"
        )
        assert line in card, f"models/mnist_few.md should say: {line}"


def test_the_learners_functions_are_called(solutions):
    trial = Mixture(solutions.folder)
    for method in METHODS:
        rehearse_distilling(trial, Recipe(method=method))
    for symbol in ("paired_steps", "jump_x0", "distillation_loss", "consistency_loss"):
        assert trial.calls[symbol] > 0, symbol


def test_the_commands_take_a_distilled_model(model_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    (tmp_path / "exercises").mkdir()
    models = tmp_path / "runs" / "tiny" / "models"
    models.mkdir(parents=True)
    (models / "model.safetensors").write_bytes(model_file.read_bytes())
    assert cli.main(["distil", "--run", "tiny", "--data", "mnist5k", "--calls", "8", "--steps", "1",
                     "--name", "eight", "--device", "cpu"]) == 0  # fmt: skip
    assert cli.main(["sample", "--run", "eight", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "course sample --run eight" in said and "it draws in 8 calls" in said
    assert (tmp_path / "pictures" / "all_digits.png").is_file()
    assert cli.main(["distil", "--calls", "5", "--name", "five"]) == 2


def test_measuring_writes_its_figures_and_touches_no_student(tmp_path, monkeypatch):
    models, results = tmp_path / "run" / "models", tmp_path / "results.json"
    models.mkdir(parents=True)
    (models.parent / "config.json").write_text(json.dumps({"guidance": 0.5}))
    student = models / "1_calls.safetensors"
    student.write_bytes(SHIPPED_FEW.read_bytes())
    monkeypatch.setattr(few_steps, "CALLS", (1,))
    monkeypatch.setattr(few_steps, "data_of", lambda name: data_of("mnist5k"))
    measured = few_steps.measure(results, models.parent, 2, 0)["measured"]
    assert student.read_bytes() == SHIPPED_FEW.read_bytes()
    assert json.loads(results.read_text())["measured"].keys() == measured.keys()
    assert {walk["model"] for walk in measured.values()} >= {"shipped", "distilled"}
