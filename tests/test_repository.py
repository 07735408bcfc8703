"""What the repository as a whole promises: style, size, and pages that tell the truth."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from benchmarks import cifar10, large, preset_costs, seed_search, several_processes
from course import ROOT
from course.grading.answer_report import PAGE, cell, verdict
from course.grading.answers import equivalents_of, misconceptions_of
from course.grading.checking import checks_of
from course.model.training import PRESETS
from course.pages import book
from course.syllabus import chapters, exercises

PAGES = [*book.PAGES, *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))]
PAGES += [f"models/{p.name}" for p in sorted((ROOT / "models").glob("*.md"))]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return listed.stdout.splitlines()


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_no_complaint(command):
    folders = [
        "course",
        "solutions",
        "checks",
        "tests",
        "benchmarks",
    ]  # exercises/ is the learner's
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *folders], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


def test_no_large_file_and_no_data_set_is_tracked():
    for name in tracked_files():
        path = ROOT / name
        assert not path.exists() or path.stat().st_size <= 8e6, name
        assert "ubyte" not in name and not name.startswith(("runs/", ".course/", "pictures/"))


def test_the_page_counts_the_known_answers_right():
    page = read("docs/checks.md")
    for chapter in chapters():
        ids = [exercise.id for exercise in chapter.exercises]
        checks, wrong, right = (
            sum(len(of(i)) for i in ids) for of in (checks_of, misconceptions_of, equivalents_of)
        )
        start = f"| {chapter.number} {chapter.title} | {len(ids)} | {checks} | {wrong} of {wrong} "
        line = rf"{re.escape(start)}\| \d+ \| {right} of {right} \|"  # the middle one is measured
        assert re.search(line, page), f"docs/checks.md should say: {line}"


def test_the_page_shows_the_measured_speed():
    measured = json.loads(read("benchmarks/results/training_speed.json"))
    contestants, curves = measured["speed"]["contestants"], measured["race"]["curves"]
    page = read("docs/training.md")
    for name, shown in [
        ("course", "this course"),
        ("diffusers", "diffusers, `UNet2DModel`"),
        ("lucidrains", "denoising_diffusion_pytorch"),
    ]:
        speed, last = contestants[name], curves[name][-1]
        seconds = f"{last['seconds']:.0f} s"
        line = (
            f"| {shown} | {speed['images_per_second']:.0f} | {speed['gflop_per_image']:.2f} GFLOP "
            f"| {100 * speed['share_of_limit']:.0f} % "
            f"| {'' if last['eps_mse'] <= measured['race']['target'] else 'more than '}{seconds} |"
        )
        assert line in page, f"docs/training.md should say: {line}"


def test_the_page_shows_the_measured_speed_of_sampling():
    measured = json.loads(read("benchmarks/results/sampling_speed.json"))["10 images"]
    page = read("docs/training.md")
    shown = {
        "course": "this course",
        "exported": "this course, `--onnx`",
        "diffusers": "diffusers",
        "lucidrains": "denoising_diffusion_pytorch",
        "network": "calls of the network alone",
    }
    for sampler, rows in measured.items():
        for name, row in rows.items():
            figures = f"{row['steps_per_second']:.1f} | {row['time_over_course']:.2f}"
            line = f"| {sampler} | {shown[name]} | {figures} |"
            assert line in page, f"docs/training.md should say: {line}"


@pytest.mark.parametrize(
    "table, results, where",
    [
        (preset_costs.table, "preset_costs", "docs/training.md"),
        (large.table, "large", "docs/training.md"),
        (cifar10.table, "cifar10", "docs/your_own_pictures.md"),
        (several_processes.table, "several_processes", "docs/several_processes.md"),
        (seed_search.table, "seed_search", "models/mnist.md"),
    ],
    ids=["preset_costs", "large", "cifar10", "several_processes", "seed_search"],
)
def test_a_page_shows_the_table_that_was_measured(table, results, where):
    measured = json.loads(read(f"benchmarks/results/{results}.json"))["measured"]
    page = read(where)
    for line in table(measured):
        assert line in page, f"{where} should say: {line}"


def test_the_playground_says_how_long_it_took():
    page = " ".join(read("docs/playground.md").split())
    found = json.loads(read("benchmarks/results/playground.json"))["seconds"]["wide"]
    seconds = {what: f"{one['clock']:.1f} s" for what, one in found.items()}
    for text in (
        f"the first moment of a walk shows {seconds['first moment']} after the page is opened",
        f"Ten guided digits in 20 steps take {seconds['ten digits, 20 steps']}, "
        f"ten digits in one call {seconds['ten digits, 1 call']}, "
        f"and a guided prompt in 25 steps {seconds['one prompt, 25 steps']}",
    ):
        assert text in page


def test_the_cost_of_every_preset_was_measured():
    measured = json.loads(read("benchmarks/results/preset_costs.json"))["measured"]
    assert set(measured) == set(PRESETS) - set(preset_costs.NOT_MEASURED)
    for name, figures in measured.items():
        preset = PRESETS[name]
        images = preset.images_per_epoch or preset_costs.MNIST
        steps = preset.epochs * (images // preset.batch_size)
        assert figures["steps"] == steps, f"{name} was another when it was measured"


def test_the_page_names_every_preset():
    page = read("docs/training.md")
    for name, preset in PRESETS.items():
        prediction = {"v": "v", "eps": "ε", "flow": "velocity"}[preset.model.prediction]
        network = f"{preset.model.base_channels} channels, {prediction}-prediction"
        assert re.search(rf"\| `{name}` \| [^|]+ \| {network} \|", page), name


def test_the_list_of_misconceptions_is_complete():
    page = PAGE.read_text(encoding="utf-8")
    for exercise in exercises():
        for answer in misconceptions_of(exercise.id):
            for text in (answer.name, answer.help):
                assert cell(text) in page, "run: python -m course.grading.answer_report --write"


# The README and the other pages


def test_the_readme_is_short_and_begins_with_the_first_command():
    readme = read("README.md")
    assert len(readme.split()) <= 800
    first = readme.index("### Set up and see it run")
    assert len(readme[:first].split()) <= 120
    for heading in ("Set up and see it run", "Set up and run all tests"):
        section = readme.split(f"### {heading}\n")[1].split("\n#")[0]
        assert re.search(r"^```\npython3 [^\n]+\n```$", section, re.MULTILINE), heading


def test_the_readme_shows_a_verdict_as_it_is():
    answer = next(a for a in misconceptions_of("2.3") if "by its variance" in a.name)
    example = read("README.md").split("\n```\n✘ 2.3 ")[1].split("```")[0]
    assert example.split() == verdict(answer).message().split()


def test_the_readme_links_to_every_notebook():
    readme = read("README.md")
    for path in (ROOT / "chapters").glob("*.ipynb"):
        assert f"](chapters/{path.name})" in readme


def test_the_page_of_what_you_can_do_has_every_chapter_in_order():
    page = read("docs/what_you_can_do.md")
    rows = re.findall(r"^\| \[(\d\d) ([^]]+)\]\(\.\./(\S+)\) \| .{80,} \|$", page, re.MULTILINE)
    assert rows[1:] == [(c.number, c.title, c.notebook) for c in chapters()]
    assert rows[0] == ("00", "Start here", "chapters/00_start_here.ipynb")
    assert (
        "](../docs/what_you_can_do.md)"
        in json.loads(read(chapters()[-1].notebook))["cells"][-3]["source"][-1]
    )
    assert all(f"`course {command}`" in page for command in ("certificate", "review"))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)]+)\)", read(page)):
        file = (ROOT / page).parent / target.partition("#")[0]
        assert target.startswith(("http", "#")) or file.exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_files_and_modules_that_a_page_names_exist(page):
    text = read(page)
    folders = "course|checks|solutions|benchmarks|tests|docs|models"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert "NN" in path or (ROOT / path).exists(), path
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module


# docs/exercises.md


def test_the_table_of_exercises_has_each_with_its_minutes_and_whether_runs_call_it():
    rows = re.findall(
        r"^\| (\d+\.\d+) \|.* \| (\d+) \| ([^|]+) \|$", read("docs/exercises.md"), re.M
    )

    def called(exercise):
        what = exercise.no_run
        return f"no: {what[0].lower()}{what[1:]}" if what else "yes"

    assert rows == [(e.id, str(e.minutes), called(e)) for e in exercises()]


# docs/maintaining.md


def test_the_ways_of_a_check_and_a_batch_are_as_described():
    """Traced in a process of their own, because a trace suffers from what other tests leave."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(ROOT / "tests" / "ways.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_rooms_import_only_what_they_may():
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", read("docs/maintaining.md"), re.MULTILINE
    )
    allowed = {room: set(re.findall(r"`(\w+)`", text)) for room, text in rows}
    folders = {path.parent.name for path in (ROOT / "course").glob("*/__init__.py")}
    assert allowed.keys() == folders
    for room in folders:
        for path in (ROOT / "course" / room).rglob("*.py"):
            found = re.findall(r"^\s*(?:from|import) course\.(\w+)", path.read_text(), re.MULTILINE)
            others = set(found) & folders - {room}
            assert others <= allowed[room], f"{path.name} imports {others - allowed[room]}"


# What other services read


def test_the_citation_has_what_its_format_demands():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    known = {"cff-version", "message", "title", "authors", "type", "abstract", "version"}
    assert known <= citation.keys() <= known | {"license", "keywords", "repository-code"}
    assert all(author.keys() == {"name"} for author in citation["authors"])
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert citation["version"] == project["version"]
    assert f"\n## {project['version']} - 20" in read("CHANGELOG.md")


def test_the_workflow_runs_what_runs_here():
    (job,) = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"].values()
    assert job["timeout-minutes"] > 0
    python, script = job["steps"][1:]
    assert python["with"]["python-version"] == "3.11"
    assert script["run"].endswith("bash .ci/run") and (ROOT / ".ci" / "run").exists()


@pytest.mark.parametrize("name", ["wrong_verdict", "bug", "idea"])
def test_an_issue_form_can_be_read(name):
    form = yaml.safe_load(read(f".github/ISSUE_TEMPLATE/{name}.yml"))
    assert form["name"] and form["description"]
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids) > 0
    for part in form["body"]:
        assert part["type"] in ("input", "textarea") and part["attributes"]["label"]


def test_hooks_need_nothing_from_elsewhere():
    for repository in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system" and hook["entry"].startswith("ruff ")
