"""The commands, as a learner calls them: what they print, write and return."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from course import ROOT
from course.cli import main
from course.grading.source import definition_text
from course.learner.skeletons import skeleton
from course.learner.workspace import LAB_FOLDER
from course.model.models import ModelConfig, build_model, save_model
from course.syllabus import chapters


@pytest.fixture(autouse=True)
def learner(tmp_path, monkeypatch):
    """Every command works on exercises of its own."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    monkeypatch.setenv("DIFFUSION_DATA", str(tmp_path))
    return tmp_path / "exercises"


def solve(folder, chapter):
    text = (ROOT / "solutions" / f"{chapter}.py").read_text()
    folder.mkdir(exist_ok=True)
    (folder / f"{chapter}.py").write_text(text)


def test_the_scoreboard_says_what_is_next(learner, capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "next: 1.1 The linear schedule" in out
    for chapter in chapters():
        assert chapter.title in out
    solve(learner, "ch01_noise_schedule")
    main([])
    out = capsys.readouterr().out
    assert "14/14" in out and "next: 2.1" in out


def test_check_returns_whether_all_is_well(learner, capsys):
    assert main(["check", "1.1"]) == 1
    assert "1.1 The linear schedule: not written yet" in capsys.readouterr().out
    assert main(["check", "3.2"]) == 1
    assert "3.2 An MLP that cannot bend: not mended yet" in capsys.readouterr().out
    solve(learner, "ch01_noise_schedule")
    assert main(["check", "1.1"]) == 0
    assert main(["check", "1"]) == 0
    out = capsys.readouterr().out
    assert "14 of 14 points" in out and "all" not in out.splitlines()[-1]
    assert main(["check", "01", "--impl", "solutions"]) == 0


def test_check_names_a_misconception(learner, capsys):
    learner.mkdir()
    (learner / "ch01_noise_schedule.py").write_text(
        skeleton("ch01_noise_schedule").replace(
            'raise NotImplementedError("exercise 1.1 is not written yet")',
            "return beta_start + (beta_end - beta_start) * torch.arange(num_steps) / num_steps",
        )
    )
    assert main(["check", "1.1"]) == 1
    out = capsys.readouterr().out
    for part in ("called", "expected", "came back", "dividing by T instead of T-1"):
        assert part in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["check", "9.9"], "there is no exercise '9.9'"),
        (["check", "77"], "there is no chapter '77'"),
        (["check", "--impl", "nowhere"], "there is no folder 'nowhere'"),
        (["hint", "0.1"], "there is no exercise '0.1'"),
        (["train", "--preset", "giant"], "choose one of smoke, laptop, seed"),
        (["train", "--preset", "smoke", "--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["train", "--preset", "smoke", "--data", "cats"], "choose one of auto, mnist, mnist5k"),
        (["train", "--preset", "smoke", "--device", "abacus"], "there is no device 'abacus'"),
        (["sample", "--digit", "12"], "digits run from 0 to 9, got 12"),
        (["sample", "--steps", "1"], "steps must be between 2 and 1000, got 1"),
        (["sample", "--eta", "0.5"], "eta is for the ddim sampler; ancestral has none"),
        (["sample", "--sampler", "ddim", "--eta", "2"], "eta must be between 0 and 1, got 2"),
        (
            ["sample", "--guidance", "nan"],
            "guidance must be a number of at most 1000 in size, got nan",
        ),
        (["sample", "--guidance=-inf"], "at most 1000 in size, got -inf"),
        (["sample", "--guidance", "1e30"], "at most 1000 in size, got 1e+30"),
        (["evaluate", "--count", "10", "--guidance", "0", "inf"], "at most 1000 in size, got inf"),
        (["sample", "--sampler", "ddim", "--eta", "nan"], "eta must be between 0 and 1, got nan"),
        (
            ["sample", "--seed", "1" + 30 * "0"],
            "--seed must be at most 9,007,199,254,740,992 in size",
        ),
        (["sample", "--count", "1" + 12 * "0"], "10,000,000,000,000 pictures; 10,000 at most"),
        (["sample", "--count", "0"], "--count must be at least 1, got 0"),
        (["sample", "--run", "nothing"], "there is no model at"),
        (["sample", "--out", "digits.docx"], "--out must end in .png or .jpg or .gif"),
        (["train", "--preset", "smoke", "--name", "../x"], "the name of a folder in runs/"),
        (["grade", "nowhere"], "there is no folder or file 'nowhere'"),
        (["grade", ".", "--only", "99"], "there is no chapter '99'"),
        (["grade", ".", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["grade", ".", "--seconds", "0"], "--seconds must be more than 0"),
        (["watch", "7.7"], "there is no exercise '7.7'"),
    ],
)
def test_bad_input_is_told_and_exits_with_2(arguments, words, capsys):
    assert main(arguments) == 2
    assert words in " ".join(capsys.readouterr().out.split())


def test_a_run_needs_a_folder_with_code(learner, capsys):
    assert main(["train", "--preset", "smoke", "--impl", str(learner)]) == 2
    assert "there is no folder" in capsys.readouterr().out


def test_hints_and_solution(learner, capsys):
    assert main(["hint", "1.2"]) == 0
    assert main(["hint", "1.2"]) == 0
    out = capsys.readouterr().out
    assert "1. A step receives" in out and "2. So a beta compares" in out
    assert main(["solution", "1.2"]) == 1
    assert "does not pass yet" in capsys.readouterr().out
    solve(learner, "ch01_noise_schedule")
    assert main(["solution", "1.2"]) == 0
    shown = capsys.readouterr().out
    solved = (ROOT / "solutions" / "ch01_noise_schedule.py").read_text()
    assert definition_text(solved, "cosine_betas") in shown, "no line is cut or wrapped"


def test_reset_tells_where_the_backup_is(learner, capsys):
    solve(learner, "ch01_noise_schedule")
    assert main(["reset", "1.2"]) == 0
    assert "backups" in capsys.readouterr().out
    assert main(["check", "1.2"]) == 1


def test_sample_draws_what_was_asked_for(tmp_path, capsys):
    grid = tmp_path / "grid.png"
    assert main(["sample", "--digit", "7", "--count", "3", "--steps", "4", "--out", str(grid)]) == 0
    assert Image.open(grid).size == (3 * (3 * 30 + 2), 3 * 32)
    single = tmp_path / "single.png"
    assert main(["sample", "--digit", "3", "--steps", "4", "--film", "--out", str(single)]) == 0
    assert Image.open(single).size == (16 * 32, 16 * 32)
    assert Image.open(tmp_path / "single_film.gif").n_frames == 4  # no more than the walk has
    assert Image.open(tmp_path / "single_film.png").size == (3 * 32, 3 * (4 * 30 + 2))
    anything = tmp_path / "any.png"
    assert main(["sample", "--any", "--count", "2", "--steps", "4", "--out", str(anything)]) == 0
    assert anything.exists()
    with pytest.raises(SystemExit):
        main(["sample", "--sampler", "magic"])


def test_a_model_that_draws_no_numbers_is_told(tmp_path, solutions, capsys):
    config = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16)
    model = build_model(solutions, config)
    model.conv_in.bias.data.fill_(float("nan"))
    folder = tmp_path / "runs" / "burst" / "models"
    folder.mkdir(parents=True)
    save_model(folder / "model.safetensors", model, config)
    assert main(["sample", "--run", "burst", "--count", "2", "--digit", "1", "--steps", "2"]) == 2
    assert "2 of 2 images hold infinite values or NaN" in capsys.readouterr().out
    assert not (tmp_path / "pictures" / "digit_1.png").exists()


