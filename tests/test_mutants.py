"""The benchmark of the checks by mutants: it makes them, runs them and reads its list."""

import ast
import dataclasses
import json
import random

import pytest

from benchmarks.mutants import (
    CRASH,
    RESULTS,
    SURVIVED,
    TOO_LONG,
    Equivalent,
    complaints,
    counts,
    read_equivalents,
    run,
    tally,
)
from benchmarks.mutator import Mutant, mutants_of, with_definition
from course import ROOT
from course.grading.checking import checks_of
from course.grading.code import reference_evidence
from course.grading.source import find_definition
from course.syllabus import chapters, exercises, find_exercise

LOG_SNR = find_exercise("1.4")
SOURCE = (ROOT / "solutions" / f"{LOG_SNR.chapter}.py").read_text(encoding="utf-8")

TINY = '''
import torch

@torch.no_grad()
def tiny(x: Tensor, y: Tensor, scale: float = 2.0):
    """A docstring."""
    if scale < 0:
        raise ValueError("guarded")
    mixed = scale * x + torch.sin(y)[1:]
    if x.ndim > 3:
        mixed = mixed.mean(dim=1)
    return mixed, y.double()
'''


@pytest.fixture(scope="module")
def tiny() -> set[tuple[str, str]]:
    """Operator and description, without the function's name, of each mutant of TINY."""
    exercise = dataclasses.replace(LOG_SNR, symbols=("tiny",))
    return {
        (mutant.operator, mutant.description.removeprefix("tiny: "))
        for mutant in mutants_of(TINY, exercise)
    }


MIX = "mixed = scale * x + torch.sin(y)[1:]"
GUARD = "raise ValueError('guarded')"
HEAD = "def tiny(x, y, scale=2.0):"


@pytest.mark.parametrize(
    "operator, before, after",
    [
        ("arithmetic", MIX, "mixed = scale * x - torch.sin(y)[1:]"),
        ("one_operand", MIX, "mixed = scale * x"),
        ("one_operand", MIX, "mixed = x + torch.sin(y)[1:]"),
        ("comparison", "if x.ndim > 3:", "if x.ndim >= 3:"),
        ("condition", "if x.ndim > 3:", "if False:"),
        ("constant", "if x.ndim > 3:", "if x.ndim > 4:"),
        ("constant", "mixed = mixed.mean(dim=1)", "mixed = mixed.mean(dim=-1)"),
        ("constant", f"@torch.no_grad() {HEAD}", "@torch.no_grad() def tiny(x, y, scale=4.0):"),
        ("dropped_statement", "mixed = mixed.mean(dim=1)", "pass"),
        ("ignored_argument", MIX, f"y = y * 0; {MIX}"),
        ("ignored_argument", MIX, f"scale = 2.0; {MIX}"),
        ("returned_part", "return (mixed, y.double())", "return mixed"),
        ("swapped_neighbours", "return (mixed, y.double())", "return (y.double(), mixed)"),
        ("dropped_decorator", f"@torch.no_grad() {HEAD}", HEAD),
        ("dropped_item", "mixed = mixed.mean(dim=1)", "mixed = mixed.mean()"),
        ("dropped_call", "return (mixed, y.double())", "return (mixed, y)"),
        ("dropped_call", MIX, "mixed = scale * x + y[1:]"),
        ("bound", MIX, "mixed = scale * x + torch.sin(y)[:]"),
        ("in_place", MIX, "mixed = x.mul_(scale) + torch.sin(y)[1:]"),
        ("counterpart", MIX, "mixed = scale * x + torch.cos(y)[1:]"),
        ("other_name", MIX, "mixed = scale * y + torch.sin(y)[1:]"),
        ("comparison", "if scale < 0:", "if scale <= 0:"),
        ("dropped_statement", GUARD, "pass"),
        ("other_error", GUARD, "raise RuntimeError('guarded')"),
        ("narrowed_input", MIX, f"y = y.float(); {MIX}"),
        ("narrowed_input", MIX, f"x = x.view(-1).view(x.shape); {MIX}"),
        ("narrowed_input", MIX, f"scale = round(scale, 2); {MIX}"),
    ],
)
def test_a_tiny_function_has_the_expected_mutants(tiny, operator, before, after):
    assert (operator, f"{before} -> {after}") in tiny


def test_words_are_not_mutated(tiny):
    for _, description in tiny:
        assert "docstring" not in description and "Error()" not in description


def descriptions(source: str, symbol: str) -> set[str]:
    exercise = dataclasses.replace(LOG_SNR, symbols=(symbol,))
    return {mutant.description.split(" -> ")[1] for mutant in mutants_of(source, exercise)}


def test_draws_results_modes_and_what_is_handed_on_are_mutated():
    found = descriptions(
        "def draw(model: nn.Module, x, g):\n"
        "    noise = torch.randn(x.shape, generator=g)\n"
        "    return model(x, t=noise)\n",
        "draw",
    )
    noise = "torch.randn(x.shape, generator=g)"
    assert {
        f"noise = {noise}.sort(dim=0).values",
        f"noise = (lambda draw: draw[:1].expand_as(draw).clone())({noise})",
        f"model.eval(); noise = {noise}",
        "return model(x.double(), t=noise)",
        "return model(x, t=noise.int())",
        "return model(x, t=noise).clamp(min=1e-05)",
        "return model(x, t=noise).tolist()",
    } <= found


