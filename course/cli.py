"""The `course` command."""

import argparse
import gc
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from course import CLONED, PACKAGE, ROOT, CourseError, packed
from course.files import require_writable, write_whole
from course.grading.source import definition_text
from course.learner.workspace import (
    LAB_FOLDER,
    Workspace,
    code_folder,
    find_workspace,
    home,
    pictures_folder,
)
from course.model import METHODS, PRESET_NAMES, SAMPLERS
from course.syllabus import (
    NOT_WRITTEN,
    PASSED,
    Exercise,
    exercises,
    find_chapter,
    find_exercise,
    select,
    select_all,
)

PICTURES = (".png", ".jpg", ".gif")  # what `course sample` can write
MAX_PICTURES = 10_000  # in one picture
MAX_PIXELS = {".jpg": 65_500, ".gif": 65_535}  # a picture's height, where the format has a limit
MAX_SEED = 2**53  # in size; torch takes such numbers, and JSON keeps them exact
WHOSE = "solutions, or exercises: yours where it passes, else the reference"
BY_ONNX = "ONNX Runtime computes the network, on the CPU: the same pictures in less time"
JUPYTER_CONFIG = PACKAGE / "pages" / "jupyter"  # how `course lab` sets up Jupyter

# No text is taken for markup: paths and names may hold brackets. What has a colour is a rich Text.
console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)

