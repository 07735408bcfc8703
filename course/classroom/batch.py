"""Grade many submissions: each in a sandbox, the verdicts here, and an end that always comes."""

import hashlib
import json
import math
import os
import platform
import secrets
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from course import PACKAGE, ROOT, CourseError
from course.classroom.collecting import Collection, chapter_file
from course.classroom.results import ExerciseResult, SubmissionResult
from course.classroom.sandbox import (
    BUSY,
    SECONDS,
    START_SECONDS,
    Sandbox,
    memory_here,
    memory_needed,
)
from course.files import write_whole
from course.grading.apart import Ended, run_many
from course.grading.grader import Grader
from course.grading.recognition import warm_up
from course.probing.text import LONGEST_MESSAGE, clip, one_line
from course.syllabus import FAILED, PASSED, Exercise, chapters

SECONDS_TO_JUDGE = 120.0  # of computing, for one submission
MEMORY_TO_JUDGE = 1 << 30  # bytes, for one submission
PREPARED = 450 << 20  # bytes that hold what all known answers do in all checks
# Verdicts depend on these.
MACHINERY = (ROOT / "checks", ROOT / "solutions", PACKAGE / "grading", PACKAGE / "probing")


class Batch:
    """Submissions that are graded on the same inputs, with their results in one folder.

    An interrupted batch goes on where it stopped: what is graded already, with the same files,
    checks and inputs, is not graded again. What could not be graded has a problem and no grade; it
    is tried again the next time.

    Args:
        collection: the submissions.
        out: where the results are kept.
        wanted: the exercises that are graded.
        seed: of the inputs; None draws one, or takes that of the batch that goes on here.
        jobs: how many submissions run at the same time.
        seconds: for all exercises of one submission.
        patience: for one import or one check, where that is less than their own seconds.
        trusted: grade also where the code cannot be confined.
    """

    def __init__(
        self,
        collection: Collection,
        out: Path,
        wanted: tuple[Exercise, ...],
        seed: int | None = None,
        jobs: int | None = None,
        seconds: float = SECONDS,
        patience: float = math.inf,
        trusted: bool = False,
    ):
        self.submissions, self.problems = collection.folders, collection.problems
        self.wanted, self.kept = wanted, out / "graded"
        self.kept.mkdir(parents=True, exist_ok=True)
        self.seed = self._choose_seed(seed, out / "batch.json")
        self.jobs = jobs or _jobs_that_fit()
        self.sandbox = Sandbox(
            self.seed, wanted, seconds, patience, jobs=self.jobs, trusted=trusted
        )
        versions = f"{torch.__version__} {platform.python_version()}"
        files = [file for place in MACHINERY for file in sorted(place.rglob("*.*"))]
        self._machinery = f"{_digest([*files, PACKAGE / 'syllabus.py'])}-{versions}"

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
        """Grade what is not graded yet; all results, in the order of the names.

        Raises:
            CourseError: if the reference itself does not pass in the sandbox.
        """
        results = {name: found for name in self.submissions if (found := self._at_once(name))}
        left = [name for name in self.submissions if name not in results]
        bar = tqdm(total=len(self.submissions), initial=len(results), unit="", disable=quiet)
        prepares = len(left) > 2 * self.jobs and memory_needed(self.jobs) + PREPARED < memory_here()
        with self.sandbox, bar:
            if left:
                self._grade_the_reference()
            calls = {name: partial(self._grade_one, name) for name in left}
            seconds = BUSY * (self.sandbox.seconds + SECONDS_TO_JUDGE) + START_SECONDS
            for name, answer in run_many(calls, self.jobs, seconds):
                results[name] = self._result(name, answer)
                bar.update()
                if prepares:
                    self._prepare_for_more(results[name])
        return [results[name] for name in sorted(results)]

    def _at_once(self, name: str) -> SubmissionResult | None:
        """The result if it is known without running anything."""
        try:
            if name in self.problems:
                return self._failed(name, self.problems[name])
            return self._known(name)
        except OSError as error:
            return self._failed(name, f"{error.filename} cannot be read: {error.strerror}")

    def _grade_the_reference(self) -> None:
        """Stop if the grader, on this machine, fails even the right answer."""
        code = self.sandbox.run(ROOT / "solutions")
        for result in Grader(code, self.seed).grade(self.wanted):
            if result.status != PASSED:
                why = one_line(result.message, 400)
                raise CourseError(
                    f"the reference itself does not pass here, so nobody was graded: {why}"
                )

    def _grade_one(self, name: str) -> SubmissionResult:
        """Run a submission in the sandbox, and judge what came back; in a process of its own."""
        start = time.monotonic()
        code = self.sandbox.run(self.submissions[name])
        _limit_judging()
        grader = Grader(code, self.seed)
        found = [
            ExerciseResult.of(one, grader.checks_passed(one.exercise.id))
            for one in grader.grade(self.wanted)
        ]
        return SubmissionResult(
            name=name,
            exercises=tuple(_clipped(one) for one in found),
            seed=self.seed,
            seconds=round(time.monotonic() - start, 2),
            sandbox=self.sandbox.box.name,
            key=self._key(name),
        )

    def _result(self, name: str, answer: SubmissionResult | Exception | Ended) -> SubmissionResult:
        """What came of grading a submission; a grade is kept, a problem is not."""
        if isinstance(answer, SubmissionResult):
            answer.save(self._file(name))
            return answer
        if isinstance(answer, CourseError):
            return self._failed(name, str(answer))
        why = answer.why if isinstance(answer, Ended) else repr(answer)
        return self._failed(
            name, f"the grader itself failed, which is no fault of the submission: {clip(why, 300)}"
        )

    def _prepare_for_more(self, result: SubmissionResult) -> None:
        """Compute once, for all that is still to come, what was needed to name a mistake."""
        for exercise in result.exercises:
            if exercise.status == FAILED and not result.problem:
                warm_up(exercise.id, self.seed)

    def _failed(self, name: str, problem: str) -> SubmissionResult:
        """The result of a submission that could not be graded; it is tried again next time."""
        nothing = tuple(
            ExerciseResult(e.id, 0, e.points, FAILED, "", problem, "") for e in self.wanted
        )
        return SubmissionResult(name, nothing, self.seed, 0.0, self.sandbox.box.name, "", problem)

    def _known(self, name: str) -> SubmissionResult | None:
        """The result that an earlier run of this batch kept, if it still holds."""
        try:
            result = SubmissionResult.load(self._file(name))
        except ValueError:
            return None
        return result if result.key == self._key(name) else None

    def _file(self, name: str) -> Path:
        return self.kept / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.json"

    def _key(self, name: str) -> str:
        files = [chapter_file(self.submissions[name], chapter.name) for chapter in chapters()]
        own = _digest([file for file in files if file])
        which = ",".join(exercise.id for exercise in self.wanted)
        return f"{own}-{self._machinery}-{which}-{self.seed}-{self.sandbox.box.name}"


