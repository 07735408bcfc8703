"""PrairieLearn: the question that goes into a course there, and what runs for each submission.

`export` builds an archive with a question: its info.json, its page, and the course as its tests. A
Dockerfile in it makes the image that info.json names. In a container of it PrairieLearn calls
/grade/tests/run.sh, and that `python -m course.classroom.prairielearn`, which grades /grade/student
and writes /grade/results/results.json. $GRADE_ROOT names another folder than /grade.
"""

import hashlib
import html
import json
import os
import sys
import traceback
from pathlib import Path

from course.classroom.exporting import (
    GRADER_FAILED,
    contents_for,
    file_names,
    grade_one,
    write_archive,
    write_json,
)

ARCHIVE = "prairielearn_question.zip"
QUESTION = "diffusion_from_scratch"  # folder in the archive, for the course's questions/
IMAGE = "YOUR_NAME/diffusion-from-scratch-grader"  # to be replaced by the name that it is given
MOST_SECONDS = 600  # that PrairieLearn grants

DOCKERFILE = """\
# docker build -t IMAGE diffusion_from_scratch, and docker push IMAGE. Write the same name into
# info.json. The course itself is not in it: it comes with the question's tests.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap \\
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir torch torchvision
COPY tests /build
RUN pip install --no-cache-dir /build && pip uninstall -y diffusion-from-scratch && rm -r /build
"""

# The copy counts if Python does not even start.
RUN = """\
#!/usr/bin/env bash
root="${GRADE_ROOT:-/grade}"
mkdir -p "$root/results"
cp "$root/tests/grader_failed.json" "$root/results/results.json"
cd "$root/tests"
python3 -m course.classroom.prairielearn
exit 0
"""

PAGE = """\
<pl-question-panel>
  <p>Upload your files from <code>exercises/</code>.</p>
  <pl-file-upload file-names="{names}"></pl-file-upload>
</pl-question-panel>

<pl-submission-panel>
  <pl-external-grader-results></pl-external-grader-results>
  <pl-file-preview></pl-file-preview>
</pl-submission-panel>
"""


def export(path: Path, only: str | None = None, rules: Path | None = None) -> Path:
    """Build an archive with a question for PrairieLearn.

    Args:
        path: the file to write, or a folder in which it is called prairielearn_question.zip.
        only: the chapters and exercises that are graded, as "01,02"; all if left out.
        rules: a file with rules.

    Returns:
        the file written.
    """
    tests = contents_for(only, rules)
    tests["grader_failed.json"] = json.dumps(message(GRADER_FAILED), indent=1).encode()
    tests["run.sh"] = RUN.encode()
    contents = {f"{QUESTION}/tests/{name}": content for name, content in tests.items()}
    names = html.escape(",".join(file_names(only)))
    contents[f"{QUESTION}/info.json"] = json.dumps(info(only), indent=2).encode()
    contents[f"{QUESTION}/question.html"] = PAGE.replace("{names}", names).encode()
    contents[f"{QUESTION}/Dockerfile"] = DOCKERFILE.encode()
    return write_archive(path, ARCHIVE, contents, {f"{QUESTION}/tests/run.sh"})


def info(only: str | None) -> dict:
    """The content of the question's info.json."""
    return {
        "uuid": _uuid(f"{QUESTION} {only}"),
        "title": "Diffusion from scratch" + (f": {only}" if only else ""),
        "topic": "Diffusion models",
        "tags": ["code"],
        "type": "v3",
        "singleVariant": True,
        "gradingMethod": "External",
        "externalGradingOptions": {
            "enabled": True,
            "image": IMAGE,
            "entrypoint": "/grade/tests/run.sh",
            "timeout": MOST_SECONDS,
        },
    }


def _uuid(words: str) -> str:
    """A UUID of version 4 that is always the same for the same words."""
    digits = list(hashlib.sha256(words.encode()).hexdigest()[:32])
    digits[12], digits[16] = "4", "a"
    text = "".join(digits)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# In the container, for each submission


def main() -> int:
    """Write results/results.json, whatever happens. The return value is always 0."""
    root = Path(os.environ.get("GRADE_ROOT", "/grade"))
    results = root / "results" / "results.json"
    write_json(message(GRADER_FAILED), results)  # until there is something better
    try:
        found = grade_one(root / "student", "prairielearn")
        write_json(message(found) if isinstance(found, str) else found, results)
    except Exception:
        traceback.print_exc()
    return 0


def message(text: str) -> dict:
    """A result that says something, has no points and costs no attempt."""
    return {"gradable": False, "message": text, "format_errors": [text]}


if __name__ == "__main__":
    sys.exit(main())
