"""Reports: read back with the formats' own parsers, and fed with hostile names and messages."""

import csv
import json
import re
import statistics
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from playwright.sync_api import sync_playwright
from rich.console import Console

from course.classroom.class_report import chapter_scores, class_report
from course.classroom.feedback import feedback_page
from course.classroom.reports import (
    classroom50,
    file_names,
    gradescope,
    prairielearn,
    table,
    write_reports,
)
from course.classroom.results import ExerciseResult, SubmissionResult
from course.grading.answers import misconceptions_of
from course.grading.checking import checks_of
from course.probing.text import clip, one_line, printable
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, chapters, exercises
from tests.browser import CHROMIUM, FLAGS

ALL = tuple(exercises())
LAST = ALL[-1]
TOTAL = sum(exercise.points for exercise in ALL)
KNOWN = misconceptions_of("1.2")[0]
HOSTILE = (
    "</script></td><img src=x onerror=alert(1)>&\x00\x1b[31mred\x1b[0m\x85\u202e\ud800'\"{main}"
)


def submission(name="ada", statuses=None, problem="", **changes) -> SubmissionResult:
    """All exercises passed, but for those that `statuses` maps to something else.

    A failed exercise may be given as (FAILED, misconception, message).
    """
    found = []
    for exercise in ALL:
        given = (statuses or {}).get(exercise.id, FAILED if problem else PASSED)
        status, misconception, message = given if isinstance(given, tuple) else (given, "", "")
        found.append(
            ExerciseResult(
                id=exercise.id,
                points=exercise.points if status == PASSED else 0,
                max_points=exercise.points,
                status=status,
                check="" if status == PASSED else checks_of(exercise.id)[0].title,
                message=message or f"{exercise.id} says {status}",
                misconception=misconception,
            )
        )
    fields = {"seed": 3, "seconds": 1.5, "sandbox": "bubblewrap", "key": "k"} | changes
    return SubmissionResult(name, tuple(found), problem=problem, **fields)


def the_class() -> list[SubmissionResult]:
    """Four that were graded and one that was not."""
    named = (FAILED, KNOWN.name, "1.2 is wrong\n  looks like it")
    return [
        submission("ada"),
        submission("bob", {"1.2": named, "1.4": FAILED}),
        submission("cy", {"1.2": named, LAST.id: NOT_WRITTEN}),
        submission("di", {exercise.id: NOT_WRITTEN for exercise in ALL}),
        submission("ed", problem="killed: too much memory"),
    ]


# Cleaning


@pytest.mark.parametrize(
    "raw, cleaned",
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("a\x00b\x08c\x9bd\x7f", "abcd"),
        ("one\r\ntwo\rthree\ttab", "one\ntwo\nthree\ttab"),
        ("\u202egpj.exe\u2066", "gpj.exe"),
        ("\ud800x\uffff", "x"),
        ("Zoë 李小龙 😀", "Zoë 李小龙 😀"),
    ],
)
def test_only_printable_characters_are_kept(raw, cleaned):
    assert printable(raw) == cleaned


def test_long_text_is_cut_and_says_so():
    assert clip("abcdef", 6) == "abcdef" and clip("abcdefg", 6) == "abcde…"
    assert one_line("a\n b\t\x00c", 10) == "a b c"


# The files


def test_every_report_is_written_and_named(tmp_path):
    paths = write_reports(the_class(), tmp_path / "new" / "out")
    found = {p.relative_to(tmp_path / "new" / "out").as_posix() for p in paths}
    services = ("gradescope", "prairielearn", "classroom50")
    assert found == {
        "grades.csv",
        "results.json",
        "junit.xml",
        "class_report.html",
        "lesson.html",
    } | {
        f"{service}/{name}.json"
        for service in services
        for name in ("ada", "bob", "cy", "di", "ed")
    } | {f"feedback/{name}.html" for name in ("ada", "bob", "cy", "di", "ed")}
    assert all(path.is_file() for path in paths)
    bob = json.loads((tmp_path / "new/out/gradescope/bob.json").read_text(encoding="utf-8"))
    assert bob == gradescope(the_class()[1])