def _jobs_that_fit() -> int:
    """One job for each core, as far as the memory suffices.

    Raises:
        CourseError: if it does not suffice for one.
    """
    here = memory_here()
    if memory_needed(1) > here:
        raise CourseError(
            f"grading takes some {memory_needed(1) >> 20} MB of memory with this build of PyTorch, "
            f"and here are {here >> 20} MB. Give the container more, or install PyTorch's build "
            "for CPUs, which takes less: https://pytorch.org/get-started/locally"
        )
    fits = [jobs for jobs in range(1, (os.cpu_count() or 1) + 1) if memory_needed(jobs) <= here]
    return max(fits)


def _limit_judging() -> None:
    """Bound what this process may take from here on: what it reads is a stranger's."""
    import resource  # which Windows lacks, where no submission comes as far as this

    seconds = int(time.process_time() + SECONDS_TO_JUDGE) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return  # the system does not tell how much it takes already
    most = pages * resource.getpagesize() + MEMORY_TO_JUDGE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.suffix in (".py", ".toml"):
            digest.update(os.fsencode(file.name) + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _clipped(result: ExerciseResult) -> ExerciseResult:
    """The result with a message that is not unreasonably long: it may quote the submission."""
    return replace(result, message=clip(result.message, LONGEST_MESSAGE))
