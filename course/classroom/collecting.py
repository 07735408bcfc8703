"""Find learners' chapter files in whatever they were handed in as, and copy them out.

Nothing is unpacked: archives are read in memory, within limits, and only what is a chapter's file,
a notebook or an archive inside. Files are read and never run. Needs no torch, so that an autograder
can say what it found even where torch is what fails.
"""

import functools
import hashlib
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from course import CourseError
from course.classroom.notebooks import chapter_files_of
from course.files import write_whole
from course.grading.questions import FILE as ANSWERS
from course.syllabus import chapters

MAX_SOURCE = 1_000_000  # bytes of a chapter file
MAX_ANSWERS = 200_000  # of the answers to the chapters' questions
MAX_NOTEBOOK = 20_000_000  # with its pictures
MAX_ARCHIVE = 100_000_000  # of an archive inside another, or inside a learner's folder
MAX_UNPACKED = 1_000_000_000  # what is looked at in one archive
MAX_ENTRIES = 100_000  # files of an archive; folders and files of a folder
MAX_DEPTH = 12  # folders in folders
MOST_NOTEBOOKS = 50  # of one learner that are looked at
MOST_VERSIONS = 20  # of one learner's chapter that are looked at
MAX_NESTED = 3  # archives in archives
COPIES = "collected"  # folder for copies, in a folder of results
LIMITS = {".py": MAX_SOURCE, ".ipynb": MAX_NOTEBOOK, ".zip": MAX_ARCHIVE}  # of what is work

# Archives that only other programs unpack.
NOT_READ = re.compile(r"(?P<stem>.+?)(?:\.tar)?\.(?:tar|tgz|gz|bz2|xz|zst|7z|rar)", re.IGNORECASE)

# Folders of the course itself, whose chapter files no learner wrote ...
NOT_THE_LEARNERS = {"solutions", "checks"}
# ... and those that are no learner's name either.
THE_COURSES = NOT_THE_LEARNERS | {"exercises", "chapters", "course", "tests", "docs", "benchmarks"}

# How Canvas and Moodle name what they let an instructor download.
CANVAS = re.compile(
    r"(?P<before>late_)?(?P<who>.+?)_(?P<late>late_)?(?P<id>\d+)_\d+_(?P<file>.+)", re.IGNORECASE
)
MOODLE = re.compile(
    r"(?P<who>.+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)(?:_(?P<file>.*))?",
    re.IGNORECASE,
)
# What systems and browsers put behind a file's name that is taken already.
VERSION = r"(?:[-_ ](?P<number>\d{1,3})| ?\((?P<bracket>\d{1,3})\)|(?P<copy>(?: -)? copy.*))?"
ANSWERS_NAME = re.compile(rf"{ANSWERS.removesuffix('.json')}{VERSION}\.json", re.IGNORECASE)
ANY_ANSWERS = re.compile(rf"(?:.*_)?{ANSWERS_NAME.pattern}", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file that may be a learner's work, not read yet."""

    where: str  # as the instructor finds it
    read: Callable[[], bytes]
    size: int
    when: datetime | None
    path: Path | None = None  # where it lies on the disk, if it does

    @functools.cached_property
    def chapters(self) -> dict[str, str]:
        """For a notebook: the chapters' files that it holds."""
        try:
            return chapter_files_of(_within(self, MAX_NOTEBOOK))
        except (OSError, Refused):
            return {}


@dataclass
class Place:
    """A folder, or an archive read as one: what in it may be a learner's work."""

    name: str
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, "Place"] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what was refused, and why
    learner: str = ""  # the number that a platform knows the learner by
    archive: str = ""  # the file's name, if this is one

    def said(self) -> list[str]:
        """All notes on this place and what is below it."""
        return [note for _, place in self.walk() for note in place.notes]

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], "Place"]]:
        """This place and all below it but the course's own, each with the folders above it."""
        yield above, self
        for name, folder in self.folders.items():
            if name.casefold() not in NOT_THE_LEARNERS:
                yield from folder.walk((*above, name))


@dataclass(frozen=True)
class Submission:
    """What one learner handed in."""

    name: str
    folder: Path  # holds copies of its chapter files
    found: dict[str, str]  # by chapter: where its file comes from
    notes: tuple[str, ...] = ()  # what else an instructor should know about it
    learner: str = ""  # the number that Canvas or Moodle gave
    called: str = ""  # as it was handed in; several attempts have it in common
    submitted: datetime | None = None  # when the newest of its files was written

    @property
    def problem(self) -> str:
        """Why nothing of it can be graded; empty if something can."""
        if self.found:
            return ""
        return "; ".join(
            (f"no chapter file in it: {chapters()[0].name}.py and the others",) + self.notes
        )


