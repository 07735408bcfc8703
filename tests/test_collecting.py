"""Submissions as they come: every packaging is found, and what is not found is said."""

import io
import json
import os
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from course import ROOT, CourseError
from course.classroom import collecting
from course.classroom.batch import Batch
from course.classroom.collecting import collect
from course.syllabus import chapters, select
from tests.collected import find_submissions

CH01, CH02 = (chapter.name for chapter in chapters()[:2])
WORK = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
OTHER = "linear_betas = None\n"


def write(place: Path, text: str | bytes = WORK) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text.encode() if isinstance(text, str) else text)
    return place


def zipped(files: dict[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def notebook(*cells: str) -> str:
    entries = [{"cell_type": "markdown", "source": ["# mine"], "metadata": {}}]
    entries += [
        {"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []}
        for cell in cells
    ]
    return json.dumps({"cells": entries, "nbformat": 4, "nbformat_minor": 5, "metadata": {}})


def as_notebook() -> str:
    """The work as a learner has it who wrote it into cells, between others."""
    imports, *definitions = WORK.split("\n\n\n")
    return notebook(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nfrom course.pages import show",
        imports.split('"""')[-1],
        *definitions,
        "betas = linear_betas(10)\nplt.plot(betas)",
        "this is no Python",
    )


def pack(kind: str, place: Path) -> None:
    """The same work, handed in in one of many ways."""
    file = f"{CH01}.py"
    match kind:
        case "folder":
            write(place / "ada" / file)
        case "exercises":
            write(place / "ada" / "exercises" / file)
        case "deep":
            write(place / "ada" / "course" / "week 1" / "exercises" / file)
        case "whole course":
            write(place / "ada" / "exercises" / file)
            write(place / "ada" / "solutions" / file, OTHER)
            write(place / "ada" / "chapters" / "01_noise_schedule.ipynb", notebook("1 + 1"))
        case "zip each":
            write(place / "ada.zip", zipped({file: WORK, f"__MACOSX/._{file}": "\x00"}))
        case "zip in a folder":
            write(place / "ada" / "my work.zip", zipped({f"hand-in/{file}": WORK}))
        case "zip of the class":
            write(
                place / "download.zip",
                zipped({f"class/ada/{file}": WORK, f"class/bob/{file}": OTHER}),
            )
        case "canvas":
            write(place / f"ada_123_4567_{file}")
        case "canvas, late and handed in again":
            write(place / f"ada_LATE_123_4567_{CH01}-1.py")
            write(place / f"ada_LATE_123_4567_{file}", OTHER)
        case "canvas, a zip":
            write(place / "ada_123_4567_work.zip", zipped({f"exercises/{file}": WORK}))
        case "moodle":
            write(place / "ada_12345_assignsubmission_file_" / file)
            write(place / "ada_12345_assignsubmission_onlinetext_" / "onlinetext.html", "hi")
        case "moodle, one file each":
            write(place / f"ada_12345_assignsubmission_file_{file}")
        case "notebook":
            write(place / "ada" / "my notebook.ipynb", as_notebook())
        case "notebook that writes the file":
            write(place / "ada" / "a.ipynb", notebook(f"%%writefile exercises/{file}\n{WORK}"))
        case "windows":
            text = WORK.replace("\n", "\r\n").encode("utf-8-sig")
            write(place / "ada" / f"{CH01.upper()} (1).PY", text)


PACKAGINGS = (
    "folder",
    "exercises",
    "deep",
    "whole course",
    "zip each",
    "zip in a folder",
    "zip of the class",
    "canvas",
    "canvas, late and handed in again",
    "canvas, a zip",
    "moodle",
    "moodle, one file each",
    "notebook",
    "notebook that writes the file",
    "windows",
)


def test_every_packaging_of_the_same_work_gets_all_points(tmp_path):
    """Each is found whole; and what is graded for it, once for each different text, passes."""
    texts = {}
    for kind in PACKAGINGS:
        pack(kind, tmp_path / kind)
        (ada,) = [s for s in find_submissions([tmp_path / kind]).submissions if s.name == "ada"]
        assert list(ada.found) == [CH01] and not ada.problem, kind
        texts.setdefault((ada.folder / f"{CH01}.py").read_bytes(), kind)
    assert len(PACKAGINGS) >= 12 and len(texts) == 3  # as it is, from cells, and as Windows has it
    different = find_submissions([tmp_path / kind for kind in texts.values()])
    results = Batch(different, tmp_path / "out", select("01")).grade(quiet=True)
    assert [f"{result.points}/{result.max_points}" for result in results] == ["14/14"] * 3


def names(place: Path, **options) -> list[str]:
    return [one.name for one in find_submissions([place], **options).submissions]


def test_submissions_are_found_by_what_is_in_the_folders(tmp_path):
    for name in ("first/ann", "first/bob", "second/ann", "third/eve/exercises"):
        write(tmp_path / name / f"{CH01}.py")
    found = find_submissions([tmp_path / n for n in ("first", "second", "third")])
    assert list(found.folders) == ["ann", "bob", "ann (2)", "eve"]
    assert names(tmp_path / "first" / "ann") == ["ann"]
    (tmp_path / "first/ann/empty").mkdir()
    for bad in ("nowhere", "first/ann/empty"):
        with pytest.raises(CourseError, match="no folder or file|no chapter file"):
            find_submissions([tmp_path / bad])


def test_litter_and_results_are_no_submissions(tmp_path):
    folder = tmp_path / "class"
    write(folder / "ann" / f"{CH01}.py")
    for name in ("__MACOSX", "__pycache__", ".git", ".ipynb_checkpoints"):
        write(folder / name / f"{CH01}.py")
    Batch(collect([folder], folder / "grades" / "collected"), folder / "grades", select("1.1"))
    (folder / "graded").mkdir()  # a name alone is not enough
    assert names(folder) == ["ann", "graded"]
    (folder / "new").mkdir()
    again = collect([folder], folder / "new" / "collected")  # the folder for results, still empty
    assert list(again.folders) == ["ann", "graded"]
    shutil.rmtree(folder / "new")
    shutil.copytree(folder / "grades", folder / "ann", dirs_exist_ok=True)
    assert names(folder) == ["ann", "graded"]
    (tmp_path / "litter" / ".git").mkdir(parents=True)
    with pytest.raises(CourseError, match="no folders"):
        find_submissions([tmp_path / "litter"])


@pytest.mark.parametrize(
    "stray",
    [f"{CH01}.py", f"exercises/{CH01}.py", "chapters/mine.ipynb", "mine.ipynb", f"{CH01}.PY"],
)
def test_what_lies_beside_the_learners_never_makes_them_one(tmp_path, stray):
    for name in ("ann", "bob", "cy"):
        write(tmp_path / name / "exercises" / f"{CH01}.py")
    write(tmp_path / stray, as_notebook() if stray.endswith(".ipynb") else OTHER)
    found = find_submissions([tmp_path])
    assert list(found.folders) == ["ann", "bob", "cy"]
    (note,) = found.notes
    assert stray.split("/")[0] in note and "left out" in note
    assert names(tmp_path, one=True) == [tmp_path.name]  # unless the instructor says so


def test_two_learners_of_one_name_stay_two(tmp_path):
    for number in (1, 2):
        write(tmp_path / f"Ada L_{number}_assignsubmission_file_" / f"{CH01}.py")
    found = find_submissions([tmp_path]).submissions
    assert [(one.name, one.learner) for one in found] == [("Ada L", "1"), ("Ada L (2)", "2")]


def test_names_are_printable_and_differ(tmp_path):
    for name in (b"a\rb", b"a\nb", b"Jos\xe9", "Zoë 李".encode()):
        folder = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
        write(Path(folder) / f"{CH01}.py")
    found = names(tmp_path)
    assert sorted(found) == ["Jos\\udce9", "Zoë 李", "a\\nb", "a\\rb"]


def test_a_folder_with_a_date_is_no_download_of_canvas(tmp_path):
    for name in ("ann_2026_10_01", "ann_2026_10_02"):
        write(tmp_path / name / f"{CH01}.py")
    assert names(tmp_path) == ["ann_2026_10_01", "ann_2026_10_02"]


def test_a_notebook_for_each_learner(tmp_path):
    for name in ("ann", "bob"):
        write(tmp_path / "class" / f"{name}.ipynb", as_notebook())
    assert names(tmp_path / "class") == ["ann", "bob"]
    (one,) = find_submissions([tmp_path / "class"], one=True).submissions
    assert one.name == "class" and "bob.ipynb is left out" not in one.notes  # it says the same
    write(tmp_path / "class" / f"{CH01}.py")
    found = find_submissions([tmp_path / "class"])
    assert list(found.folders) == ["ann", "bob"] and f"{CH01}.py is left out" in found.notes[0]


def test_a_large_class_of_archives_takes_little_memory(tmp_path):
    for number in range(30):
        inner = zipped({f"{CH01}.py": f"# {number}", "picture.png": os.urandom(1_000_000)})
        write(tmp_path / f"learner {number:02d}.zip", zipped({"inner.zip": inner}))
    tracemalloc.start()
    found = find_submissions([tmp_path]).submissions
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [text(one) for one in found] == [f"# {number}" for number in range(30)]
    assert most < 15_000_000


# What is chosen, and what is said


def text(submission) -> str:
    return (submission.folder / f"{CH01}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "files, taken",
    [
        ([f"{CH01}.py", f"exercises/{CH01}.py"], f"{CH01}.py"),
        ([f"exercises/{CH01}.py", f"course/{CH01}.py"], f"exercises/{CH01}.py"),
        ([f"b/c/{CH01}.py", f"z/{CH01}.py"], f"z/{CH01}.py"),
        ([f"{CH01}.py", f"{CH01}-1.py", f"{CH01}-12.py"], f"{CH01}-12.py"),
        ([f"{CH01}.py", f"{CH01} (1).py"], f"{CH01} (1).py"),
        ([f"{CH01}.py", f"{CH01} - Copy.py", f"{CH01} copy.py"], f"{CH01}.py"),
        ([f"exercises/{CH01}.py", "a.ipynb"], f"exercises/{CH01}.py"),
        ([f"solutions/{CH01}.py", f"checks/{CH01}.py", f"x/{CH01}.py"], f"x/{CH01}.py"),
    ],
)
def test_of_several_files_one_is_taken_and_the_others_are_said(tmp_path, files, taken):
    for name in files:
        content = notebook(f"def linear_betas(): '{name}'") if ".ipynb" in name else f"# {name}"
        write(tmp_path / "ann" / name, content)
    (found,) = find_submissions([tmp_path / "ann"], one=True).submissions
    assert found.found == {CH01: f"ann/{taken}"} and text(found) == f"# {taken}"
    left = {
        f"ann/{n}" for n in files if n != taken and n.split("/")[0] not in ("solutions", "checks")
    }
    assert {note.split(" is left out")[0] for note in found.notes} == left


def test_chapters_may_lie_in_several_places(tmp_path):
    write(tmp_path / "ann" / "week 1" / f"{CH01}.py")
    write(tmp_path / "ann" / "week 2.zip", zipped({f"{CH02}.py": "x = 1"}))
    (found,) = find_submissions([tmp_path]).submissions
    assert found.name == "ann" and list(found.found) == [CH01, CH02] and not found.notes


@pytest.mark.parametrize(
    "files",
    [["essay.py"], [f"test_{CH01}.py"], [f"{CH01}.py.bak"], [f"solutions/{CH01}.py"], []],
)
def test_nothing_found_is_a_problem_and_no_grade(tmp_path, files):
    (tmp_path / "ann").mkdir()
    for name in files:
        write(tmp_path / "ann" / name)
    (found,) = find_submissions([tmp_path]).submissions
    assert "no chapter file in it" in found.problem
    assert ("course's own" in found.problem) == (files == [f"solutions/{CH01}.py"])


def test_what_was_written_by_an_earlier_run_goes(tmp_path):
    file = write(tmp_path / "class" / "ann" / f"{CH01}.py")
    collect([tmp_path / "class"], tmp_path / "out" / "collected")
    write(file.with_name(f"{CH02}.py"))
    file.unlink()
    (found,) = collect([tmp_path / "class"], tmp_path / "out" / "collected").submissions
    assert [path.name for path in found.folder.iterdir()] == [f"{CH02}.py"]


# Archives and files that are refused


def lying(declared: int) -> bytes:
    """An archive whose entry unpacks to much more than it says."""
    content = bytearray(zipped({f"{CH01}.py": b"#" * 50_000_000}))
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = content.index(mark) + offset
        content[at : at + 4] = declared.to_bytes(4, "little")
    return bytes(content)


def compressed(method: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr(f"{CH01}.py", WORK)
    return packed.getvalue()


def matryoshka(depth: int) -> bytes:
    content = zipped({f"{CH01}.py": WORK})
    for _ in range(depth):
        content = zipped({"inner.zip": content})
    return content


def encrypted() -> bytes:
    content = bytearray(zipped({f"{CH01}.py": WORK}))
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(mark) + offset] |= 1
    return bytes(content)


REFUSED = {
    "leads out": (zipped({f"../{CH01}.py": WORK}), "leads out of it"),
    "absolute": (zipped({f"/etc/{CH01}.py": WORK}), "leads out of it"),
    "drive": (zipped({f"C:\\{CH01}.py": WORK}), "leads out of it"),
    "backslashes": (zipped({f"a\\..\\..\\{CH01}.py": WORK}), "leads out of it"),
    "large": (zipped({f"{CH01}.py": b"#" * 2_000_000}), "2,000,000 bytes"),
    "bomb": (lying(1000), "cannot be unpacked"),
    "lzma": (compressed(zipfile.ZIP_LZMA), "compressed in a way"),
    "broken": (zipped({f"{CH01}.py": WORK})[:-30], "not a zip file"),
    "damaged": (
        zipped({f"{CH01}.py": WORK}).replace(b"ch01", b"ch01", 1)[:100] + b"x" * 300,
        "zip",
    ),
    "empty": (b"", "not a zip file"),
    "encrypted": (encrypted(), "encrypted"),
    "in each other": (matryoshka(5), "archives in archives"),
    "folders": (zipped({"a/" * 40 + f"{CH01}.py": WORK}), "too many folders"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_archive_is_refused_by_a_sentence_and_stops_nothing(tmp_path, kind):
    content, why = REFUSED[kind]
    write(tmp_path / "class" / "mallory" / "work.zip", content)
    write(tmp_path / "class" / "ann" / f"{CH01}.py")
    ann, mallory = find_submissions([tmp_path / "class"]).submissions
    assert not ann.problem
    assert mallory.name == "mallory" and "work.zip" in mallory.problem and why in mallory.problem
    assert not list(mallory.folder.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"class"}


def test_a_bomb_is_never_unpacked(tmp_path):
    write(tmp_path / "mallory" / "work.zip", lying(1000))
    tracemalloc.start()
    find_submissions([tmp_path])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000  # of the 50,000,000 bytes in it


def test_too_many_and_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "MAX_ENTRIES", 3)
    monkeypatch.setattr(collecting, "MAX_UNPACKED", 1000)
    many = {f"a/{CH01}.py": "1", "1": "", "2": "", "3": ""}
    much = {f"{i}/{CH01}.py": "#" * 400 for i in range(3)}
    for content, why in ((many, "more than 3 files"), (much, "more than 1,000 bytes")):
        write(tmp_path / "c" / "mallory" / "work.zip", zipped(content))
        (found,) = find_submissions([tmp_path / "c"]).submissions
        assert why in found.problem


def test_what_cannot_be_read_is_one_learners_problem(tmp_path, monkeypatch):
    for name in ("ann", "bob"):
        write(tmp_path / name / f"{CH01}.py")
    read = Path.read_bytes

    def forbidden(path):
        if path.parent.name == "bob":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    ann, bob = find_submissions([tmp_path]).submissions
    assert not ann.problem and "Permission denied" in bob.problem


def test_no_link_is_followed(tmp_path):
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / f"{CH01}.py").symlink_to(ROOT / "solutions" / f"{CH01}.py")
    (tmp_path / "mallory").symlink_to(ROOT / "solutions")
    found = find_submissions([tmp_path]).submissions
    assert [one.name for one in found] == ["eve", "mallory"]
    assert all("symbolic link" in one.problem for one in found)


# Notebooks


def test_a_notebook_gives_what_its_functions_need_and_no_more(tmp_path):
    cells = (
        "import math\nimport os\nHALF = 0.5\nUNUSED = open('/etc/passwd')",
        "def helper(x):\n    return HALF * math.sqrt(x)",
        "!pip install x\n%timeit 1\ndef linear_betas(n):\n    return helper(n)",
        "print(linear_betas(3))",
    )
    write(tmp_path / "a.ipynb", notebook(*cells))
    (found,) = find_submissions([tmp_path]).submissions
    assert (
        text(found).split()
        == (
            "import math HALF = 0.5 def helper(x): return HALF * math.sqrt(x) "
            "def linear_betas(n): return helper(n)"
        ).split()
    )


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", '{"cells": 3}', '{"cells": [{}]}', "[" * 100_000,
        notebook("x = " + "(" * 5000), notebook("def linear_betas(): return 0x" + "f" * 9000),
    ],
)  # fmt: skip
def test_a_broken_notebook_is_nobodys_work(tmp_path, content):
    write(tmp_path / "ann" / "a.ipynb", content)
    write(tmp_path / "bob" / f"{CH01}.py")
    ann, bob = find_submissions([tmp_path]).submissions
    assert "no chapter file" in ann.problem and not bob.problem


@pytest.mark.parametrize(
    "name, words",
    [
        ("bob.tar.gz", "an archive that is not read here; unpack it, or make a .zip"),
        ("bob.7z", "an archive that is not read here"),
        (f"bob/{CH01}.py.txt", f"no name of a chapter's file; make it {CH01}.py"),
        ("bob/work.RAR", "an archive that is not read here"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_work_in_what_is_not_read_is_not_lost_without_a_word(tmp_path, name, words, packed):
    if packed:
        write(tmp_path / "class.zip", zipped({f"ann/{CH01}.py": WORK, name: WORK}))
    else:
        write(tmp_path / "class" / "ann" / f"{CH01}.py")
        write(tmp_path / "class" / name)
    (place,) = tmp_path.iterdir()
    ann, bob = find_submissions([place]).submissions
    assert (ann.name, ann.problem, bob.name) == ("ann", "", "bob")
    assert words in bob.problem and name in bob.problem


def test_a_pipe_of_a_chapters_name_is_not_waited_for(tmp_path):
    write(tmp_path / "class" / "ann" / f"{CH02}.py")
    os.mkfifo(tmp_path / "class" / "ann" / f"{CH01}.py")
    (ann,) = find_submissions([tmp_path / "class"]).submissions
    assert list(ann.found) == [CH02] and "this is no plain file" in ann.notes[0]


def test_odd_cells_do_not_hide_the_others(tmp_path):
    ways = {
        "a line for the shell": notebook("files = !ls\nhere = %pwd\ndef linear_betas(): 1"),
        "written in parts": notebook(
            f"%%file {CH01}.py\ndef linear_betas(): 1", f"%%writefile -a {CH01}.py\nMORE = 2"
        ),
        "a cell that is none": json.dumps(
            {"cells": [None, {"cell_type": "code", "source": "def linear_betas(): 1"}]}
        ),
    }
    for name, text in ways.items():
        write(tmp_path / "class" / name / "work.ipynb", text)
    found = find_submissions([tmp_path / "class"]).submissions
    texts = {one.name: (one.folder / f"{CH01}.py").read_text() for one in found}
    assert set(texts) == set(ways)
    assert all("def linear_betas():" in text for text in texts.values())
    assert texts["written in parts"].endswith("MORE = 2")
