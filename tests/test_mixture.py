"""Runs with a learner's code: whose code it is, what is called, and what the run remembers."""

import inspect
import json
import shutil
from dataclasses import replace

import pytest
from torch import nn

from course import ROOT, CourseError, cli
from course.grading.mixture import Mixture
from course.learner.skeletons import write_missing
from course.learner.workspace import Workspace
from course.model import METHODS, SAMPLERS
from course.model.distilling import Recipe
from course.model.rehearsal import (
    rehearse_distilling,
    rehearse_drawing,
    rehearse_evaluation,
    rehearse_training,
)
from course.model.training import PRESETS, made_with
from course.syllabus import exercises, find_exercise

CONFIG = PRESETS["laptop"].model


@pytest.fixture
def own_code(tmp_path):
    """A folder of skeletons, but for chapter 02, which is solved."""
    folder = tmp_path / "exercises"
    write_missing(folder)
    shutil.copy(ROOT / "solutions" / "ch02_forward_process.py", folder)
    return folder


def test_an_exercise_says_so_if_no_run_calls_it():
    trial = Mixture(ROOT / "solutions")
    for preset in ("laptop", "seed", "prompts", "flow", "large-patches", "large-latent", "cifar10"):
        rehearse_training(trial, PRESETS[preset])
    for sampler in SAMPLERS:
        rehearse_drawing(trial, CONFIG, sampler, guidance=1.0)
    rehearse_evaluation(trial, CONFIG, "ancestral", [0.0])
    for method in METHODS:
        rehearse_distilling(trial, Recipe(method=method))
    called = {exercise.id for exercise in trial.called()}
    assert called == {exercise.id for exercise in exercises() if not exercise.no_run}


def test_guidance_and_a_v_network_are_called_where_they_are_used():
    def calls(guidance, prediction):
        trial = Mixture(ROOT / "solutions")
        rehearse_drawing(trial, replace(CONFIG, prediction=prediction), "ancestral", guidance)
        return trial.calls

    assert calls(1.0, "v")["guided_eps"] and calls(1.0, "v")["eps_from_v"]
    assert not calls(0.0, "v")["guided_eps"] and not calls(1.0, "eps")["eps_from_v"]


def test_yours_is_called_where_it_passes_and_the_reference_elsewhere(own_code):
    mixture = Mixture(own_code, {find_exercise_of("q_sample")})
    chapter = mixture.chapter("ch02_forward_process")
    assert chapter.q_sample.__module__ != chapter.predict_x0.__module__
    files = [inspect.unwrap(f).__code__.co_filename for f in (chapter.q_sample, chapter.predict_x0)]
    assert files == [str(f / "ch02_forward_process.py") for f in (own_code, ROOT / "solutions")]
    rehearse_training(mixture, PRESETS["laptop"])
    # `q_sample` calls the `gather_at` of its own file, and these calls are counted too.
    assert mixture.calls["q_sample"] == 2 and mixture.calls["gather_at"] >= 2


def test_what_the_reference_calls_is_yours_as_well(own_code):
    """`TimeEmbedding` is given, and makes a `TimeMLP`, which is yours."""
    (own_code / "ch03_embeddings.py").write_text(
        "from torch import nn\n\n\nclass TimeMLP(nn.Linear):\n    pass\n"
    )
    chapter = Mixture(own_code, {find_exercise_of("TimeMLP")}).chapter("ch03_embeddings")
    assert isinstance(chapter.TimeEmbedding(4, 8).mlp, nn.Linear)


def find_exercise_of(symbol):
    return next(exercise.id for exercise in exercises() if symbol in exercise.symbols)


@pytest.fixture
def passing(monkeypatch):
    """What is said to pass, so that nothing is graded here."""
    found = {exercise.id for exercise in exercises()}
    monkeypatch.setattr(cli, "passing", lambda folder, needed: {e.id for e in needed} & found)
    return found


@pytest.fixture
def solved(tmp_path, monkeypatch):
    """A workspace in which everything is solved."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    (tmp_path / "exercises").mkdir()
    for path in (ROOT / "solutions").glob("ch*.py"):
        (tmp_path / "exercises" / path.name).write_bytes(path.read_bytes())
    return tmp_path


TRAIN = ["train", "--preset", "smoke", "--impl", "exercises", "--data", "mnist5k"]


def test_a_run_remembers_whose_code_made_it(solved, passing, capsys):
    assert cli.main(TRAIN) == 0
    out = capsys.readouterr().out
    assert "exercises that this calls are yours" in out and "called of your 2.3: q_sample 16" in out
    config = json.loads((solved / "runs" / "smoke" / "config.json").read_text())
    assert config["implementation"] == "exercises" and "4.4" in config["yours"]
    command = next(line for line in out.splitlines() if "draw with it:" in line).split("course ")[1]
    assert cli.main([*command.split(), "--steps", "2"]) == 0
    assert "exercises that this calls are yours" in capsys.readouterr().out
    passing.discard("4.4")  # its weights fit no other network
    assert cli.main([*command.split(), "--steps", "2"]) == 2
    assert "was trained with your 4.4, which does not pass any more" in capsys.readouterr().out
    assert cli.main([*TRAIN, "--name", "smoke"]) == 2  # nor does the run go on with other code
    assert "choose another --name" in capsys.readouterr().out


def test_what_is_not_yours_yet_is_the_references_and_a_line_says_so(solved, passing, capsys):
    passing -= {"2.3", "5.5"}
    assert cli.main(TRAIN) == 0
    out = capsys.readouterr().out
    assert "\nthe reference's: 2.3, 5.5\n" in out and "q_sample" not in out
    passing.clear()
    assert cli.main([*TRAIN, "--name", "nothing"]) == 0
    assert "all of it is the reference's" in capsys.readouterr().out


def test_the_shipped_network_is_the_references(solved, passing, capsys):
    assert cli.main(["sample", "--impl", "exercises", "--digit", "3", "--steps", "2"]) == 0
    out = capsys.readouterr().out
    theirs = next(line for line in out.splitlines() if line.startswith("the reference's:"))
    assert "4.4" in theirs and "2.4" not in theirs and "6.1" not in theirs


def test_what_passes_is_asked_of_the_workspace(solved, monkeypatch):
    monkeypatch.setattr(
        Workspace, "status", lambda self, e: "passed" if e.id == "2.1" else "failed"
    )
    needed = [find_exercise("2.1"), find_exercise("2.3")]
    assert cli.passing((solved / "exercises").resolve(), needed) == {"2.1"}


def test_code_in_another_folder_has_to_be_named(tmp_path):
    (tmp_path / "config.json").write_text('{"implementation": "alice"}')
    with pytest.raises(CourseError, match="a folder alice; say where: --impl PATH"):
        made_with(tmp_path / "models" / "model.safetensors")