@dataclass(frozen=True)
class Collection:
    """All submissions of a batch, and what was left out of it."""

    submissions: tuple[Submission, ...]
    notes: tuple[str, ...]

    @property
    def folders(self) -> dict[str, Path]:
        """As a batch takes them."""
        return {one.name: one.folder for one in self.submissions}

    @property
    def problems(self) -> dict[str, str]:
        return {one.name: one.problem for one in self.submissions if one.problem}


def collect(places: list[Path], into: Path, one: bool = False) -> Collection:
    """Find the submissions in folders and archives, and copy their chapter files.

    Args:
        places: each a learner's work, or full of such: folders, `.zip` archives, single files.
        into: where the copies go, a folder for each submission. It lies in a folder of results,
            which is not looked into.
        one: everything in a place is the work of one learner.

    Raises:
        CourseError: if a place is missing, or holds nothing that could be a submission.
    """
    found: dict[str, Submission] = {}
    notes: list[str] = []
    for path in places:
        place = _open(path, into.parent.resolve())
        works, left_out = ([place], []) if one else _works_in(place)
        if not works:
            raise CourseError(
                f"{path} holds no chapter file such as {chapters()[0].name}.py and no folders"
                + "".join(f"; {note}" for note in place.notes)
            )
        notes += [f"{path}: {note}" for note in left_out]
        for work in works:
            name = _free(shown(work.name), found)
            folder = into / hashlib.sha256(name.encode()).hexdigest()[:16]
            found[name] = _copy(work, name, folder)
    return Collection(tuple(found.values()), tuple(notes))


def shown(name: str) -> str:
    """A name that can be written everywhere: what cannot be printed is spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _free(name: str, taken: dict[str, Submission]) -> str:
    """The name, with a number if it is taken."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name} ({number})"
    return free


def is_litter(name: str) -> bool:
    """Is something of this name left by a program, so that no learner's work is in it?"""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", "node_modules")


def chapter_file(folder: Path, chapter: str) -> Path | None:
    """A submission's file for a chapter; None if it is missing, a link, or unreasonably large."""
    path = folder / f"{chapter}.py"
    return None if why_no_chapter_file(path) else path


def why_no_chapter_file(path: Path) -> str:
    """Why there is no chapter file at a path; empty if there is one."""
    if path.is_symlink():
        return f"{path.name} is a symbolic link, and links are not followed: submit the file itself"
    if not path.exists():
        return f"{path.name} is not in the submission"
    if not path.is_file():
        return f"{path.name} is no file"
    if path.stat().st_size > MAX_SOURCE:
        return f"{path.name} is larger than {MAX_SOURCE:,} bytes: submit the code alone"
    return ""


# Whose work is what


def _works_in(place: Place, around: Place | None = None) -> tuple[list[Place], list[str]]:
    """The places that are one learner's work each, and what was left out.

    Args:
        place: a class or one learner's work.
        around: the folder that holds nothing but `place`, if there is one.
    """
    learners, loose = _by_learner(place)
    if not any(_has_work(one) or one.said() for one in learners.values()):
        notebooks = [Place(n[:-6], {n: place.files[n]}) for n in loose if _suffix(n) == ".ipynb"]
        if around is None and _overlap(notebooks):  # one for each learner
            return notebooks, [f"{n} is left out" for n in loose if _suffix(n) != ".ipynb"]
        if _has_work(place) or place.notes:
            return [place], []
        return [learners[name] for name in sorted(learners)], []
    if len(learners) == 1 and not loose:
        (only,) = learners.values()
        inner, left_out = _works_in(only, place)
        if _overlap(inner):  # a folder around the class
            return inner, left_out
    left_out = [f"{name} is in no learner's folder, so it is left out" for name in loose]
    return [learners[name] for name in sorted(learners)], place.notes + left_out