# Commands import what needs torch only when they run, so that help and hints come at once.


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if all is well, 1 if checks fail, 2 if something could not be done."""
    if hasattr(sys.stdout, "reconfigure"):  # not where a notebook shows what is printed
        sys.stdout.reconfigure(errors="replace")  # a console that lacks a sign shows ? for it
    parser = make_parser()
    options, options.unknown = parser.parse_known_args(arguments)
    if options.unknown and options.run is not lab:  # which hands them on
        parser.error(f"unrecognized arguments: {' '.join(options.unknown)}")
    try:
        require_seed(getattr(options, "seed", None))
        return options.run(options) or 0
    except CourseError as error:
        console.print(marked("error:", "red", str(error)))
        return 2
    except BrokenPipeError:  # nobody reads on
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.print(marked("error:", "red", f"{where}{error.strerror or error}"))
        return 2
    except KeyboardInterrupt:
        console.print("stopped")
        return 130


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="course",
        description="Diffusion from scratch: build a model that draws digits. "
        "Without a command: your scoreboard, and what is next.",
    )
    parser.set_defaults(run=scoreboard)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    commands = parser.add_subparsers(title="commands", metavar="")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = command("start", start, "lay out a folder to work in: notebooks and exercises")
    sub.add_argument("folder", type=Path, help="a new folder, or one that lacks something")

    sub = command("check", check, "grade your exercises, one chapter (01) or one exercise (1.2)")
    sub.add_argument("which", nargs="?", help="01 or 1.2; all if left out")
    sub.add_argument("--impl", help="grade another folder, for example solutions")

    sub = command("grade", grade, "for instructors: grade many submissions, each in a sandbox")
    sub.add_argument(
        "places", nargs="+", type=Path, help="submissions, or folders or .zip files full of them"
    )
    sub.add_argument("--only", help="chapters and exercises, as 01,02 or 1.2; all if left out")
    sub.add_argument("--one", action="store_true", help="each place is one learner's, all of it")
    sub.add_argument("--roster", type=Path, help="CSV of the class: columns id and name")
    sub.add_argument("--rules", type=Path, help="TOML: late days, attempts, points for checks")
    sub.add_argument("--out", type=Path, default=Path("grades"), help="results (default grades/)")
    sub.add_argument("--jobs", type=int, help="how many run at a time (default: one a core)")
    sub.add_argument("--seed", type=int, help="of the inputs; drawn afresh if left out")
    sub.add_argument("--seconds", type=float, default=300.0, help="for each (default 300)")
    sub.add_argument(
        "--trusted", action="store_true", help="grade also where code cannot be confined"
    )

    sub = command("export", export, "for instructors: an autograder archive for a platform")
    platforms = ["gradescope", "prairielearn", "classroom50"]
    sub.add_argument("platform", choices=platforms, help=", ".join(platforms))
    sub.add_argument("--only", help="chapters and exercises, as 01,02 or 1.2; all if left out")
    sub.add_argument("--rules", type=Path, help="TOML: points for checks")
    sub.add_argument("--out", type=Path, default=Path("."), help="folder to write it to")

    sub = command(
        "student-edition",
        student_edition,
        "for instructors: the course for a class, its answers packed",
    )
    sub.add_argument("folder", metavar="OUT", type=Path, help="a new or an empty folder")

    sub = command(
        "export-model",
        export_model,
        "for maintainers: a run's model becomes what ships; with --onnx, for all: export a model",
    )
    sub.add_argument(
        "run_name", metavar="RUN", nargs="?", help="in runs/; with --onnx, else all that ships"
    )
    sub.add_argument(
        "--onnx", action="store_true", help="write the network for ONNX Runtime, beside the model"
    )

    sub = command(
        "new-chapter", new_chapter, "for maintainers: begin a chapter that grades already"
    )
    sub.add_argument("number", help="for example 09")
    sub.add_argument("topic", help="for the files' names, for example fast_sampling")
    sub.add_argument("title", help='for example "Fast sampling"')

    sub = command("watch", watch, "check an exercise again at every save")
    sub.add_argument("exercise", nargs="?", help="for example 1.2; the next one if left out")

    sub = command("hint", hint, "the next hint for an exercise; each call opens one more")
    sub.add_argument("exercise", help="for example 1.2")

    sub = command(
        "review", review, "five minutes a day: code, sound or with a mistake; which is it?"
    )
    sub.add_argument("which", nargs="?", help="chapters and exercises, as 01,02 or 1.2")
    sub.add_argument("--minutes", type=float, default=5.0, help="how long (default 5)")

    sub = command("ask", ask, "the three questions at the end of a chapter")
    sub.add_argument("chapter", help="for example 01")

    sub = command(
        "certificate", certificate, "what you have done, as a file; or verify such a file"
    )
    sub.add_argument(
        "--out", type=Path, help="the file to write (default certificate.json at home)"
    )
    sub.add_argument(
        "--verify", nargs=2, type=Path, metavar=("FILE", "EXERCISES"), help="grade this code again"
    )

    sub = command("reset", reset, "put a skeleton back; what you wrote is kept as a dated backup")
    sub.add_argument("which", help="an exercise (1.2) or a chapter (01)")

    sub = command("solution", solution, "the reference's way, once yours passes")
    sub.add_argument("exercise", help="for example 1.2")

    sub = command(
        "demo", demo, "draw all ten digits with the shipped model, and grade the reference"
    )
    sub.add_argument("--onnx", action="store_true", help=BY_ONNX)

    sub = command("train", train, "train a model; go on with the run if it was interrupted")
    sub.add_argument(
        "--preset", default="laptop", help=f"{', '.join(PRESET_NAMES)} (default laptop)"
    )
    sub.add_argument("--name", help="name of the run, in runs/; the preset's if left out")
    sub.add_argument(
        "--data",
        default="auto",
        help="auto (default: what the preset is for), mnist, mnist5k, cifar10, celeba, or "
        "folder:PATH for your own pictures",
    )
    sub.add_argument(
        "--flip",
        action="store_true",
        help="mirror half of your own pictures each time they are seen; cifar10 and celeba do so",
    )
    sub.add_argument(
        "--size",
        type=int,
        choices=(32, 64),
        help="pixels a side, to which your own pictures are brought (default 32)",
    )
    sub.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    sub.add_argument("--impl", default="solutions", help=WHOSE)
    sub.add_argument("--epochs", type=int, help="another number of epochs than the preset's")
    sub.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        help="of the network's products; bfloat16 is faster where the processor computes with it",
    )

    sub = command("distil", distil, "make copies of a model that draw in fewer calls")
    sub.add_argument("--method", default="progressive", choices=METHODS, help=", ".join(METHODS))
    sub.add_argument("--calls", type=int, default=4, help="of the last copy: 8, 4 (default), 2, 1")
    sub.add_argument("--steps", type=int, default=1000, help="of training each (default 1000)")
    sub.add_argument("--guidance", type=float, default=0.5, help="w of the model (default 0.5)")
    sub.add_argument("--name", help="name of the run, in runs/; the method's if left out")
    sub.add_argument("--run", dest="run_name", help="a run in runs/; the shipped model if left out")
    sub.add_argument("--data", default="auto", help="auto (default), mnist or mnist5k")
    sub.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    sub.add_argument("--impl", help=f"{WHOSE}; if left out, what the run was trained with")

    sub = command("sample", sample, "draw digits, or what prompts say, and save a picture")
    sub.add_argument("--digit", type=int, help="0 ... 9; all ten if left out")
    sub.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        metavar="NAME",
        help="of a model of photographs: which classes; all if left out",
    )
    sub.add_argument(
        "--prompt",
        nargs="+",
        metavar="TEXT",
        help='what to draw, one picture for each, as "a red seven on blue"; "red:2" asks twice',
    )
    sub.add_argument("--negative", metavar="TEXT", help="with --prompt: what should not be there")
    sub.add_argument("--any", action="store_true", help="unconditional: whatever digit comes")
    sub.add_argument("--count", type=int, help="how many; 1 of a digit or prompt, or 1 of each")
    sub.add_argument("--guidance", type=float, default=1.0, help="w; 0 is none (default 1)")
    sub.add_argument("--sampler", default="ancestral", choices=SAMPLERS, help=", ".join(SAMPLERS))
    sub.add_argument("--eta", type=float, default=0.0, help="noise of ddim, 0 ... 1 (default 0)")
    sub.add_argument("--steps", type=int, default=100, help="2 ... 1000 (default 100)")
    sub.add_argument("--seed", type=int, default=0, help="same seed, same digits (default 0)")
    sub.add_argument(
        "--film", action="store_true", help="save the walk as well: ten moments, and a moving GIF"
    )
    sub.add_argument("--run", dest="run_name", help="a run in runs/; the shipped model if left out")
    sub.add_argument("--impl", help=f"{WHOSE}; if left out, what the run was trained with")
    sub.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    sub.add_argument("--onnx", action="store_true", help=BY_ONNX)
    sub.add_argument("--out", type=Path, help="the file to write (default pictures/NAME.png)")

    sub = command("evaluate", evaluate, "measure a model: right digits, likeness, variety, copies")
    sub.add_argument("run_name", nargs="?", metavar="RUN", help="in runs/; else the shipped model")
    sub.add_argument("--count", type=int, default=1000, help="images for each w (default 1000)")
    sub.add_argument(
        "--guidance", type=float, nargs="+", default=[0.0, 1.0], help="one w or more (default 0 1)"
    )
    sub.add_argument("--sampler", default="ancestral", choices=SAMPLERS, help=", ".join(SAMPLERS))
    sub.add_argument("--steps", type=int, default=50, help="2 ... 1000 (default 50)")
    sub.add_argument("--seed", type=int, default=0, help="same seed, same figures (default 0)")
    sub.add_argument(
        "--data", default="auto", help="auto: what the model was trained on, or mnist5k"
    )
    sub.add_argument("--impl", help=f"{WHOSE}; if left out, what the run was trained with")
    sub.add_argument("--device", default="auto", help="auto (default), cpu, cuda or mps")
    sub.add_argument("--onnx", action="store_true", help=BY_ONNX)
    sub.add_argument("--out", type=Path, help="default evaluation.json, beside the run")

    command("lab", lab, "open JupyterLab at chapter 00; Jupyter's own options are handed on to it")

    sub = command("book", book, "build the web book: book/html/index.html")
    sub.add_argument("--out", type=Path, help="folder (default book/)")
    sub.add_argument(
        "--links", action="store_true", help="check its links to other hosts (needs the internet)"
    )
    return parser


def import_torch() -> None:
    """Import it without a look for garbage: among its objects is none, and a tenth is saved."""
    gc.disable()
    importlib.import_module("torch")
    gc.enable()


def require_seed(seed: int | None) -> None:
    if seed is not None and not -MAX_SEED <= seed <= MAX_SEED:
        raise CourseError(f"--seed must be at most {MAX_SEED:,} in size, got {seed}")


def marked(word: str, style: str, text: str) -> Text:
    """A line whose first word has a style of rich."""
    return Text.assemble((word, style), " ", text)


def version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]


def scoreboard(options) -> int:
    from course.learner.scoreboard import next_exercise, score_table

    statuses = Workspace(apart=True).statuses()
    console.print(score_table(statuses))
    upcoming = next_exercise(statuses)
    console.print()
    if upcoming is None:
        console.print("Everything passes. Train your own model: course train --impl exercises")
    else:
        chapter = find_chapter(upcoming.chapter)
        console.print(Text.assemble("next: ", (f"{upcoming.id} {upcoming.title}", "bold")))
        console.print(f"      read {chapter.notebook}, write exercises/{upcoming.chapter}.py,")
        console.print(f"      then: course check {upcoming.id}")
    return 0


def start(options) -> int:
    from course.learner.layout import lay_out

    written, kept = lay_out(options.folder)
    console.print(f"{len(written)} files written in {options.folder}")
    if kept:
        console.print("These were there, differ from the course's, and stay as they are:")
        for name in kept:
            console.print(f"  {name}")
        console.print("To get the course's version of one, move yours away and run this again.")
    go = f"cd {shlex.quote(str(options.folder))}, and there: " if options.folder != Path() else ""
    console.print(f"next: {go}course lab")
    return 0


def check(options) -> int:
    wanted = select(options.which)  # a wrong number is told before anything is graded
    import_torch()
    from course.learner.scoreboard import score_lines, signed

    if options.impl:
        from course.grading.apart import grade_apart
        from course.grading.code import LocalCode

        results = grade_apart(LocalCode(code_folder(options.impl)), wanted)
    else:
        results = Workspace(apart=True).grade(wanted)
    for result in results:
        sign = signed(result.status)
        if result.status == NOT_WRITTEN:
            exercise = result.exercise
            text = f"{exercise.id} {exercise.title}: {exercise.in_words(result.status)}"
        else:
            text = result.message
        console.print(Text.assemble(sign, " ", text))
    console.print()
    for line in score_lines(results):
        console.print(line)
    return 0 if all(result.status == PASSED for result in results) else 1


def grade(options) -> int:
    if options.jobs is not None and options.jobs < 1:
        raise CourseError(f"--jobs must be at least 1, got {options.jobs}")
    wanted = select_all(options.only)  # a wrong number is told before anything is graded
    if options.seconds <= 0:
        raise CourseError(f"--seconds must be more than 0, got {options.seconds}")
    from course.classroom.alike import find_alike
    from course.classroom.batch import Batch
    from course.classroom.collecting import COPIES, collect
    from course.classroom.gradebook import NOT_SUBMITTED, read_roster, read_rules, settle
    from course.classroom.questions import class_answers
    from course.classroom.reports import questions_table, table, write_reports

    rules = read_rules(options.rules)
    roster = read_roster(options.roster) if options.roster else []
    require_writable(options.out / "results.json")
    collection = collect(options.places, options.out / COPIES, options.one)
    batch = Batch(
        collection,
        options.out,
        wanted,
        seed=options.seed,
        jobs=options.jobs,
        seconds=options.seconds,
        trusted=options.trusted,
    )
    if batch.sandbox.warning:
        console.print(marked("warning:", "yellow", batch.sandbox.warning))
    try:
        results = batch.grade()
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on with what is in {options.out}")
        return 130
    alike = find_alike(collection.folders, results)
    answers = class_answers(collection.folders)
    results = settle(results, collection.submissions, rules, roster, wanted)
    console.print(table(results))
    console.print(questions_table(answers))
    for note in collection.notes:
        console.print(marked("note:", "yellow", note))
    for result in results:
        if result.notes and not result.problem:
            console.print(marked("note:", "yellow", f"{result.name}: {result.notes}"))
    written = write_reports(results, options.out, roster, alike, answers)
    names = ", ".join(path.name for path in written if path.parent == options.out)
    console.print(f"in {options.out}: {names}, feedback/, and a folder for each platform")
    return 1 if any(result.problem not in ("", NOT_SUBMITTED) for result in results) else 0


def export(options) -> int:
    platform = importlib.import_module(f"course.classroom.{options.platform}")
    written = platform.export(options.out, options.only, options.rules)
    console.print(f"wrote {written}; it holds the solutions, so keep it from learners")
    return 0


def student_edition(options) -> int:
    from course.classroom.edition import lay_out
    from course.learner.skeletons import write_missing

    count = lay_out(options.folder)
    write_missing(options.folder / "exercises")
    console.print(f"wrote {options.folder}: hand this folder to your class. {count} files with")
    console.print("answers are packed in it: out of sight, and not locked")
    return 0


def require_clone(command: str) -> None:
    """Refuse a command that changes the course itself where the course is installed."""
    if not CLONED:
        raise CourseError(
            f"course {command} changes the course itself, which needs a clone of its repository; "
            f"this one is installed in {PACKAGE.parent}"
        )


def export_model(options) -> int:
    if options.onnx:
        return export_onnx(options.run_name)
    if options.run_name is None:
        raise CourseError("name the run whose model is to ship: course export-model RUN")
    from course.model.models import ship
    from course.probing.loading import Implementation

    require_clone("export-model")
    path, change, size = ship(home() / "runs" / options.run_name, Implementation("solutions"))
    console.print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    console.print(
        f"half precision changes the output for fixed inputs by at most {change:.1e} "
        f"(it is of size {size:.2f}, root mean square)"
    )
    return 0


def export_onnx(run_name: str | None) -> int:
    from course.model.models import ALL_SHIPPED

    if run_name is None:
        require_clone("export-model --onnx without a run")
    for model_file in [model_of(run_name)] if run_name else ALL_SHIPPED:
        export_one(model_file)
    return 0


def export_one(model_file: Path) -> None:
    from course.model.exported import export
    from course.model.models import read_config
    from course.model.rehearsal import rehearse_network

    config = read_config(model_file)
    impl = code_for(None, lambda trial: rehearse_network(trial, config), network_of=model_file)
    path, change = export(model_file, impl)
    console.print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    console.print(f"for fixed inputs its output differs from PyTorch's by at most {change:.1e}")


def require_cpu(options) -> None:
    """Refuse a device that --onnx does not compute on."""
    if options.onnx and options.device not in ("auto", "cpu"):
        raise CourseError(f"--onnx computes on the CPU; leave out --device {options.device}")


def new_chapter(options) -> int:
    require_clone("new-chapter")
    from course.pages.new_chapter import make, still_missing

    for path in make(options.number, options.topic, options.title):
        console.print(f"wrote {path}")
    number = options.number.zfill(2)
    console.print(f"\nIt grades already: course check {number} --impl solutions")
    console.print("\nStill missing", style="bold")
    console.print(still_missing(options.number, options.topic))
    return 0


def watch(options) -> int:
    if options.exercise:
        find_exercise(options.exercise)  # a wrong number is told before torch is imported
    from course.learner.watch import Watch

    Watch(Workspace(), options.exercise, console).run()
    return 0


def hint(options) -> int:
    exercise = find_exercise(options.exercise)
    count = Workspace().next_hint(exercise)
    console.print(f"{exercise.id} {exercise.title}", style="bold")
    for number, text in enumerate(exercise.hints[:count], start=1):
        console.print(f"  {number}. {text}")
    left = len(exercise.hints) - count
    console.print(
        f"  {left} more: course hint {exercise.id}" if left else "  That was the last hint."
    )
    return 0


def review(options) -> int:
    if not options.minutes > 0:
        raise CourseError(f"--minutes must be more than 0, got {options.minutes}")
    select_all(options.which)  # a wrong number is told before anything is graded
    from course.learner.review import Deck
    from course.learner.review_terminal import run

    deck = Deck(Workspace(apart=True), options.which)
    if not deck.exercises:
        raise CourseError(
            "what you review is what you have passed, and of that there is nothing yet; see: course"
        )
    run(deck, Console(highlight=False, markup=False, emoji=False), options.minutes)
    return 0


def ask(options) -> int:
    chapter = find_chapter(options.chapter).name  # a wrong number is told before anything is asked
    from course.learner.questions import Answers
    from course.learner.questions_terminal import run

    run(chapter, Answers(Workspace()), Console(highlight=False, markup=False, emoji=False))
    return 0


def certificate(options) -> int:
    from course.learner import certificate as page

    if options.verify:
        file, folder = options.verify
        content = page.read(file)
        found = page.disagreements(content, folder)
        for sentence in found or ["grading the code again gives the same points"]:
            console.print(marked("✘" if found else "✔", "red" if found else "green", sentence))
        return 1 if found else 0
    out = options.out or home() / "certificate.json"
    require_writable(out)
    content = page.certificate(Workspace(apart=True))
    write_whole(out, json.dumps(content, indent=1) + "\n")
    for line in page.in_words(content):
        console.print(line)
    console.print(
        f"wrote {out}; your instructor verifies it: course certificate --verify {out} ..."
    )
    return 0


def reset(options) -> int:
    workspace = Workspace()
    backup = workspace.reset(options.which)
    console.print(f"{options.which} is a skeleton again. What you had is kept in {backup}")
    return 0


def solution(options) -> int:
    exercise = find_exercise(options.exercise)
    if Workspace(apart=True).grade((exercise,))[0].status != PASSED:
        console.print(
            f"{exercise.id} does not pass yet. The reference is more use when you have your own to "
            f"compare with; until then: course hint {exercise.id}"
        )
        return 1
    from rich.syntax import Syntax

    text = packed.read_text(ROOT / "solutions" / f"{exercise.chapter}.py")
    for symbol in exercise.symbols:
        code = definition_text(text, symbol)
        console.print(Syntax(code, "python").highlight(code))  # wraps nothing, cuts nothing
    return 0


def demo(options) -> int:
    import_torch()
    from course.grading.code import LocalCode
    from course.grading.grader import Grader
    from course.learner.scoreboard import score_lines
    from course.model.exported import load_exported
    from course.model.models import SHIPPED, load_model
    from course.model.pictures import save_picture
    from course.model.sampling import draw

    picture = pictures_folder() / "ten_digits.png"
    require_writable(picture)
    solutions = LocalCode("solutions")
    model, config = (load_exported if options.onnx else load_model)(SHIPPED, solutions)
    # As its card says: a little guidance, and few steps.
    walk = {"guidance": 0.5, "sampler": "2m", "num_steps": 20}
    images, _ = draw(
        solutions, model, config, list(range(10)), progress="drawing ten digits", **walk
    )
    grid = solutions.chapter("ch06_guided_sampling").image_grid(images, 5)
    path = save_picture(grid, picture, zoom=4)
    console.print(f"The shipped model, trained on {config.data}, drew all ten digits: {path}")
    console.print("The reference in solutions/, graded by the course's own checks:")
    results = Grader(solutions).grade(exercises())
    for line in score_lines(results):
        console.print(f"  {line}")
    if find_workspace() is None:
        console.print(
            Text.assemble("Next: a folder to work in, with ", ("course start FOLDER", "bold"))
        )
    else:
        console.print(Text.assemble("Next: open chapter 00 with ", ("course lab", "bold")))
    return 0 if all(result.status == PASSED for result in results) else 1


def train(options) -> int:
    from course.model.prompts import like
    from course.model.rehearsal import rehearse_training
    from course.model.training import Run, get_preset, with_size

    preset = get_preset(options.preset)
    if options.epochs is not None:
        if options.epochs < 1:
            raise CourseError(f"--epochs must be at least 1, got {options.epochs}")
        preset = replace(preset, epochs=options.epochs)
    if options.precision:
        preset = replace(preset, precision=options.precision)
    if options.flip:
        preset = replace(preset, flip=True)
    if options.size:
        preset = with_size(preset, options.size)
    folder = run_folder(options.name or options.preset)
    impl = code_for(options.impl, lambda trial: rehearse_training(trial, preset))
    yours = sorted(getattr(impl, "yours", ()))
    run = Run(folder, preset, impl, options.data, options.device, yours=yours)
    try:
        run.train()
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on with {folder}")
        return 130
    if run.main:
        report_calls(impl)
        console.print(f"samples in {folder / 'generated_samples'}, side by side in progress.png")
        text, classes = run.config.text, run.config.classes
        asked = "--digit 7" if text is None else f"--prompt {like(text)}"
        if text is None and classes:
            asked = f"--class {shlex.quote(classes[0])}"
        console.print(f"draw with it: course sample --run {folder.name} {asked}")
    return 0


def run_folder(name: str) -> Path:
    """Where a run of this name is kept."""
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise CourseError(
            f"--name is the name of a folder in runs/: letters, digits, - and _; got {name!r}"
        )
    return home() / "runs" / name


def distil(options) -> int:
    from course.model.distilling import Distilling, Recipe
    from course.model.models import SHIPPED
    from course.model.rehearsal import rehearse_distilling

    recipe = Recipe(
        method=options.method, calls=options.calls, steps=options.steps, guidance=options.guidance
    )
    folder = run_folder(options.name or options.method)
    model_file = model_of(options.run_name) or SHIPPED
    impl = code_for(
        options.impl, lambda trial: rehearse_distilling(trial, recipe), network_of=model_file
    )
    run = Distilling(folder, model_file, recipe, impl, options.data, options.device)
    try:
        run.train()
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on after the last copy in {folder}")
        return 130
    report_calls(impl)
    console.print(f"draw with it: course sample --run {folder.name}")
    return 0


def model_of(run_name: str | None) -> Path | None:
    """The finished model of a run, if one is named."""
    return home() / "runs" / run_name / "models" / "model.safetensors" if run_name else None


def sample(options) -> int:
    import torch

    from course.model.exported import load_exported
    from course.model.models import (
        SHIPPED,
        SHIPPED_PROMPTS,
        choose_device,
        load_model,
        read_config,
    )
    from course.model.pictures import film_gif, save_picture, to_image
    from course.model.rehearsal import rehearse_drawing
    from course.model.sampling import draw

    require_cpu(options)
    if options.count is not None and options.count < 1:
        raise CourseError(f"--count must be at least 1, got {options.count}")
    if options.out and options.out.suffix.lower() not in PICTURES:
        raise CourseError(f"--out must end in {' or '.join(PICTURES)}, got {str(options.out)!r}")
    path = model_of(options.run_name) or (SHIPPED_PROMPTS if options.prompt else SHIPPED)
    config = read_config(path)
    require_kind(config, options)
    asked, name = wanted(config, options)
    count = options.count or 1
    if len(asked) * count > MAX_PICTURES:
        raise CourseError(
            f"--count {count:,} asks for {len(asked) * count:,} pictures; {MAX_PICTURES:,} at most"
        )
    # A row for each prompt or class, where there are several and each has more than one picture.
    in_rows = bool(options.prompt or config.classes) and len(asked) > 1 and count > 1
    asked = [one for one in asked for _ in range(count)] if in_rows else asked * count
    columns = count if in_rows else min(10, len(asked))
    out = options.out or pictures_folder() / f"{name}.png"
    strip, moving = (out.with_name(f"{out.stem}_film{kind}") for kind in (".png", ".gif"))
    require_room(out, len(asked), columns, config.image_size)
    require_writable(out, *([strip, moving] if options.film else []))
    sampler, num_steps, guidance, eta = (
        options.sampler,
        options.steps,
        options.guidance,
        options.eta,
    )
    if config.calls:
        sampler, num_steps, guidance, eta = "ddim", config.calls, 0.0, 0.0
        console.print(told_of_calls(config))
    guidance = 0.0 if options.any else guidance

    def rehearse(trial) -> None:
        rehearse_drawing(trial, config, sampler, guidance, eta)

    impl = code_for(options.impl, rehearse, network_of=path)
    model, _ = (load_exported if options.onnx else load_model)(path, impl)
    model = model.to(choose_device(options.device))
    images, film = draw(
        impl,
        model,
        config,
        asked,
        guidance=guidance,
        num_steps=num_steps,
        seed=options.seed,
        film_frames=30 if options.film else 0,
        progress="drawing",
        sampler=sampler,
        eta=eta,
        unwanted=options.negative,
    )
    if broken := int((~images.isfinite()).flatten(1).any(dim=1).sum()):
        raise CourseError(
            f"{broken} of {len(images)} images hold infinite values or NaN, so there is nothing to "
            "show; try --guidance nearer to 1, and if that does not help, train the model anew"
        )
    image_grid = impl.chapter("ch06_guided_sampling").image_grid
    save_picture(image_grid(images, columns), out, zoom=16 if len(images) == 1 else 3)
    console.print(f"{len(images)} drawn ({config.data} model): {out}")
    if in_rows:
        console.print(f"a row for each {'prompt' if options.prompt else 'class'}")
    if options.film:
        moments = torch.linspace(0, len(film) - 1, min(10, len(film))).round().int().tolist()
        frames = torch.cat([film[moment][:columns] for moment in moments])
        save_picture(image_grid(frames, columns), strip, zoom=3)
        pictures = [to_image(image_grid(frame, columns), zoom=3) for frame in film]
        write_whole(moving, film_gif(pictures))
        console.print(f"the walk from noise, top to bottom: {strip}, and moving: {moving}")
    return 0


def told_of_calls(config) -> str:
    """How a model that was distilled draws, whatever the options say."""
    calls = "1 call" if config.calls == 1 else f"{config.calls} calls"
    return (
        f"this model was distilled: it draws in {calls} of ddim, with the guidance that is in its "
        "weights; --sampler, --steps, --eta and --guidance have no say"
    )


def wanted(config, options) -> tuple[list[int | None] | list[str], str]:
    """What `sample` is asked to draw once or more often, and the picture's name."""
    if options.prompt:
        words = re.findall(r"[a-z0-9]+", options.prompt[0].lower())
        return options.prompt, "prompts" if len(options.prompt) > 1 else "_".join(words)[
            :60
        ] or "prompt"
    if options.any:
        return [None], "any"
    if options.digit is not None:
        return [options.digit], f"digit_{options.digit}"
    if options.classes:
        names = re.findall(r"[a-z0-9]+", options.classes[0].lower())
        labels = [label_of(name, config.classes) for name in options.classes]
        return labels, "classes" if len(labels) > 1 else "_".join(names)[:60] or "class"
    return list(range(config.num_classes)), "all_classes" if config.classes else "all_digits"


