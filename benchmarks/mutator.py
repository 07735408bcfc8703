"""Make mutants of an exercise's reference: copies of its file, each with one small change.

Mutated is what the learner writes (course.learner.skeletons decides what that is: no docstrings, no
call of super().__init__(), and in the U-Net nothing above "Yours to write"), together with the
default values in the signatures, the decorators that the skeleton leaves out, and the guards, which
it gives but a learner may lose. Annotations, f-strings and the words of errors are left alone.
"""

import ast
import collections
import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.operators import OPERATORS, Name, Parameter, Place, Replacement, Scope, changed
from course.grading.source import find_definition
from course.learner.skeletons import cuts_of, is_guard
from course.syllabus import Exercise

UNTOUCHED = {"annotation", "returns", "ctx", "op", "ops"}


@dataclass(frozen=True)
class Mutant:
    """One small change to a chapter file."""

    exercise: str
    operator: str
    description: str  # "EMA.update: self.num_updates += 1 -> self.num_updates -= 1"
    source: str  # the whole file


@dataclass(frozen=True)
class Spot:
    """A place that may be mutated, and how to speak of it."""

    place: Place
    where: str  # "EMA.update"
    statement: ast.stmt  # the innermost one around the place


def mutants_of(source: str, exercise: Exercise) -> list[Mutant]:
    """All mutants of the exercise's definitions in a chapter file with this text."""
    tree = ast.parse(source)
    found = []
    for symbol in exercise.symbols:
        definition = find_definition(tree, symbol)
        cuts = cuts_of(definition, exercise, source.splitlines())
        lines = {number for first, last, _ in cuts for number in range(first, last + 1)}
        scope = _scope(definition, tree)
        seen = {ast.unparse(definition)}
        for spot in list(_spots(definition, lines, scope)):
            for operator, text, description in _changes(spot, definition):
                if text not in seen:
                    seen.add(text)
                    mutated = with_definition(source, definition, text)
                    found.append(Mutant(exercise.id, operator, description, mutated))
    return found


def with_definition(source: str, definition: ast.stmt, text: str) -> str:
    """The source with the text of one top-level definition replaced."""
    lines = source.splitlines()
    first = min([definition.lineno, *(d.lineno for d in definition.decorator_list)])
    return "\n".join([*lines[: first - 1], text, *lines[definition.end_lineno :], ""])


def _changes(spot: Spot, definition: ast.stmt) -> Iterator[tuple[str, str, str]]:
    """Operator, text of the definition, and description of each mutant made at one place."""
    before = _line(spot.statement)
    for operator in OPERATORS:
        for replacement in operator(spot.place):
            with _replaced(spot.place, replacement):
                if spot.place.node is not spot.statement:
                    after = _line(spot.statement)
                elif isinstance(replacement, list):
                    after = "; ".join(_line(statement) for statement in replacement)
                else:
                    after = _line(replacement)
                text = ast.unparse(definition)
            target, _, value = after.partition(" = ")
            if target == value:  # the same mutant as without the statement
                continue
            yield operator.__name__, text, f"{spot.where}: {before} -> {after}"


@contextlib.contextmanager
def _replaced(place: Place, replacement: Replacement) -> Iterator[None]:
    """Inside the block the tree holds the replacement."""
    before = getattr(place.parent, place.field)
    new = replacement
    if place.index is not None:
        items = replacement if isinstance(replacement, list) else [replacement]
        new = [*before[: place.index], *items, *before[place.index + 1 :]]
    setattr(place.parent, place.field, new)
    try:
        yield
    finally:
        setattr(place.parent, place.field, before)


def _line(statement: ast.stmt) -> str:
    """A statement in one line; of a compound statement only its head, without annotations."""
    if isinstance(statement, ast.FunctionDef):
        names = changed(statement.args)
        for field in ("posonlyargs", "args", "kwonlyargs"):
            plain = [changed(arg, annotation=None) for arg in getattr(names, field)]
            setattr(names, field, plain)
        statement = changed(statement, args=names, returns=None)
    if hasattr(statement, "body"):
        head = changed(statement, body=[ast.Pass()])
        if hasattr(head, "orelse"):
            head.orelse = []
        lines = ast.unparse(head).splitlines()[:-1]
    else:
        lines = ast.unparse(statement).splitlines()
    return " ".join(line.strip() for line in lines if line.strip())


# Finding the places


def _spots(definition: ast.stmt, lines: set[int], scope: Scope) -> Iterator[Spot]:
    """Every place of a definition that may be mutated; `lines` are those the learner writes."""
    if isinstance(definition, ast.FunctionDef):
        yield from _spots_of_function(definition, definition.name, lines, scope)
        return
    for part in definition.body:
        if isinstance(part, ast.FunctionDef):
            where = f"{definition.name}.{part.name}"
            yield from _spots_of_function(part, where, lines, scope)