def _by_learner(place: Place) -> tuple[dict[str, Place], list[str]]:
    """Each learner's part of a place, and the names of what is work but no learner's.

    A folder is a learner's, but for the course's own; and what Canvas or Moodle named after a
    learner is.
    """
    learners: dict[str, Place] = {}
    loose = []
    for name, thing in [*place.files.items(), *place.folders.items()]:
        is_folder = isinstance(thing, Place)
        file = (thing.archive or name) if is_folder else name
        canvas = None if is_folder and not thing.archive else CANVAS.fullmatch(file)
        if match := MOODLE.fullmatch(file) or canvas:
            key = f"{match['who']}_{match['id']}"
            learner = learners.setdefault(key, Place(match["who"], learner=match["id"]))
            if is_folder:  # whose name has told what it can
                inner = match["file"] or name.rstrip("_").rpartition("_")[2]
                learner.folders[inner] = replace(thing, archive="")
            else:
                learner.files[match["file"] or name] = thing
            if canvas and (canvas["before"] or canvas["late"]):
                learner.notes = ["Canvas marks it as late"]
        elif is_folder and name.casefold() not in THE_COURSES:
            learners[name] = thing
        elif _has_work(thing) if is_folder else _chapters_of(thing, name):
            loose.append(name)
    return learners, loose


def _work_in(place: Place) -> Iterator[tuple[tuple[str, ...], str, File, str]]:
    """What may be chapters' files: the folders above, the name, the file, and the chapter."""
    notebooks = 0
    for above, folder in place.walk():
        for name, file in folder.files.items():
            notebooks += _suffix(name) == ".ipynb"
            if _suffix(name) == ".py" or notebooks <= MOST_NOTEBOOKS:
                for chapter in _chapters_of(file, name):
                    yield above, name, file, chapter


def _has_work(place: Place) -> bool:
    return any(_work_in(place))


def _overlap(works: list[Place]) -> bool:
    """Do several of these hold the same chapter, as the works of several learners do?"""
    seen: set[str] = set()
    for work in works:
        own = {chapter for *_, chapter in _work_in(work)}
        if seen & own:
            return True
        seen |= own
    return False


# The files of one learner


def _copy(work: Place, name: str, folder: Path) -> Submission:
    """Choose one file for each chapter, and write them into `folder`."""
    found, texts, times, notes = {}, {}, [], work.said()
    for chapter, candidates in _candidates(work).items():
        for file in candidates[:MOST_VERSIONS]:
            try:
                text = _text_of(file, chapter)
            except (OSError, Refused) as error:
                notes.append(f"{file.where}: {_why(error)}")
                continue
            if chapter in found:
                if text != texts[chapter]:
                    notes.append(f"{file.where} is left out, because {found[chapter]} is graded")
                continue
            found[chapter], texts[chapter] = file.where, text
            times.append(file.when)
    for chapter in chapters():
        (folder / f"{chapter.name}.py").unlink(missing_ok=True)
        if chapter.name in texts:
            write_whole(folder / f"{chapter.name}.py", texts[chapter.name])
    folder.mkdir(parents=True, exist_ok=True)
    notes += _copy_answers(work, folder)
    if not found and any(n.casefold() in NOT_THE_LEARNERS for n in _folder_names(work)):
        notes.append("solutions/ and checks/ are the course's own, and are not looked into")
    return Submission(
        name,
        folder,
        {chapter: shown(where) for chapter, where in sorted(found.items())},
        tuple(dict.fromkeys(shown(note) for note in notes)),
        work.learner,
        shown(work.name),
        max((when for when in times if when), default=None),
    )


def _copy_answers(work: Place, folder: Path) -> list[str]:
    """Write the answers to the questions into `folder`, if there are any; why not, if not."""
    (folder / ANSWERS).unlink(missing_ok=True)
    found = [
        (_rank(above, name), file)
        for above, place in work.walk()
        for name, file in place.files.items()
        if ANSWERS_NAME.fullmatch(name)
    ]
    if not found:
        return []
    _, file = min(found, key=lambda pair: pair[0])
    try:
        write_whole(folder / ANSWERS, _within(file, MAX_ANSWERS))
    except (OSError, Refused) as error:
        return [f"{file.where}: {_why(error)}; no points depend on it"]
    return []


def _folder_names(work: Place) -> list[str]:
    return [name for _, place in work.walk() for name in place.folders]


def _candidates(work: Place) -> dict[str, list[File]]:
    """For each chapter the files that may be it, best first."""
    ranked: dict[str, list[tuple[tuple, File]]] = {}
    for above, name, file, chapter in _work_in(work):
        ranked.setdefault(chapter, []).append((_rank(above, name), file))
    return {
        chapter: [file for _, file in sorted(found, key=lambda pair: pair[0])]
        for chapter, found in sorted(ranked.items())
    }