def label_of(name: str, classes: tuple[str, ...]) -> int:
    """The label of a class of this name."""
    if name in classes:
        return classes.index(name)
    shown = f"{', '.join(classes[:20])}{' and others' if len(classes) > 20 else ''}"
    raise CourseError(f"this model knows no class {name!r}; it knows: {shown}")


def require_kind(config, options) -> None:
    """Refuse a digit asked of a model that reads prompts, and a prompt of one that does not."""
    from course.model.prompts import like

    if config.text is None and config.classes and (options.prompt or options.digit is not None):
        raise CourseError(
            f"this model draws classes by their names: --class {shlex.quote(config.classes[0])}, "
            "without --prompt and --digit"
        )
    if options.classes and (options.any or options.prompt):
        raise CourseError("--class says what to draw; leave out --any and --prompt")
    if config.text is None and options.classes and not config.classes:
        raise CourseError("this model draws digits by their numbers: --digit 7, without --class")
    if config.text is None and options.prompt:
        raise CourseError("this model draws digits by their numbers: --digit 7, without --prompt")
    if config.text and not options.prompt:
        raise CourseError(f"this model draws what a prompt says: --prompt {like(config.text)}")
    if options.prompt and (options.any or options.digit is not None):
        raise CourseError("--prompt says what to draw; leave out --digit and --any")
    if options.negative is not None and not options.prompt:
        raise CourseError("--negative goes with --prompt")
    if options.negative is not None and options.guidance == 0:
        raise CourseError(
            "--guidance 0 takes no notice of what is not wanted; with --negative, choose another"
        )


