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
from course.classroom.collecting import Collection, chapter_file
from course.classroom.results import ExerciseResult, SubmissionResult
from course.classroom.sandbox import SECONDS, BoxedCode, Sandbox
from course.files import write_whole
from course.grading.grader import Grader
from course.probing.observing import OutOfTime, time_limit
from course.probing.text import LONGEST_MESSAGE, clip
from course.syllabus import FAILED, Exercise, chapters

SECONDS_TO_JUDGE = 120.0  # one submission, the misconceptions' own evidence included


class Batch:
    """Submissions that are graded on the same inputs, with their results in one folder.

    An interrupted batch goes on where it stopped: what is graded already, with the same files,
    checks and inputs, is not graded again.

    Args:
        collection: the submissions.
        out: where the results are kept.
        wanted: the exercises that are graded.
        seed: of the inputs; None draws one, or takes that of the batch that goes on here.
        jobs: how many submissions run at the same time.
        seconds: for all exercises of one submission.
        patience: for one import or one check, where that is less than their own seconds.
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
    ):
        self.submissions, self.problems = collection.folders, collection.problems
        self.wanted, self.kept = wanted, out / "graded"
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
        for name, problem in self.problems.items():
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
                grader = Grader(code, self.seed)
                found = [
                    ExerciseResult.of(one, grader.checks_passed(one.exercise.id))
                    for one in grader.grade(self.wanted)
                ]
        except OutOfTime:
            return self._failed(name, "judging what it gave back took too long")
        except (CourseError, CancelledError) as error:
            return self._failed(name, str(error))
        except Exception as error:  # one submission never stops the batch
            text = f"the grader itself failed, which is no fault of the submission: {error!r}"
            return self._failed(name, text)
        result = SubmissionResult(
            name=name,
            exercises=tuple(_clipped(one) for one in found),
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