def _rank(above: tuple[str, ...], name: str) -> tuple:
    """How a file is preferred to others that may be the same; the smallest is best.

    A file of Python comes before a notebook, and the top folder before exercises/ and that before
    others; of two versions of a file the later one counts.
    """
    return (
        _suffix(name) == ".ipynb",
        bool(above),
        above[-1:] != ("exercises",),
        len(above),
        above,
        -_version(name),
        name,
    )


def _chapters_of(file: File, name: str) -> list[str]:
    """The chapters that a file may hold."""
    if _suffix(name) == ".ipynb":
        return sorted(file.chapters)
    match = _name_pattern().fullmatch(unicodedata.normalize("NFC", name))
    return [match["chapter"].lower()] if match else []


@functools.cache
def _name_pattern() -> re.Pattern:
    names = "|".join(re.escape(chapter.name) for chapter in chapters())
    return re.compile(rf"(?P<chapter>{names}){VERSION}\.py", re.IGNORECASE)


def _version(name: str) -> int:
    """2 for "ch01_noise_schedule-2.py"; a "copy" is older than what it was copied from."""
    name = unicodedata.normalize("NFC", name)
    match = _name_pattern().fullmatch(name) or ANSWERS_NAME.fullmatch(name)
    if match is None:
        return 0
    return -1 if match["copy"] else int(match["number"] or match["bracket"] or 0)


def _text_of(file: File, chapter: str) -> bytes:
    if _suffix(file.where) == ".ipynb":
        return file.chapters[chapter].encode()
    return _within(file, MAX_SOURCE)


# Reading folders and archives


class Refused(Exception):
    """Something that is not read, and why."""


def _open(path: Path, results: Path) -> Place:
    """What the instructor named, without the folder for results."""
    if not path.exists():
        raise CourseError(
            f"there is no folder or file {str(path)!r}; give folders or .zip files with submissions"
        )
    path = path.resolve()
    if path.is_dir():
        return _read_folder(path, path.name, results)
    if _suffix(path.name) not in LIMITS:
        raise CourseError(f"{path} is neither a folder nor a .zip file, a notebook or a .py file")
    place = Place(path.stem)
    file = _file_of(path, path.name)
    if _suffix(path.name) == ".zip":
        _read_archive(file, place)
    else:
        place.files[path.name] = file
    return place


def _read_folder(path: Path, where: str, results: Path, depth: int = 0) -> Place:
    """A folder of the disk. Symbolic links are not followed."""
    place = Place(path.name)
    try:
        is_result = _is_result(path)
        inside = sorted(p for p in path.iterdir() if not (is_result and p.name == COPIES))
        if depth == MAX_DEPTH or len(inside) > MAX_ENTRIES:
            raise Refused("too many folders in each other, or too many files")
        for path in inside:
            if path != results and not is_litter(path.name):
                _add(place, path, f"{where}/{path.name}", results, depth)
    except (OSError, Refused) as error:
        place.notes.append(f"{where}: {_why(error)}")
    return place


def _add(place: Place, path: Path, where: str, results: Path, depth: int) -> None:
    """Take one thing of a folder into `place`, if it may be a learner's work."""
    if path.is_symlink():
        if path.is_dir():
            place.folders[path.name] = Place(
                path.name, notes=[f"{where}: a symbolic link, which is not followed"]
            )
        elif _suffix(path.name) in LIMITS:
            place.notes.append(f"{where}: a symbolic link, which is not followed")
    elif path.is_dir():
        folder = _read_folder(path, where, results, depth + 1)
        if not _is_result(path) or _has_work(folder):
            place.folders[path.name] = folder
    elif _suffix(path.name) == ".zip" and path.is_file():
        _add_archive(place, path.name, _file_of(path, where), nested=1)
    elif _is_looked_at(path.name) and path.is_file():
        place.files[path.name] = _file_of(path, where)
    else:
        _say_what_is_not_read(place, path.name, where)


def _is_looked_at(name: str) -> bool:
    """May a file of this name be work, or answers, with what a platform puts before the name?"""
    return _suffix(name) in LIMITS or bool(ANY_ANSWERS.fullmatch(name))


def _say_what_is_not_read(place: Place, name: str, where: str) -> None:
    """A note where a learner's work may be in something that is not looked into."""
    if archive := NOT_READ.fullmatch(name):
        inner = place.folders.setdefault(archive["stem"], Place(archive["stem"], archive=name))
        inner.notes.append(f"{where}: an archive that is not read here; unpack it, or make a .zip")
    elif chapter := _nearly_a_chapter(name):
        what = "no plain file" if _suffix(name) == ".py" else "no name of a chapter's file"
        place.notes.append(f"{where}: this is {what}; make it {chapter}.py")