def test_lab_hands_jupyters_options_on(monkeypatch):
    called = []
    monkeypatch.setenv("COURSE_EXERCISES", str(ROOT / "exercises"))
    monkeypatch.setattr("subprocess.call", lambda command, env: called.append((command, env)) or 0)
    own = ["--allow-root", "--no-browser", "--port", "8899", "--ServerApp.token=x"]
    assert main(["lab"]) == main(["lab", *own]) == main(["lab", "--notebook-dir=x"]) == 0
    commands, environments = zip(*called)
    assert commands[1] == [*commands[0], *own]
    # So that a link can open a file beside the notebook; not if Jupyter shows another folder.
    assert [env.get(LAB_FOLDER) for env in environments] == [str(ROOT), str(ROOT), None]


def test_no_other_command_takes_unknown_options(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["check", "1.1", "--port", "8899"])
    assert "unrecognized arguments: --port 8899" in capsys.readouterr().err


@pytest.mark.parametrize("backend, kept", [("garbage", "None"), ("svg", "svg")])
def test_a_backend_that_matplotlib_does_not_know_is_dropped(backend, kept):
    code = "import os, course.model.pictures, course.pages.notebook, matplotlib.pyplot; "
    code += "print(os.environ.get('MPLBACKEND'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": backend},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == f"{kept}\n", done.stderr