def test_no_submissions_give_empty_reports(tmp_path):
    write_reports([], tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["submissions"] == []
    assert ET.parse(tmp_path / "junit.xml").getroot().get("tests") == "0"
    page = (tmp_path / "class_report.html").read_text(encoding="utf-8")
    assert "There are no submissions." in page


def test_csv_has_the_points_of_every_exercise(tmp_path):
    write_reports(the_class(), tmp_path)
    with open(tmp_path / "grades.csv", encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    ids = [exercise.id for exercise in ALL]
    last = ["late_days", "deduction", "notes", "problem"]
    assert list(rows["ada"]) == ["name", "id", "points", "max_points", "percent", *ids, *last]
    assert list(rows) == ["ada", "bob", "cy", "di", "ed"]
    assert rows["ada"]["points"] == str(TOTAL) and rows["ada"]["percent"] == "100.0"
    lost = sum(e.points for e in ALL if e.id in ("1.2", "1.4"))
    assert rows["bob"]["points"] == str(TOTAL - lost)
    assert rows["bob"]["max_points"] == str(TOTAL)
    assert float(rows["bob"]["percent"]) == (1000 * (TOTAL - lost) // TOTAL) / 10
    assert rows["bob"]["1.2"] == "0" and rows["bob"]["1.1"] == str(ALL[0].points)
    assert rows["ed"]["problem"] == "killed: too much memory"
    assert rows["ed"]["points"] == rows["ed"]["percent"] == rows["ed"]["1.1"] == ""


FORMULAS = [
    "=cmd()", "+1", "-1+2", "@SUM(A1)", "\t=cmd()", "\x00=cmd()", "a;=cmd|calc!A0", "a\t=1", "a,@1",
    "＝1+1", "＋1", "－1", "＠x", "a; ＝1", "a\r=1", "a\n=cmd", "a\r\n+1", "−1",
    "\"=1", "b;\"=1", "''=1",
]  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_at_whatever_a_spreadsheet_splits(tmp_path, name, delimiter):
    given = submission(name, problem=f"{name}|calc", learner=name, notes=name)
    write_reports([given], tmp_path)
    for file in ("grades.csv", "canvas.csv", "moodle.csv"):
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert len(text.splitlines()) == 2 + (file == "canvas.csv"), "a name ends a line"
        rows = csv.reader(
            [line.replace('"', "") for line in text.splitlines()], delimiter=delimiter
        )
        for cell in (cell for row in rows for cell in row):
            cell = unicodedata.normalize("NFKC", cell.strip()).replace("−", "-")
            assert not cell.startswith(tuple("=+-@")), cell


def test_results_json_holds_everything_unchanged(tmp_path):
    results = [*the_class(), submission(HOSTILE, {"1.1": (FAILED, HOSTILE, HOSTILE)})]
    write_reports(results, tmp_path)
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["schema"] == "diffusion-from-scratch/results" and content["version"] == 1
    back = []
    for entry in content["submissions"]:
        for derived in ("points", "max_points", "percent"):
            entry.pop(derived)
        own = tuple(ExerciseResult(**exercise) for exercise in entry.pop("exercises"))
        back.append(SubmissionResult(exercises=own, **entry))
    assert back == results


def test_junit_counts_what_passed_failed_and_was_not_written(tmp_path):
    write_reports(the_class(), tmp_path)
    root = ET.parse(tmp_path / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    counts = {
        name: tuple(int(s.get(k)) for k in ("tests", "failures", "errors", "skipped"))
        for name, s in suites.items()
    }
    n = len(ALL)
    assert counts == {
        "ada": (n, 0, 0, 0),
        "bob": (n, 2, 0, 0),
        "cy": (n, 1, 0, 1),
        "di": (n, 0, 0, n),
        "ed": (n + 1, n, 1, 0),
    }
    for suite in root:
        assert len(suite.findall("testcase")) == int(suite.get("tests"))
        assert len(suite.findall("testcase/failure")) == int(suite.get("failures"))
        assert len(suite.findall("testcase/skipped")) == int(suite.get("skipped"))
    assert root.get("failures") == str(3 + n) and root.get("tests") == str(5 * n + 1)
    check_against_the_schema(root)
    failure = suites["bob"].find("testcase/failure")
    assert failure.get("message") == checks_of("1.2")[0].title
    assert failure.text == "1.2 is wrong\n  looks like it"
    assert suites["ed"].find("testcase/error").text == "killed: too much memory"


# What Jenkins's schema (junit-10.xsd of its xunit plugin) allows: an element's attributes, those it
# must have, and the elements in it.
SUITE = {"name", "tests", "failures", "errors"}
MORE = {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"}
OUTCOME = ({"type", "message"}, set(), set())
JENKINS = {
    "testsuites": (SUITE | {"time"}, set(), {"testsuite"}),
    "testsuite": (SUITE | MORE, SUITE, {"testsuite", "properties", "testcase", "system-out"}),
    "testcase": ({"name", "time", "classname", "group"}, {"name"}, {"skipped", "error", "failure"}),
    "skipped": OUTCOME,
    "error": OUTCOME,
    "failure": OUTCOME,
}


def check_against_the_schema(element: ET.Element) -> None:
    allowed, needed, inside = JENKINS[element.tag]
    assert needed <= set(element.keys()) <= allowed, element.tag
    if "time" in element.keys():
        assert re.fullmatch(r"\d{1,3}(,?\d{3})*\.\d*", element.get("time"))
    for child in element:
        assert child.tag in inside
        check_against_the_schema(child)


def test_junit_keeps_to_what_xml_allows(tmp_path):
    hostile = submission(HOSTILE, {"1.1": (FAILED, "", HOSTILE)}, problem=HOSTILE)
    write_reports([hostile], tmp_path)
    text = (tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", text)
    (suite,) = ET.fromstring(text)
    assert suite.get("name") == printable(HOSTILE)
    assert suite.find("testcase/failure").text == printable(HOSTILE)
    assert suite.find("testcase/failure").text.startswith("</script></td><img")


# Services


def test_gradescope_fields():
    content = gradescope(the_class()[1])
    assert content["score"] == the_class()[1].points == sum(t["score"] for t in content["tests"])
    assert content["execution_time"] == 2
    assert (content["visibility"], content["stdout_visibility"]) == ("visible", "hidden")
    assert len(content["tests"]) == len(ALL)
    assert sum(test["max_score"] for test in content["tests"]) == TOTAL
    by_number = {test["number"]: test for test in content["tests"]}
    assert by_number["1.1"]["status"] == "passed" and by_number["1.4"]["status"] == "failed"
    assert by_number["1.2"] == {
        "name": ALL[1].title,
        "number": "1.2",
        "score": 0,
        "max_score": ALL[1].points,
        "status": "failed",
        "output": "1.2 is wrong\n  looks like it",
        "output_format": "text",
        "visibility": "visible",
    }


def test_what_is_to_be_mended_is_never_called_not_written(tmp_path):
    mend = next(exercise for exercise in ALL if exercise.fault)
    results = [submission("di", dict.fromkeys([mend.id, "1.1"], NOT_WRITTEN))]
    write_reports(results, tmp_path)
    skipped = ET.parse(tmp_path / "junit.xml").getroot().iter("skipped")
    assert [one.get("message") for one in skipped] == ["not written yet", "not mended yet"]
    page = feedback_page(results[0])
    assert f"{mend.title}: 0/{mend.points}, not mended yet" in page
    assert f"{ALL[0].title}: 0/{ALL[0].points}, not written yet" in page
    assert "not written, or not mended yet</th>" in class_report(results)


def test_prairielearn_fields():
    content = prairielearn(the_class()[1])
    assert content["gradable"] is True and "format_errors" not in content
    assert content["score"] == pytest.approx(the_class()[1].points / TOTAL)
    assert sum(test["points"] for test in content["tests"]) == the_class()[1].points
    assert sum(test["max_points"] for test in content["tests"]) == TOTAL
    test = content["tests"][1]
    assert test["name"] == f"1.2 {ALL[1].title}" and test["message"] == KNOWN.name
    assert test["output"] == "1.2 is wrong\n  looks like it"
    broken = prairielearn(the_class()[4])
    assert broken["gradable"] is False and broken["score"] == 0
    assert broken["format_errors"] == ["killed: too much memory"]


def test_classroom50_fields(monkeypatch):
    for name in ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REVIEW_URL", "")
    content = classroom50(the_class()[1])
    assert set(content) == {"schema", "score", "max-score", "tests"}
    whole = classroom50(submission("x", {"1.1": FAILED}, deduction=0.5))
    assert whole["score"] == sum(t["score"] for t in whole["tests"]) == TOTAL - ALL[0].points
    assert content["schema"] == "classroom50/result/v1"
    assert (content["score"], content["max-score"]) == (the_class()[1].points, TOTAL)
    assert [test["passed"] for test in content["tests"]].count(False) == 2
    assert sum(test["score"] for test in content["tests"]) == content["score"]
    assert all(type(test["score"]) is int and test["test-name"] for test in content["tests"])
    monkeypatch.setenv("CLASSROOM", "dl-2")
    monkeypatch.setenv("COMMIT_URL", "https://example.org/c")
    content = classroom50(the_class()[1])
    assert content["classroom"] == "dl-2"
    assert content["commit"] == content["review"] == "https://example.org/c"


@pytest.mark.parametrize("form", [gradescope, prairielearn, classroom50])
def test_services_get_clean_text_of_bounded_size(form):
    message = HOSTILE + "😀" * 100_000
    hostile = submission("x", {e.id: (FAILED, message, message) for e in ALL}, problem=message)
    text = json.dumps(form(hostile), ensure_ascii=False)
    assert len(text.encode()) < 1_000_000  # PrairieLearn's limit
    assert "\\u00" not in text and "[31m" not in text and "</script></td><img" in text
    assert form(submission("x", problem="why"))["score"] == 0


def test_what_is_not_written_has_not_passed():
    (cy,) = [result for result in the_class() if result.name == "cy"]
    assert gradescope(cy)["tests"][-1]["status"] == "failed"
    assert classroom50(cy)["tests"][-1]["passed"] is False
    assert prairielearn(cy)["tests"][-1]["description"] == NOT_WRITTEN


# Names of files


def test_file_names_are_safe_and_differ():
    names = [
        "a/b", "a\\b", "a_b", "A_B", "../../etc/passwd", "", ".", "..", ".hidden", "-rf",
        "x" * 10_000, "x" * 9_999, "Zoë", "Zoe\u0308", "李" * 200, "con trol\x00\n", "a_b-2",
        "same", "same", "\ud800", "</script><img onerror=1>",
    ]  # fmt: skip
    found = file_names([submission(name) for name in names])
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert re.fullmatch(r"[\w][\w.-]*", name), name
        assert len(f"{name}.json".encode()) < 200
    assert found[0] == "a_b" and found[12:14] == ["Zoë", "Zoë-2"]


def test_submissions_of_one_name_get_a_file_each(tmp_path):
    results = [submission("a/b"), submission("a b", {"1.1": FAILED}), submission("x" * 10_000)]
    paths = write_reports(results, tmp_path)
    assert len(set(paths)) == len(paths) == 5 + 4 * len(results)
    assert all(path.resolve().is_relative_to(tmp_path.resolve()) for path in paths)
    scores = [
        json.loads((tmp_path / f"gradescope/{name}.json").read_text(encoding="utf-8"))["score"]
        for name in ("a_b", "a_b-2")
    ]
    assert scores == [TOTAL, TOTAL - ALL[0].points]


# The report on a class


class Page(HTMLParser):
    """The page's elements, its sections' tables as lists of cells' texts, and all its text."""

    def __init__(self, page: str):
        super().__init__()
        self.elements, self.tables, self.text, self._cell = [], {}, "", None
        self._heading, self._in_heading = "", False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "h2":
            self._heading, self._in_heading = "", True
        if tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        if tag in ("td", "th"):
            self._cell = self.tables[self._heading][-1]
            self._cell.append("")

    def handle_endtag(self, tag):
        if tag == "h2":
            self._in_heading = False
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._in_heading:
            self._heading += data
        if self._cell is not None:
            self._cell[-1] += data


def test_the_class_report_counts_each_exercise():
    page = Page(class_report(the_class()))
    rows = {row[0].split()[0]: row[1:] for row in page.tables["Exercises"] if len(row) == 4}
    assert rows["1.1"] == ["3 (75 %)", "0 (0 %)", "1 (25 %)"]
    assert rows["1.2"] == ["1 (25 %)", "2 (50 %)", "1 (25 %)"]
    assert rows[LAST.id] == ["2 (50 %)", "0 (0 %)", "2 (50 %)"]
    assert set(rows) == {"exercise"} | {exercise.id for exercise in ALL}


def test_the_class_report_names_misconceptions_and_nameless_failures():
    page = Page(class_report(the_class()))
    _, *misconceptions = page.tables["Misconceptions met most"]
    assert misconceptions == [["1.2", KNOWN.name + KNOWN.help, "2 (50 %)"]]
    _, *checks = page.tables["Failing checks without a recognised misconception"]
    assert [(row[0], row[2]) for row in checks] == [("1.4", "1 (25 %)")]
    assert checks[0][1].startswith(checks_of("1.4")[0].title)
    assert checks[0][1].endswith(f"1.4 says {FAILED}")


def test_the_class_report_has_the_check_that_failed_most_on_top():
    results = [submission("a", {"1.1": FAILED, "1.2": FAILED}), submission("b", {"1.2": FAILED})]
    page = Page(class_report(results))
    _, *rows = page.tables["Failing checks without a recognised misconception"]
    assert [(row[0], row[2]) for row in rows] == [("1.2", "2 (100 %)"), ("1.1", "1 (50 %)")]


def test_the_class_report_orders_by_how_often_and_says_what_is_left_out():
    many = [
        submission(
            f"s{i}",
            {e.id: (FAILED, f"mistake {j}", "") for j, e in enumerate(ALL) if i <= j},
        )
        for i in range(len(ALL))
    ]
    page = Page(class_report(many))
    _, *rows = page.tables["Misconceptions met most"]
    counts = [int(row[2].split()[0]) for row in rows]
    assert counts == sorted(counts, reverse=True) and counts[0] == len(ALL)
    assert len(rows) == 25 and f"{len(ALL) - 25} more are left out" in page.text


def test_the_class_report_lists_what_could_not_be_graded_and_leaves_it_out_of_the_counts():
    page = Page(class_report(the_class()))
    _, *rows = page.tables["Submissions that could not be graded"]
    assert rows == [["ed", "killed: too much memory"]]
    facts = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", class_report(the_class()))
    points = sorted(result.points for result in the_class()[:4])
    assert dict(facts) == {
        "submissions": "5",
        "not graded": "1",
        f"median of {TOTAL} points": f"{(points[1] + points[2]) / 2:g}",
        f"mean of {TOTAL} points": f"{sum(points) / 4:.2f}",
        "with all points": "1",
    }


def test_report_and_csv_have_the_same_means(tmp_path):
    half = submission("half", {"1.2": FAILED}, deduction=1.25, late_days=2)
    write_reports([*the_class(), half], tmp_path)
    with open(tmp_path / "grades.csv", encoding="utf-8", newline="") as file:
        points = [float(row["points"]) for row in csv.DictReader(file) if row["points"]]
    page = (tmp_path / "class_report.html").read_text(encoding="utf-8")
    assert f"<dt>mean of {TOTAL} points</dt><dd>{statistics.fmean(points):.2f}</dd>" in page
    assert f"<dd>{statistics.median(points):g}</dd>" in page and len(points) == 5


# The page for a learner


def test_a_learner_reads_points_messages_and_what_was_left_out(tmp_path):
    late = {"deduction": 3.5, "late_days": 2, "notes": "old/ch01.py is left out"}
    bob = submission("Bob", {"1.2": (FAILED, KNOWN.name, "1.2 is wrong <b>")}, **late)
    write_reports([submission("ada"), bob], tmp_path)
    raw = (tmp_path / "feedback" / "Bob.html").read_text(encoding="utf-8")
    page = Page(raw)
    assert f"{bob.points} of {TOTAL} points" in page.text and "ada" not in page.text
    assert "2 days late, which costs 3.5 points." in page.text
    assert "old/ch01.py is left out" in page.text and "1.2 is wrong <b>" in page.text
    for exercise in ALL:
        assert f"{exercise.id} {exercise.title}" in page.text
    assert "default-src 'none'" in raw and "<b>" not in raw
    assert "could not be graded" in feedback_page(submission("ed", problem="why"))


def test_nothing_of_a_submission_becomes_html_in_feedback():
    hostile = submission(HOSTILE, {"1.1": (FAILED, HOSTILE, HOSTILE)}, notes=HOSTILE)
    raw = feedback_page(hostile)
    assert "<img" not in raw and "&lt;img" in raw and "{main}" in raw
    assert raw.count("<main>") == 1


def test_the_class_report_lists_every_submission():
    _, *rows = Page(class_report(the_class())).tables["Submissions"]
    chapter_one = sum(e.points for e in ALL if e.id.startswith("1."))
    assert [row[0] for row in rows] == ["ada", "bob", "cy", "di", "ed"]
    assert rows[0][1:4] == [f"{TOTAL}/{TOTAL}", "100 %", f"✔ {chapter_one}/{chapter_one}"]
    assert rows[3][1:4] == [f"0/{TOTAL}", "0 %", f"○ 0/{chapter_one}"]
    assert rows[1][3].startswith("✘") and rows[1][4].startswith("✔")
    assert rows[4][1:4] == ["", "not graded", ""]


def test_the_histogram_counts_by_tens():
    page = class_report(the_class())
    words = re.search("<desc.*?>(.*?)</desc>", page)[1]
    bins = dict(part.split(": ") for part in words.split("; "))
    assert bins["0–9 %"] == "1" and bins["90–100 %"] == "3" and len(bins) == 10
    shown = re.findall('class="count".*?>(\\d+)<', page)
    assert shown == list(bins.values())
    widths = [float(width) for width in re.findall('class="bar".*? width="(.*?)"', page)]
    assert widths[0] == pytest.approx(widths[9] / 3, abs=0.1) and widths[5] == 0


def test_nothing_of_a_submission_becomes_html():
    attack = (FAILED, HOSTILE, HOSTILE)
    results = [
        submission(HOSTILE, {"1.1": attack, "1.2": (FAILED, "", HOSTILE)}, sandbox=HOSTILE),
        submission(HOSTILE * 100, problem=HOSTILE),
    ]
    raw = class_report(results)
    page, harmless = Page(raw), Page(class_report(the_class()))
    kinds = {tag for tag, _ in page.elements}
    assert kinds <= {tag for tag, _ in harmless.elements} and "script" not in kinds
    assert "img" not in kinds
    assert "<img" in page.text and "{main}" in page.text  # it is shown, as text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", raw)
    raw.encode("utf-8")


def test_the_page_needs_nothing_from_outside():
    raw = class_report(the_class())
    assert "default-src 'none'" in raw
    for tag, attributes in Page(raw).elements:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href", "xlink:href"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in raw and "@import" not in raw


def test_the_page_can_be_read_by_everyone():
    raw = class_report(the_class())
    elements = Page(raw).elements
    tags = [tag for tag, _ in elements]
    assert ("html", {"lang": "en"}) in elements
    assert tags.count("h1") == 1 and tags.count("main") == 1 and "title" in tags
    assert tags.count("caption") == tags.count("table") == 5
    assert all(attributes.get("scope") for tag, attributes in elements if tag == "th")
    (svg,) = [attributes for tag, attributes in elements if tag == "svg"]
    assert svg["role"] == "img" and svg["aria-labelledby"]
    assert "prefers-color-scheme: dark" in raw and "width=device-width" in raw


@pytest.mark.parametrize("width", [1280, 390])
def test_the_reports_columns_are_neither_cut_nor_broken(tmp_path, width):
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    long = submission("Bartholomew Featherstonehaugh-Cholmondeley III", deduction=2.25)
    (tmp_path / "page.html").write_text(class_report([*the_class(), long]), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto((tmp_path / "page.html").as_uri())
        table_, room = page.eval_on_selector(
            ".wide", "wide => [wide.scrollWidth, wide.clientWidth]"
        )
        lines = page.eval_on_selector_all(
            ".wide td, .share small", "all => all.map(one => one.getClientRects().length)"
        )
        height = page.eval_on_selector(".wide tr:last-child bdi", "name => name.offsetHeight")
        body = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert body == width and (table_ == room or width < 1000)  # a narrow screen scrolls the table
    assert set(lines) == {1}
    assert height < 4 * 1.5 * 14  # words are not broken into letters


# On the screen


def shown(results: list[SubmissionResult], width: int) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(table(results))
    return capture.get().splitlines()


def test_the_table_shows_points_signs_and_problems():
    head, *lines = shown([*the_class(), submission("[red]" + HOSTILE)], 200)
    assert head.split()[:4] == ["name", "points", "%", "01"]
    assert lines[0].split()[:3] == ["ada", f"{TOTAL}/{TOTAL}", "100"]
    assert "✘" in lines[1] and lines[3].count("○") == len(chapters())
    assert lines[4].split()[:3] == ["ed", "–", "–"]
    assert lines[5].startswith("[red]</script>") and "\x1b" not in lines[5]
    assert lines[6] == "not graded: ed: killed: too much memory"


def test_the_table_keeps_points_and_reasons_at_80_columns():
    reason = "the process for the submission did not start, and this is a long reason why " * 3
    partly = submission("bob " * 20, {"1.2": FAILED}, deduction=0.25)
    lines = shown([submission("ada"), partly, submission("ed", problem=reason)], 80)
    assert all(len(line) <= 80 for line in lines)
    assert f" {TOTAL}/{TOTAL} " in lines[1] and f" {partly.points}/{TOTAL} " in lines[2]
    assert lines[1].count("✔") == len(chapters()) and lines[1].rstrip().endswith("1.5")
    assert " ".join(" ".join(lines[4:]).split()) == f"not graded: ed: {reason.strip()}"


def test_a_chapter_passes_only_as_a_whole():
    scores = {s.chapter.number: s for s in chapter_scores(the_class()[2])}
    assert scores["01"].status == FAILED  # one failed
    assert scores["02"].status == PASSED
    last = scores[chapters()[-1].number]
    assert last.status == FAILED  # one is not written, the others pass
    assert last.points == last.max_points - LAST.points
    assert chapter_scores(the_class()[4]) == []