def _nearly_a_chapter(name: str) -> str:
    """The chapter whose file this may be, though it has not quite its name."""
    found = re.fullmatch(r"(.+?)(?:\.py)?(?:\.txt)?", name.strip().casefold())[1]
    return next((chapter.name for chapter in chapters() if chapter.name == found), "")


def _is_result(path: Path) -> bool:
    """Does an earlier batch keep its results in this folder?"""
    return (path / "batch.json").is_file() and (path / "graded").is_dir()


def _file_of(path: Path, where: str) -> File:
    status = path.stat()
    when = datetime.fromtimestamp(status.st_mtime).astimezone()
    return File(where, path.read_bytes, status.st_size, when, path)


def _add_archive(place: Place, name: str, file: File, nested: int) -> None:
    """Read an archive that lies in `place` as a folder of it."""
    stem = name[: -len(".zip")]
    while stem in place.folders:
        stem += ".zip"
    inner = place.folders[stem] = Place(stem, archive=name)
    if file.size > MAX_ARCHIVE:
        inner.notes.append(f"{file.where}: it has more than {MAX_ARCHIVE:,} bytes")
    else:
        _read_archive(file, inner, nested)


@functools.lru_cache(maxsize=4)  # files of one archive are read one after the other
def _opened(file: File) -> zipfile.ZipFile:
    return zipfile.ZipFile(file.path or io.BytesIO(_within(file, MAX_ARCHIVE)))


def _read_archive(file: File, into: Place, nested: int = 0) -> None:
    """Take what an archive holds into a place; what is wrong with it becomes a note there."""
    try:
        if nested == MAX_NESTED:
            raise Refused("archives in archives in archives")
        entries = [entry for entry in _opened(file).infolist() if not entry.is_dir()]
        parts = {entry.filename: _parts(entry.filename) for entry in entries}
        wanted = [e for e in entries if _is_wanted(parts[e.filename])]
        if len(entries) > MAX_ENTRIES:
            raise Refused(f"more than {MAX_ENTRIES:,} files in it")
        if sum(entry.file_size for entry in wanted) > MAX_UNPACKED:
            raise Refused(f"more than {MAX_UNPACKED:,} bytes when unpacked")
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, Refused) as error:
        into.notes.append(f"{file.where}: the archive is refused ({_why(error)})")
        return
    for entry in wanted:
        *above, last = parts[entry.filename]
        place = into
        for step in above:
            place = place.folders.setdefault(step, Place(step))
        where = "/".join((file.where, *parts[entry.filename]))
        inside = _entry_of(file, entry, where)
        if _suffix(last) == ".zip":
            _add_archive(place, last, inside, nested + 1)
        elif _is_looked_at(last) and entry.external_attr >> 28 != LINK:
            place.files[last] = inside
        else:
            _say_what_is_not_read(place, last, where)


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the name of an entry.

    Raises:
        Refused: if it leads out of the archive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise Refused(f"its entry {name[:100]!r} leads out of it")
    if not path.parts or len(path.parts) > MAX_DEPTH:
        raise Refused("an entry without a name, or too many folders in each other")
    return path.parts


LINK = 0xA  # the kind of an entry that is a symbolic link, in Unix's rights


def _is_wanted(parts: tuple[str, ...]) -> bool:
    """May an entry be a learner's work, or does something have to be said of it?"""
    name = parts[-1]
    told = NOT_READ.fullmatch(name) or _nearly_a_chapter(name)
    return bool(told or _is_looked_at(name)) and not any(map(is_litter, parts))


def _entry_of(archive: File, entry: zipfile.ZipInfo, where: str) -> File:
    try:
        when = datetime(*entry.date_time).astimezone()
    except (ValueError, OverflowError):
        when = None

    def read() -> bytes:
        try:
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused("it is compressed in a way that is not read here")
            with _opened(archive).open(entry) as opened:
                return opened.read(entry.file_size)  # and no more, whatever it unpacks to
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise Refused(f"it cannot be unpacked ({_why(error)})") from None

    return File(where, read, entry.file_size, when)


def _within(file: File, most: int) -> bytes:
    """What is in a file.

    Raises:
        Refused: if that is more than `most` bytes.
    """
    if file.size > most:
        raise Refused(f"it has {file.size:,} bytes, which is more than {most:,}")
    return file.read()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
