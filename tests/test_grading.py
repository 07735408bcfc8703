"""Broken, hostile and half-written code: a clear message each, and the rest is still graded."""

import signal
import subprocess
import sys

import pytest
import torch

from course import ROOT
from course.grading.answers import Answers, reference_code
from course.grading.checking import checks_of
from course.grading.code import LoadedCode, LocalCode, Overlay, answer_code
from course.grading.grader import Grader, judge
from course.probing.observing import same
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, exercises, select

CH01 = "ch01_noise_schedule"


@pytest.fixture
def submission(empty_exercises):
    """Write one function over its skeleton and grade chapter 01."""

    def grade(code: str) -> dict:
        path = empty_exercises / f"{CH01}.py"
        path.write_text(path.read_text() + "\n\n" + code)
        return {r.exercise.id: r for r in Grader(LocalCode(empty_exercises)).grade(select("01"))}

    return grade


RIGHT_1_3 = """
def compute_alpha_bars(betas):
    return torch.cumprod(1 - betas.double(), dim=0).float()


def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    low, high = beta_start, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        left = (1 - torch.linspace(beta_start, middle, num_steps, dtype=torch.float64)).prod()
        low, high = (middle, high) if left > final_alpha_bar else (low, middle)
    return low
"""


@pytest.mark.parametrize(
    "body, words",
    [
        ("import time\n    while True: time.sleep(0.01)", "or is the machine busy"),
        (
            "while True:\n        try:\n            pass\n        except BaseException: pass",
            "endless",
        ),
        ("return linear_betas(num_steps)", "calls itself without end"),
        ("return [0.1] * num_steps", "a list"),
        ("return None", "is its `return` missing?"),
        ("return torch.full((num_steps,), float('nan'))", "NaN in 7 of 7 places"),
        ("return torch.full((num_steps,), float('inf'))", "infinity in 7 of 7 places"),
        ("return torch.zeros(num_steps, dtype=torch.float64)", "dtype torch.float64"),
        ("return torch.zeros(num_steps, dtype=torch.int64)", "dtype torch.int64"),
        ("return torch.zeros(num_steps, device='meta')", "a tensor on meta"),
        ("return torch.zeros(num_steps, device='cuda')", "device"),
        ("return torch.zeros(num_steps, 1)", "shape (7, 1)"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("raise KeyError('oops')", "KeyError: 'oops', at line"),
        ("raise KeyboardInterrupt('mine')", "KeyboardInterrupt: mine, at line"),
        ("class Mine(BaseException): pass\n    raise Mine('own')", "Mine: own, at line"),
        (
            "class Mine(BaseException):\n        def __str__(self): raise self\n    raise Mine",
            "an error that cannot be shown",
        ),
        ("return torch.zeros(2) + torch.zeros(3)", "must match the size"),
    ],
)
def test_a_broken_function_gets_a_clear_message(submission, body, words, monkeypatch):
    monkeypatch.setattr("course.probing.observing.time_limit", shorter_limit())
    results = submission(f"def linear_betas(num_steps, *rest, **more):\n    {body}\n" + RIGHT_1_3)
    assert results["1.1"].status == FAILED
    assert words in results["1.1"].message
    assert "Traceback" not in results["1.1"].message
    assert results["1.3"].status == PASSED, "the others are still graded"
    assert results["1.2"].status == NOT_WRITTEN


PRESS = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize("then", ["time.sleep(5)", "raise KeyError", "return None"])
@pytest.mark.parametrize("caught", [True, False])
def test_a_real_ctrl_c_in_a_function_gets_through(submission, then, caught):
    body = f"import time; {PRESS}; {then}"
    if caught:
        body = f"try: {PRESS}; time.sleep(5)\n    except BaseException: {then}"
    with pytest.raises(KeyboardInterrupt):
        submission(f"import time\ndef linear_betas(num_steps, *rest, **more):\n    {body}\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_real_ctrl_c_during_an_import_gets_through(empty_exercises):
    (empty_exercises / f"{CH01}.py").write_text(f"{PRESS}; import time; time.sleep(5)\n")
    with pytest.raises(KeyboardInterrupt):
        Grader(LocalCode(empty_exercises)).grade_exercise("1.1")


def shorter_limit():
    from course.probing.observing import time_limit

    return lambda seconds, wait: time_limit(min(seconds, 1.0), wait)


def test_importing_the_reference_is_no_answer(submission):
    results = submission("from solutions.ch01_noise_schedule import *\n")
    assert not [r for r in results.values() if r.status == PASSED]
    assert "imported from the reference" in results["1.1"].message


def test_changing_an_input_in_place_is_told(submission):
    result = submission(
        "def compute_alpha_bars(betas):\n    return betas.mul_(-1).add_(1).cumprod(0)\n"
    )["1.3"]
    assert result.status == FAILED
    assert "changed betas in place" in result.message


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("form", [lambda x: x, lambda x: [x], lambda x: torch.tensor([1.0, x])])
def test_nan_is_the_same_as_nan_and_as_nothing_else(form, exact):
    """A nan among a check's inputs has not changed, and one that became a number has."""
    assert same(form(NAN), form(NAN), exact)
    assert not any(same(form(NAN), form(other), exact) for other in (0.0, 1.0, INF))
    assert not any(same(form(other), form(NAN), exact) for other in (0.0, 1.0, INF))
    assert same(form(INF), form(INF), exact) and not same(form(INF), form(-INF), exact)


@pytest.mark.parametrize(
    "text, words",
    [
        ("def linear_betas(:\n    pass\n", "at line 1: def linear_betas(:"),
        ("import no_such_package\n", "No module named 'no_such_package', at line 1"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("raise KeyboardInterrupt('mine')\n", "KeyboardInterrupt: mine, at line 1"),
        ("class Mine(BaseException): pass\nraise Mine('own')\n", "Mine: own, at line 2"),
        ("1 / 0\n", "ZeroDivisionError: division by zero, at line 1"),
    ],
)
def test_a_file_that_cannot_be_imported(empty_exercises, text, words):
    (empty_exercises / f"{CH01}.py").write_text(text)
    results = Grader(LocalCode(empty_exercises)).grade(exercises())
    for result in results:
        if result.exercise.chapter == CH01:
            assert result.status == FAILED and words in result.message
        else:
            assert result.status == NOT_WRITTEN, "the other chapters are still graded"


def test_a_missing_file_and_a_missing_name(empty_exercises):
    (empty_exercises / f"{CH01}.py").unlink()
    result = Grader(LocalCode(empty_exercises)).grade_exercise("1.1")
    assert result.status == FAILED and "is not in" in result.message
    (empty_exercises / f"{CH01}.py").write_text("import torch\n")
    result = Grader(LocalCode(empty_exercises)).grade_exercise("1.1")
    assert result.status == FAILED and "no such name" in result.message


def test_a_failure_behind_an_earlier_exercise_names_that_one(empty_exercises):
    path = empty_exercises / "ch02_forward_process.py"
    path.write_text(
        path.read_text()
        + """

def gather_at(values, t, ndim):
    return values[t]


def q_sample(x0, t, eps, alpha_bars):
    a = gather_at(alpha_bars, t, x0.ndim)
    return a.sqrt() * x0 + (1 - a).sqrt() * eps
"""
    )
    result = Grader(LocalCode(empty_exercises)).grade_exercise("2.3")
    assert result.status == FAILED
    assert "exercise 2.1 does not pass yet; mend it first" in result.message


def test_a_class_that_is_only_named_as_a_type_is_not_to_blame(empty_exercises):
    """`training_step` gets an EMA handed in, and does not need the learner's own."""
    text = (ROOT / "solutions" / "ch05_training.py").read_text(encoding="utf-8")
    assert "ema: EMA" in text
    broken = f"{text}\n\nclass EMA:\n    pass\n"
    (empty_exercises / "ch05_training.py").write_text(broken, encoding="utf-8")
    grader = Grader(LocalCode(empty_exercises))
    assert grader.grade_exercise("5.3").status == FAILED
    assert grader.grade_exercise("5.4").status == PASSED


def test_calling_an_unwritten_exercise_is_told(empty_exercises):
    path = empty_exercises / "ch02_forward_process.py"
    path.write_text(
        path.read_text()
        + "\n\ndef q_sample(x0, t, eps, alpha_bars):\n"
        + "    return gather_at(alpha_bars, t, 4) * x0\n"
    )
    result = Grader(LocalCode(empty_exercises)).grade_exercise("2.3")
    assert result.status == FAILED
    assert "gather_at" in result.message and "2.1" in result.message


def test_grading_leaves_the_global_generator_alone(solutions):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Grader(solutions).grade_exercise("1.4")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_reference_passes_with_other_inputs(seed, solutions):
    results = Grader(solutions, seed).grade(exercises())
    assert [r.message for r in results if r.status != PASSED] == []


@pytest.mark.parametrize("threads", [1, 2])
def test_verdicts_do_not_depend_on_threads(threads, solutions):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for check in checks_of("1.2"):
            assert judge(check, solutions).status == PASSED
    finally:
        torch.set_num_threads(before)


# pytest checks


def run_pytest(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "checks", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def last_lines(run: subprocess.CompletedProcess) -> list[str]:
    return [line for line in run.stdout.splitlines() if " of " in line and "%" in line]


def test_pytest_checks_grades_the_reference_in_full():
    run = run_pytest("--impl", "solutions")
    assert run.returncode == 0, run.stdout[-2000:]
    assert "100 %" in last_lines(run)[-1]


def test_pytest_checks_grades_a_folder_of_skeletons_with_zero(empty_exercises):
    run = run_pytest("--impl", str(empty_exercises))
    assert run.returncode == 1
    assert last_lines(run)[-1].split()[1] == "0"
    assert "not written yet: linear_betas" in run.stdout
    assert "Traceback" not in run.stdout and "course/grading/grader.py" not in run.stdout


def test_pytest_checks_tells_a_wrong_folder():
    run = run_pytest("--impl", "no_such_folder")
    assert run.returncode != 0
    assert "there is no folder 'no_such_folder'" in run.stdout


@pytest.mark.parametrize(
    "line, name",
    [
        ("torch.allclose = lambda *a, **k: True", "torch.allclose"),
        ("torch.Tensor.__eq__ = lambda a, b: True", "Tensor.__eq__"),
        ("import builtins; builtins.abs = lambda x: 0", "builtins.abs"),
        ("torch.nn.functional.silu = torch.nn.functional.relu", "torch.nn.functional.silu"),
    ],
)
@pytest.mark.parametrize("when", ["on import", "when called"])
def test_replacing_a_function_of_torch_is_told_and_undone(empty_exercises, line, name, when):
    path = empty_exercises / f"{CH01}.py"
    code = RIGHT_1_3 if when == "on import" else RIGHT_1_3.replace("):\n", f"):\n    {line}\n")
    line = line if when == "on import" else ""
    path.write_text(f"{path.read_text()}\n{line}\n{code}")
    before = (torch.allclose, torch.Tensor.__eq__, abs, torch.nn.functional.silu)
    result = Grader(LocalCode(empty_exercises)).grade_exercise("1.3")
    assert result.status == FAILED and f"replaced {name}" in result.message
    after = (torch.allclose, torch.Tensor.__eq__, abs, torch.nn.functional.silu)
    assert all(a is b for a, b in zip(before, after))


SWITCHES = [
    "torch.set_default_dtype(torch.float64)",
    "torch.set_default_tensor_type(torch.DoubleTensor)",
    "torch.set_default_device('meta')",
    "torch.use_deterministic_algorithms(True)",
    "torch.set_float32_matmul_precision('medium')",
    "torch.set_num_threads(2)",
    "torch.set_grad_enabled(False)",
    "torch.manual_seed(3)",
    "torch.autocast('cpu').__enter__()",
    "torch.inference_mode().__enter__()",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", SWITCHES)
@pytest.mark.parametrize("when", ["on import", "when called"])
def test_a_switch_of_torch_is_no_tampering_and_put_back(empty_exercises, line, when):
    text = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
    if when == "on import":
        text = text.replace("import torch\n", f"import torch\n\n{line}\n", 1)
    else:
        text += "\n\n_right = equally_noisy\n\n\ndef equally_noisy(alpha_bars, other):\n"
        text += f"    steps = _right(alpha_bars, other)\n    {line}\n    return steps\n"
    (empty_exercises / f"{CH01}.py").write_text(text, encoding="utf-8")
    before = switches()
    for result in Grader(LocalCode(empty_exercises)).grade(select("01")):
        assert result.status == PASSED, result.message
    assert switches() == before


def switches() -> list:
    return [
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_inference_mode_enabled(),
        torch.Storage,
    ]


NAMED = """
class Lies(type):
    __name__ = property(lambda cls: 1 / 0)
def linear_betas(*args, **options): {}
"""


@pytest.mark.parametrize(
    "body, words",
    [
        ("return type('a\\n  looks like nothing', (), {})()", "an a looks like nothing"),
        ("raise type('A\\nB', (Exception,), {})('x\\ny')", "A B: x, at line"),
        ("return Lies('Mine', (), {})()", "a Mine"),
        ("return '\\x1b[31m\\u202ered'", "a str: "),
    ],
)
def test_code_cannot_write_lines_into_its_verdict(empty_exercises, body, words):
    path = empty_exercises / f"{CH01}.py"
    path.write_text(f"{path.read_text()}\n{NAMED.format(body)}", encoding="utf-8")
    message = Grader(LocalCode(empty_exercises)).grade_exercise("1.1").message
    title, *facts = message.split("\n")
    assert [line.split()[0] for line in facts] == ["called", "expected", "came"], message
    assert words in facts[-1] and "\u202e" not in message and "\x1b" not in message


@pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.id)
def test_an_unknown_mistake_is_told_by_what_it_breaks(exercise, solutions):
    junk = {symbol: lambda *args, **kwargs: torch.ones(2, 3) for symbol in exercise.symbols}
    impl = Overlay(solutions.chapter(exercise.chapter), **junk)
    outcome = judge(checks_of(exercise.id)[0], LoadedCode(impl, ""))
    assert outcome.status == FAILED
    assert outcome.title and outcome.called and outcome.expected and outcome.got
    assert "Traceback" not in outcome.message()


def test_an_edit_is_the_reference_with_a_place_changed():
    answers = Answers()
    answers.edit("3.4", "kept", "Drop them.", ("uniform < p", "uniform >= p"))
    (answer,) = answers.all
    assert (answer.exercise, answer.name, answer.help) == ("3.4", "kept", "Drop them.")
    code = reference_code("3.4")["drop_labels"]
    assert '"""' not in code and "# (B,)" in code
    assert answer.text == code.replace("uniform < p", "uniform >= p") != code
    labels, generator = torch.arange(4), torch.Generator()
    assert answer.symbols["drop_labels"](labels, 0.0, 9, generator).tolist() == [9, 9, 9, 9]


def test_an_edit_replaces_only_what_it_changes():
    answers = Answers()
    answers.edit("2.5", "halved", "Do not.", ("x0_coef * x0", "x0_coef / 2 * x0"))
    answers.edit(
        "8.5", "farthest", "Do not.", ("amin(dim=1)", "amax(dim=1)"), ("k: int = 5", "k=3")
    )
    assert [list(answer.symbols) for answer in answers.all] == [["q_posterior"], ["coverage"]]
    assert answers.all[1].text.count("amax") == answers.all[1].text.count("k=3") == 1


def test_an_error_in_an_edit_is_told_with_its_line():
    answers = Answers()
    answers.edit(
        "3.4", "unwritten", "Write it.", ("    dropped = uniform < p", "    dropped = 1 / 0")
    )
    (answer,) = answers.all
    seen = answer_code(answer).observe(checks_of("3.4")[0], seed=0)
    assert seen.raised.startswith("ZeroDivisionError")
    assert ": dropped = 1 / 0" in seen.raised


@pytest.mark.parametrize(
    "place, times",
    [
        ("uniform <= p", 0),
        ("a probability p", 0),  # stands in the docstring only
        ("dropped", 2),
    ],
)
def test_an_edit_whose_place_is_not_found_once_is_an_error(place, times):
    answers = Answers()
    with pytest.raises(ValueError) as error:
        answers.edit("3.4", "some slip", "A help.", (place, "0"))
    assert str(error.value) == f"3.4 'some slip': {place!r} is found {times} times, not once"
    assert answers.all == []


def test_what_torch_cannot_do_is_no_unwritten_exercise(submission):
    code = "def compute_alpha_bars(betas):\n    return torch.rand_like(betas.long())\n"
    result = submission(code)["1.3"]
    assert result.status == FAILED and "NotImplementedError" in result.message