def _spots_of_function(
    function: ast.FunctionDef, where: str, lines: set[int], scope: Scope
) -> Iterator[Spot]:
    for index, decorator in enumerate(function.decorator_list):
        if decorator.lineno in lines:
            place = Place(decorator, function, "decorator_list", index, scope)
            yield Spot(place, where, function)
    for field in ("defaults", "kw_defaults"):
        for index, default in enumerate(getattr(function.args, field)):
            if default is not None:
                place = Place(default, function.args, field, index, scope)
                yield from _spots_below(place, function, {function: where})
    guards = [i for i, statement in enumerate(function.body) if is_guard(statement)]
    body = [i for i, statement in enumerate(function.body) if statement.lineno in lines]
    mine = sorted({*guards, *body})
    labels = _labels([function.body[i] for i in mine], where)
    called = frozenset(
        parameter.name for parameter in _parameters(function) if _is_called(parameter, function)
    )
    scope = dataclasses.replace(scope, names=_names(function), called=called)
    for index in mine:
        parameters = _parameters(function) if index == min(body, default=None) else ()
        here = dataclasses.replace(scope, parameters=parameters)
        place = Place(function.body[index], function, "body", index, here)
        yield from _spots_below(place, function.body[index], labels)


def _spots_below(place: Place, statement: ast.stmt, labels: dict[ast.stmt, str]) -> Iterator[Spot]:
    """The place itself and all places inside its node."""
    node = place.node
    yield Spot(place, labels[statement], statement)
    scope = dataclasses.replace(place.scope, parameters=())
    if isinstance(node, ast.Raise):
        return
    if isinstance(node, ast.FunctionDef):
        scope = dataclasses.replace(scope, names=scope.names + _names(node))
    for field, value in ast.iter_fields(node):
        if field in UNTOUCHED:
            continue
        in_list = isinstance(value, list)
        for index, child in enumerate(value if in_list else [value]):
            if isinstance(child, ast.AST) and not _is_text(child):
                below = Place(child, node, field, index if in_list else None, scope)
                inner = child if isinstance(child, ast.stmt) else statement
                yield from _spots_below(below, inner, labels)


def _is_text(node: ast.AST) -> bool:
    """Is this a docstring or an f-string?"""
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or isinstance(node, ast.JoinedStr)


def _labels(statements: list[ast.stmt], where: str) -> dict[ast.stmt, str]:
    """Tells statements with the same text apart: "UNet.forward", then "UNet.forward (2)"."""
    labels: dict[ast.stmt, str] = {}
    count: collections.Counter[str] = collections.Counter()
    for top in statements:
        for node in in_order(top):
            if isinstance(node, ast.stmt):
                line = _line(node)
                count[line] += 1
                labels[node] = where if count[line] == 1 else f"{where} ({count[line]})"
    return labels


def in_order(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, as they stand in the text, without docstrings."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not _is_text(child):
            yield from in_order(child)


# Knowing the surroundings


def _scope(definition: ast.stmt, tree: ast.Module) -> Scope:
    nodes = list(in_order(definition))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    return Scope(
        attributes=tuple(
            (ast.unparse(node.value), node.attr)
            for node in nodes
            if isinstance(node, ast.Attribute)
        ),
        strings=tuple(
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ),
        modules=frozenset(
            (alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names
        ),
    )


def _parameters(function: ast.FunctionDef) -> tuple[Parameter, ...]:
    """The parameters, but for self."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + args.defaults
    pairs = [*zip(positional, defaults), *zip(args.kwonlyargs, args.kw_defaults)]
    return tuple(
        Parameter(arg.arg, ast.unparse(arg.annotation) if arg.annotation else "", default)
        for arg, default in pairs
        if arg.arg != "self"
    )


def _is_called(parameter: Parameter, function: ast.FunctionDef) -> bool:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return any(getattr(call.func, "id", "") == parameter.name for call in calls)


def _names(function: ast.FunctionDef) -> tuple[Name, ...]:
    """Parameters and local names, in the order in which they are bound."""
    names = [Name(parameter.name, (0, 0)) for parameter in _parameters(function)]
    for node in _own_nodes(function):
        targets, end = [], None
        if isinstance(node, ast.Assign):
            targets, end = node.targets, (node.end_lineno, node.end_col_offset)
        elif isinstance(node, ast.For):
            targets, end = [node.target], (node.iter.end_lineno, node.iter.end_col_offset)
        stored = [part for target in targets for part in ast.walk(target)]
        names += [Name(part.id, end) for part in stored if isinstance(part, ast.Name)]
    first = {name.text: name for name in reversed(names)}
    return tuple(first[text] for text in dict.fromkeys(name.text for name in names))


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function's body without those of functions inside it."""
    inner = {
        node
        for part in ast.walk(function)
        if isinstance(part, ast.FunctionDef) and part is not function
        for node in ast.walk(part)
    }
    return (
        node for statement in function.body for node in in_order(statement) if node not in inner
    )