def require_room(out: Path, count: int, columns: int, size: int) -> None:
    """Refuse a picture that is larger than its format allows."""
    cells = max(columns, -(-count // columns))
    side = 3 * ((size + 2) * cells + 2)  # as image_grid and the zoom make it
    limit = MAX_PIXELS.get(out.suffix.lower(), side)
    if side > limit:
        raise CourseError(
            f"{count:,} images make a picture of {side:,} pixels in height or width, and "
            f"{out.suffix} has {limit:,} at most; use .png, or draw fewer"
        )


def evaluate(options) -> int:
    from course.model import evaluation as of_digits
    from course.model import photograph_evaluation as of_photographs
    from course.model import prompt_evaluation as of_prompts
    from course.model.models import SHIPPED, read_config
    from course.model.rehearsal import rehearse_evaluation

    model_file, folder = SHIPPED, pictures_folder()
    if options.run_name:
        folder, model_file = home() / "runs" / options.run_name, model_of(options.run_name)

    require_cpu(options)
    config = read_config(model_file)
    sampler, num_steps, guidances = options.sampler, options.steps, options.guidance
    if config.calls:
        sampler, num_steps, guidances = "ddim", config.calls, [0.0]
        console.print(told_of_calls(config))

    def rehearse(trial) -> None:
        rehearse_evaluation(trial, config, sampler, guidances)

    impl = code_for(options.impl, rehearse, network_of=model_file)
    out = options.out or folder / "evaluation.json"
    if of_photographs.of_photographs(config.data):
        module, kind = of_photographs, of_photographs.PhotographEvaluation
    elif config.text is None:
        module, kind = of_digits, of_digits.Evaluation
    else:
        module, kind = of_prompts, of_prompts.PromptEvaluation
    evaluation = kind(
        impl,
        model_file,
        out,
        count=options.count,
        num_steps=num_steps,
        sampler=sampler,
        seed=options.seed,
        data=options.data,
        device=options.device,
        onnx=options.onnx,
    )
    against = evaluation.test_set.name
    console.print(f"{model_file.name}, trained on {config.data}, against {against}")
    for text in evaluation.notes:
        console.print(marked("note:", "yellow", text))
    try:
        evaluation.run(guidances)
    except KeyboardInterrupt:
        console.print(f"stopped; {out} holds what was finished")
        return 130
    for table in module.tables(evaluation):
        console.print(table)
    for row in evaluation.report["generated"]:
        for text in row["flags"]:
            console.print(marked(f"w = {row['guidance']:g}:", "yellow", text))
        if not row["flags"]:
            console.print(f"w = {row['guidance']:g}: none of the known failures shows")
    console.print(f"wrote {out}")
    return 0


def code_for(asked: str | None, rehearse, network_of: Path | None = None):
    """The code for a run: the reference, or a learner's where it passes; says which is whose.

    Args:
        asked: what --impl says; None: whose code made the run.
        rehearse: called with an implementation, calls all that the run will call.
        network_of: the model's file, if the run begins with one: its network is built from the
            code that it was trained with.
    """
    from course.grading.mixture import Mixture
    from course.model.models import read_config
    from course.model.rehearsal import rehearse_network
    from course.model.training import made_with
    from course.probing.loading import Implementation

    made, networks = made_with(network_of) if network_of else ("solutions", ())
    asked = asked or made
    if asked == "solutions":
        return Implementation("solutions")
    folder = Implementation(code_folder(asked)).folder
    trial = Mixture(folder)
    rehearse(trial)
    needed = trial.called()
    passed = passing(folder, needed)
    if network_of:
        network = Mixture(folder)
        rehearse_network(network, read_config(network_of))
        of_network = {e.id for e in network.called()}
        if lost := sorted(set(networks) & of_network - passed):
            raise CourseError(
                f"{network_of} was trained with your {', '.join(lost)}, which does not pass any "
                f"more, and fits no other. See: course check {lost[0]}"
            )
        passed -= of_network - set(networks)
    theirs = [exercise.id for exercise in needed if exercise.id not in passed]
    if not passed:
        console.print("nothing that this calls is yours yet: all of it is the reference's")
    elif theirs:
        console.print(f"yours: {', '.join(e.id for e in needed if e.id in passed)}")
        console.print(f"the reference's: {', '.join(theirs)}")
    else:
        console.print(f"all {len(needed)} exercises that this calls are yours")
    return Mixture(folder, passed)


def passing(folder: Path, needed: list[Exercise]) -> set[str]:
    """The numbers of those of these exercises that pass."""
    from course.grading.apart import grade_apart
    from course.grading.code import LocalCode

    workspace = Workspace(apart=True)
    if folder == workspace.exercises:
        return {exercise.id for exercise in needed if workspace.status(exercise) == PASSED}
    results = grade_apart(LocalCode(folder), needed)
    return {result.exercise.id for result in results if result.status == PASSED}


def report_calls(impl) -> None:
    """Say how often a run called each function of the learner's."""
    for exercise in exercises():
        if exercise.id in getattr(impl, "yours", ()):
            calls = (f"{symbol} {impl.calls[symbol]:,}" for symbol in exercise.symbols)
            console.print(f"called of your {exercise.id}: {', '.join(calls)}")


def lab(options) -> int:
    # $COURSE_EXERCISES may lie apart from the notebooks.
    folder = home() if (home() / "chapters").is_dir() else find_workspace()
    if folder is None:
        raise CourseError(f"{home()} holds no chapters/; go to a workspace, and try again there")
    command = [sys.executable, "-m", "jupyter", "lab"]
    command += [
        f"--notebook-dir={folder}",
        # A setting, and not a file to open: so the address that Jupyter prints leads there as well.
        "--LabApp.default_url=/lab/tree/chapters/00_start_here.ipynb",
        *options.unknown,  # last, so that they can differ from these
    ]
    # On top of the learner's own settings: no question about Jupyter's news, which need a network.
    paths = [os.environ.get("JUPYTER_CONFIG_PATH"), str(JUPYTER_CONFIG)]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}
    if not any(
        "dir" in option for option in options.unknown
    ):  # another folder could be named there
        environment[LAB_FOLDER] = str(folder)
    try:
        return subprocess.call(command, env=environment)
    except KeyboardInterrupt:
        return 0


def book(options) -> int:
    from course.pages.book import build

    folder = options.out or home() / "book"
    require_writable(folder / "index.html")
    pages = build(folder, builder="linkcheck" if options.links else "html")
    console.print(f"wrote {pages / ('output.txt' if options.links else 'index.html')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