def test_what_cannot_be_written_is_told_before_anything_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course.model.sampling.draw", lambda *_, **__: pytest.fail("drawn"))
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.json").mkdir()
    below, long = tmp_path / "file" / "x", tmp_path / (250 * "x")
    for command, why in (
        (
            ["sample", "--out", tmp_path / "folder.png"],
            "folder.png cannot be written: it is a fold",
        ),
        (["sample", "--out", f"{below}.png"], "x.png cannot be written: "),
        (["sample", "--out", f"{long}.png"], "File name too long"),
        (["evaluate", "--count", "10", "--out", tmp_path / "folder.json"], "it is a folder"),
        (["evaluate", "--count", "10", "--out", f"{below}.json"], "x.json cannot be written: "),
        (["grade", ROOT / "solutions", "--out", tmp_path / "file"], "results.json cannot be writ"),
        (["book", "--out", tmp_path / "file"], "index.html cannot be written: "),
        (["sample", "--count", "728", "--out", tmp_path / "x.jpg"], ".jpg has 65,500 at most"),
        (["sample", "--count", "729", "--out", tmp_path / "x.gif"], ".gif has 65,535 at most"),
    ):
        assert main([str(part) for part in command]) == 2, command
        assert why in capsys.readouterr().out, command
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.json", "folder.png"]
    (tmp_path / "pictures" / "ten_digits.png").mkdir(parents=True)
    assert main(["demo"]) == 2
    assert "ten_digits.png cannot be written: it is a folder" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_read_only_folder_is_told(tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert main(["sample", "--out", str(tmp_path / "locked" / "x.png")]) == 2
    assert "x.png cannot be written: Permission denied" in capsys.readouterr().out


def test_a_picture_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    out = tmp_path / "x.png"
    out.write_text("before")
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert main(["sample", "--digit", "1", "--steps", "2", "--out", str(out)]) == 2
    assert f"error: {out}: No space left on device" in capsys.readouterr().out
    assert out.read_text() == "before" and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "GIF"])
def test_a_picture_has_the_format_it_is_named_after(tmp_path, suffix):
    out = tmp_path / f"x.{suffix}"
    assert main(["sample", "--digit", "1", "--steps", "2", "--out", str(out)]) == 0
    assert Image.open(out).format == {"png": "PNG", "jpg": "JPEG", "GIF": "GIF"}[suffix]


def test_names_are_printed_as_they_are(tmp_path, monkeypatch, capsys):
    """Brackets are no markup, and colons no emoji."""
    place = tmp_path / "für [copy] 100% #1 :heart:"
    monkeypatch.setenv("COURSE_EXERCISES", str(place / "exercises"))
    assert main(["start", str(place)]) == 0
    assert f"files written in {place}" in capsys.readouterr().out
    assert main(["reset", "1.2"]) == 0
    assert f"kept in {place}" in capsys.readouterr().out
    picture = place / "see [/x].png"
    assert main(["sample", "--digit", "1", "--steps", "2", "--out", str(picture)]) == 0
    assert f": {picture}\n" in capsys.readouterr().out
    assert main(["check", "--impl", str(place / "[/nowhere]")]) == 2
    assert "[/nowhere]" in capsys.readouterr().out
    solve(place / "exercises", "ch01_noise_schedule")
    with (place / "exercises" / "ch01_noise_schedule.py").open("a") as file:
        file.write("\nraise ValueError('[/] [red] :heart:')\n")
    assert main(["check", "1.1"]) == 1
    assert "ValueError: [/] [red] :heart:" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_without_unicode_shows_the_verdict(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "course.cli", "check", "1.1", "--impl", "solutions"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"? 1.1 " in done.stdout and b"2 of 2" in done.stdout


@pytest.mark.parametrize("options", [["--sampler", "2m"], ["--sampler", "ddim", "--eta", "0.5"]])
def test_sample_with_the_samplers_of_chapter_07(tmp_path, options):
    grid = tmp_path / "grid.png"
    assert (
        main(["sample", "--digit", "7", "--steps", "4", "--film", "--out", str(grid), *options])
        == 0
    )
    assert grid.exists() and (tmp_path / "grid_film.png").exists()
