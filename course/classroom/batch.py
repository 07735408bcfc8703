"""Grade many submissions: each in a sandbox, the verdicts here, and an end that always comes."""

import hashlib
import json
import math
import os
import secrets
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from course import ROOT, CourseError
from course.classroom.results import ExerciseResult, SubmissionResult
from course.classroom.sandbox import SECONDS, BoxedCode, Sandbox, chapter_file, is_litter
from course.files import write_whole
from course.grading.grader import Grader
from course.probing.observing import OutOfTime, time_limit
from course.probing.text import LONGEST_MESSAGE, clip
from course.syllabus import FAILED, Exercise, chapters

SECONDS_TO_JUDGE = 120.0  # one submission, the misconceptions' own evidence included


def find_submissions(folders: list[Path]) -> dict[str, Path]:
    """Submissions by name.

    A folder with chapter files, or with such a folder `exercises` in it, is one submission. In
    any other folder each folder is one, but for what programs leave there and for the results of
    an earlier batch. What lies below and is a symbolic link has nothing in it.

    Raises:
        CourseError: if a folder is missing, or holds neither chapter files nor folders.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise CourseError(f"there is no folder {str(folder)!r}; give folders with submissions")
        folder = folder.resolve()
        own = _with_chapters(folder)
        inside = sorted(place for place in folder.iterdir() if _may_be_a_submission(place))
        if own is None and not inside:
            raise CourseError(
                f"{folder} holds no chapter file such as {chapters()[0].name}.py and no folders"
            )
        for place in [folder] if own else inside:
            name, number = place.name, 2
            while name in found:
                name, number = f"{place.name} ({number})", number + 1
            found[name] = _with_chapters(place) or place
    return found


def _may_be_a_submission(place: Path) -> bool:
    """A folder, but for litter and for the results that a batch keeps."""
    if not place.is_dir() or is_litter(place.name):
        return False
    results = (place / "batch.json").is_file() and (place / "graded").is_dir()
    return not results or _with_chapters(place) is not None


def _with_chapters(folder: Path) -> Path | None:
    """The folder itself or its `exercises`, whichever has chapter files; None if neither has."""
    if folder.is_symlink():
        return None
    for place in (folder, folder / "exercises"):
        if not place.is_symlink() and any(
            chapter_file(place, chapter.name) for chapter in chapters()
        ):
            return place
    return None


class Batch:
    """Submissions that are graded on the same inputs, with their results in one folder.

    An interrupted batch goes on where it stopped: what is graded already, with the same files,
    checks and inputs, is not graded again.

    Args:
        submissions: folders by name.
        out: where the results are kept.
        wanted: the exercises that are graded.
        seed: of the inputs; None draws one, or takes that of the batch that goes on here.
        jobs: how many submissions run at the same time.
        seconds: for all exercises of one submission.
        patience: for one import or one check, where that is less than their own seconds.
    """

    def __init__(
        self,
        submissions: dict[str, Path],
        out: Path,
        wanted: tuple[Exercise, ...],
        seed: int | None = None,
        jobs: int | None = None,
        seconds: float = SECONDS,
        patience: float = math.inf,
    ):
        self.submissions, self.wanted, self.kept = submissions, wanted, out / "graded"
        self.kept.mkdir(parents=True, exist_ok=True)
        self.seed = self._choose_seed(seed, out / "batch.json")
        self.jobs = jobs or os.cpu_count() or 1
        self.sandbox = Sandbox(self.seed, wanted, seconds, patience)
        graders = [*(ROOT / "checks").rglob("*.*"), *(ROOT / "solutions").glob("*.*")]
        self._checks = _digest(sorted(graders))

    @staticmethod
    def _choose_seed(seed: int | None, path: Path) -> int:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))["seed"]
        except (OSError, ValueError, KeyError, TypeError):
            before = None
        if seed is None:
            seed = before if isinstance(before, int) else secrets.randbelow(2**31)
        write_whole(path, json.dumps({"seed": seed}))
        return seed

    def grade(self, quiet: bool = False) -> list[SubmissionResult]:
        """Grade what is not graded yet; all results, in the order of the names."""
        results = {name: result for name in self.submissions if (result := self._known(name))}
        empty = [name for name, folder in self.submissions.items() if not _with_chapters(folder)]
        for name in empty:
            problem = f"no chapter file in it: {chapters()[0].name}.py and the others"
            results[name] = self._failed(name, problem)
        left = [name for name in self.submissions if name not in results]
        bar = tqdm(total=len(self.submissions), initial=len(results), unit="", disable=quiet)
        with self.sandbox, bar, ThreadPoolExecutor(self.jobs) as pool:
            started = {pool.submit(self._run, name): name for name in left}
            try:
                for future in as_completed(started):
                    name = started[future]
                    results[name] = self._judge(name, future)
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.sandbox.stop()
                raise
        return [results[name] for name in sorted(results)]

    def _run(self, name: str) -> tuple[BoxedCode, float]:
        """Run a submission in the sandbox; in a thread, which waits."""
        start = time.monotonic()
        return self.sandbox.run(self.submissions[name]), time.monotonic() - start

    def _judge(self, name: str, future: Future) -> SubmissionResult:
        """Compare what a submission's probes saw with what is expected."""
        start = time.monotonic()
        try:
            code, seconds = future.result()
            with time_limit(SECONDS_TO_JUDGE):
                found = Grader(code, self.seed).grade(self.wanted)
        except OutOfTime:
            return self._failed(name, "judging what it gave back took too long")
        except (CourseError, CancelledError) as error:
            return self._failed(name, str(error))
        except Exception as error:  # one submission never stops the batch
            text = f"the grader itself failed, which is no fault of the submission: {error!r}"
            return self._failed(name, text)
        result = SubmissionResult(
            name=name,
            exercises=tuple(_clipped(ExerciseResult.of(one)) for one in found),
            seed=self.seed,
            seconds=round(seconds + time.monotonic() - start, 2),
            sandbox=self.sandbox.box.name,
            key=self._key(name),
        )
        result.save(self._file(name))
        return result

    def _failed(self, name: str, problem: str) -> SubmissionResult:
        """The result of a submission that could not be graded; it is tried again next time."""
        nothing = tuple(
            ExerciseResult(e.id, 0, e.points, FAILED, "", problem, "") for e in self.wanted
        )
        box = self.sandbox.box.name
        return SubmissionResult(name, nothing, self.seed, 0.0, box, self._key(name), problem)

    def _known(self, name: str) -> SubmissionResult | None:
        """The result that an earlier run of this batch kept, if it still holds."""
        try:
            result = SubmissionResult.load(self._file(name))
        except ValueError:
            return None
        return result if result.key == self._key(name) else None

    def _file(self, name: str) -> Path:
        return self.kept / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"

    def _key(self, name: str) -> str:
        files = [chapter_file(self.submissions[name], chapter.name) for chapter in chapters()]
        own = _digest([file for file in files if file])
        which = ",".join(exercise.id for exercise in self.wanted)
        return f"{own}-{self._checks}-{which}-{self.seed}-{self.sandbox.box.name}"


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.suffix in (".py", ".toml"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _clipped(result: ExerciseResult) -> ExerciseResult:
    """The result with a message that is not unreasonably long: it may quote the submission."""
    return replace(result, message=clip(result.message, LONGEST_MESSAGE))