def test_layers_and_buffers_of_a_module_are_mutated():
    found = descriptions(
        "class Two(nn.Module):\n"
        "    def __init__(self):\n"
        "        self.a = Linear(3)\n"
        "        self.b = Linear(3)\n"
        "        self.register_buffer('c', zeros(1))\n",
        "Two",
    )
    assert {"self.b = self.a", "self.register_buffer('c', zeros(1), persistent=False)"} <= found


def test_attributes_are_swapped_with_others_of_the_same_owner():
    source = "class Two:\n    def call(self, x):\n        return self.a(x) + self.b(x)\n"
    exercise = dataclasses.replace(LOG_SNR, symbols=("Two",))
    found = {mutant.description for mutant in mutants_of(source, exercise)}
    before = "Two.call: return self.a(x) + self.b(x) -> "
    assert {
        f"{before}return self.b(x) + self.b(x)",
        f"{before}return self.a(x) + self.a(x)",
    } <= found


def test_mutants_differ_from_each_other_and_from_the_reference():
    mutants = mutants_of(SOURCE, LOG_SNR)
    texts = [ast.unparse(ast.parse(mutant.source)) for mutant in mutants]
    assert len({ast.unparse(ast.parse(SOURCE)), *texts}) == 1 + len(mutants)
    assert len({mutant.description for mutant in mutants}) == len(mutants)


def log_snr_with(body: str) -> Mutant:
    definition = find_definition(ast.parse(SOURCE), "log_snr")
    text = f"def log_snr(alpha_bars):\n    {body}"
    return Mutant(LOG_SNR.id, "by hand", body, with_definition(SOURCE, definition, text))


def fates_of(*bodies: str, seconds: float = 20.0) -> dict[str, str]:
    mutants = [log_snr_with(body) for body in bodies]
    return {mutant.description: killer for mutant, killer in run(mutants, seconds=seconds)}


def test_right_code_survives_and_wrong_code_is_killed():
    right = "return (alpha_bars.double().log() - (1 - alpha_bars.double()).log()).float()"
    wrong = "return alpha_bars"
    fates = fates_of(right, wrong)
    assert fates[right] == SURVIVED
    assert fates[wrong].startswith("The log-SNR is")


def test_an_endless_loop_and_a_crash_are_killed():
    loop, crash = "while True: pass", "import os; os._exit(3)"
    assert fates_of(loop, seconds=0.5) == {loop: TOO_LONG}
    assert fates_of(crash) == {crash: CRASH}


def entry(mutation: str, reason: str = "It is.") -> Equivalent:
    return Equivalent(LOG_SNR.id, mutation, reason)


def test_a_listed_survivor_counts_as_equivalent():
    fates = [(log_snr_with(body), killer) for body, killer in [("a", ""), ("b", ""), ("c", "x")]]
    numbers = counts([tally(LOG_SNR, fates, [entry("a")])])
    assert numbers == {"mutants": 3, "killed": 1, "equivalent": 1, "survived": 1}
    assert complaints(fates, [entry("a")]) == []


@pytest.mark.parametrize(
    "listed, complaint",
    [
        (entry("another"), "no mutant is described like this"),
        (entry("killed"), "is killed by a check"),
        (entry("alive", reason=""), "has no reason"),
    ],
)
def test_a_wrong_entry_is_reported(listed, complaint):
    fates = [(log_snr_with("alive"), SURVIVED), (log_snr_with("killed"), "a check")]
    (found,) = complaints(fates, [listed])
    assert complaint in found and listed.mutation in found


def test_the_list_of_equivalents_can_be_read():
    for listed in read_equivalents():
        find_exercise(listed.exercise)


# The measured score


def test_the_page_shows_the_measured_scores():
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    records = json.loads(RESULTS.read_text(encoding="utf-8"))
    for chapter in chapters():
        own = [r for r in records if r["exercise"] in {e.id for e in chapter.exercises}]
        assert len(own) == len(chapter.exercises)
        numbers = [sum(r[key] for r in own) for key in ("mutants", "killed", "equivalent")]
        assert f"| {chapter.number} {chapter.title} | {' | '.join(map(str, numbers))} |" in page


@pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.id)
def test_a_sample_of_the_mutants_is_killed_or_listed(exercise):
    """All of them take minutes: python -m benchmarks.mutants."""
    source = (ROOT / "solutions" / f"{exercise.chapter}.py").read_text(encoding="utf-8")
    mutants = mutants_of(source, exercise)
    chosen = random.Random(exercise.id).sample(mutants, min(len(mutants), 8))
    listed = read_equivalents()
    for check in checks_of(exercise.id):
        reference_evidence(check, seed=1)  # forked processes find it in the cache
    survivors = [
        mutant.description
        for mutant, killer in run(chosen, seed=1)
        if not killer and not any(entry.fits(mutant) for entry in listed)
    ]
    assert survivors == []
