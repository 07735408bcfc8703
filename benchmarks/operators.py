"""The rules by which benchmarks.mutator turns right code into wrong code.

An operator is a function that gets a Place and yields what could stand there instead: a node or,
where the place is an item of a list (a statement, an argument, a decorator), a list of nodes. It
never changes the place's own node.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Replacement = ast.AST | list[ast.AST]


@dataclass(frozen=True)
class Name:
    """A parameter or local name of a function, and where it is first bound."""

    text: str
    bound_at: tuple[int, int]  # line and column; (0, 0) for a parameter


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function, but for self."""

    name: str
    kind: str  # its annotation as text, such as "Tensor"
    default: ast.expr | None


@dataclass(frozen=True)
class Scope:
    """What an operator may use at a place."""

    names: tuple[Name, ...] = ()  # of the enclosing functions, parameters first
    attributes: tuple[tuple[str, str], ...] = ()  # (owner, attribute) pairs of the definition
    strings: tuple[str, ...] = ()  # of the definition
    modules: frozenset[str] = frozenset()  # names that the file imports
    parameters: tuple["Parameter", ...] = ()  # at a body's first statement
    called: frozenset[str] = frozenset()  # parameters that the function calls


@dataclass(frozen=True)
class Place:
    """A node, where it hangs in the tree, and what is known there."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None  # in the parent's field, if that is a list
    scope: Scope

    def is_item_of(self, *fields: tuple[type, str]) -> bool:
        return any(isinstance(self.parent, kind) and self.field == field for kind, field in fields)


Operator = Callable[[Place], Iterator[Replacement]]


# Arithmetic and comparisons

ARITHMETIC = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv, ast.Mult),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
OPPOSITES = {ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}


def arithmetic(place: Place) -> Iterator[Replacement]:
    """a + b -> a - b; a += b -> a -= b and a = b."""
    if isinstance(place.node, ast.BinOp | ast.AugAssign):
        for other in ARITHMETIC.get(type(place.node.op), ()):
            yield changed(place.node, op=other())
    if isinstance(place.node, ast.AugAssign):
        yield ast.Assign([place.node.target], place.node.value, lineno=place.node.lineno)


def one_operand(place: Place) -> Iterator[Replacement]:
    """a + b -> a, and b; -a -> a; a and b -> a, and b."""
    if isinstance(place.node, ast.BinOp):
        yield from (place.node.left, place.node.right)
    if isinstance(place.node, ast.UnaryOp):
        yield place.node.operand
    if isinstance(place.node, ast.BoolOp):
        yield from place.node.values


def swapped_operands(place: Place) -> Iterator[Replacement]:
    """a - b -> b - a, where the order matters."""
    ordered = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
    if isinstance(place.node, ast.BinOp) and isinstance(place.node.op, ordered):
        yield changed(place.node, left=place.node.right, right=place.node.left)


def comparison(place: Place) -> Iterator[Replacement]:
    """a < b -> a <= b, a > b, ...; a in b -> a not in b; a and b -> a or b."""
    if isinstance(place.node, ast.BoolOp):
        yield changed(place.node, op=ast.Or() if isinstance(place.node.op, ast.And) else ast.And())
    if not isinstance(place.node, ast.Compare):
        return
    for i, old in enumerate(place.node.ops):
        others = COMPARISONS if isinstance(old, COMPARISONS) else (OPPOSITES[type(old)],)
        for other in others:
            ops = [*place.node.ops[:i], other(), *place.node.ops[i + 1 :]]
            yield changed(place.node, ops=ops)


def condition(place: Place) -> Iterator[Replacement]:
    """if a: -> if not a:, if True:, if False:."""
    if place.field == "test":
        yield from (ast.Constant(True), ast.Constant(False))
        if not isinstance(place.node, ast.Compare):  # whose negation is another comparison
            yield ast.UnaryOp(ast.Not(), place.node)


def one_branch(place: Place) -> Iterator[Replacement]:
    """a if c else b -> a, and b; the same for statements."""
    if isinstance(place.node, ast.IfExp):
        yield from (place.node.body, place.node.orelse)
    if isinstance(place.node, ast.If):
        yield from (place.node.body, place.node.orelse or [ast.Pass()])


# Constants

STRING_OPTIONS = {"nearest": ("bilinear", "nearest-exact"), "cpu": ("meta",)}


def constant(place: Place) -> Iterator[Replacement]:
    """Numbers one more and one less, 0, negated, doubled, 1 % off; True and False swapped."""
    value = getattr(place.node, "value", None) if isinstance(place.node, ast.Constant) else None
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        for other in (value + 1, value - 1, 0, -value, 2 * value):
            yield number(other)
    elif isinstance(value, float):
        for other in (value + 1, 0.0, -value, 2 * value, 1.01 * value):
            yield number(float(f"{other:.6g}"))


def string(place: Place) -> Iterator[Replacement]:
    """A string replaced by other options, and by the nearest other strings of the definition."""
    if not isinstance(place.node, ast.Constant) or not isinstance(place.node.value, str):
        return
    for other in STRING_OPTIONS.get(place.node.value, ()):
        yield ast.Constant(other)
    for other in nearest(place.node.value, place.scope.strings):
        yield ast.Constant(other)


# Statements


def dropped_statement(place: Place) -> Iterator[Replacement]:
    if isinstance(place.node, ast.stmt):
        yield [ast.Pass()]


def ignored_argument(place: Place) -> Iterator[Replacement]:
    """The body begins with p = p * 0 or p = its default."""
    for parameter in place.scope.parameters:
        zero = ast.BinOp(ast.Name(parameter.name), ast.Mult(), ast.Constant(0))
        for value in (zero, parameter.default):
            if value is not None:
                yield [assignment(parameter.name, value), place.node]


def loop_ends(place: Place) -> Iterator[Replacement]:
    """for a in b -> for a in list(b)[1:], and list(b)[:-1]."""
    if not place.is_item_of((ast.For, "iter")):
        return
    items = ast.Call(ast.Name("list"), [place.node], [])
    yield ast.Subscript(items, ast.Slice(lower=number(1)))
    yield ast.Subscript(items, ast.Slice(upper=number(-1)))


def returned_part(place: Place) -> Iterator[Replacement]:
    """return a, b -> return a, and return b."""
    if isinstance(place.parent, ast.Return) and isinstance(place.node, ast.Tuple):
        yield from place.node.elts


def dropped_decorator(place: Place) -> Iterator[Replacement]:
    if place.field == "decorator_list":
        yield []


# Calls and sequences

SEQUENCES = ((ast.Call, "args"), (ast.Call, "keywords"), (ast.Tuple, "elts"), (ast.List, "elts"))
ALTERNATIVES = {"min", "max", "where"}  # whose every argument could be the result


def dropped_item(place: Place) -> Iterator[Replacement]:
    """f(a, b=c) -> f(b=c), and f(a); [a, b] -> [a], and [b]; an entry of a dict dropped."""
    if place.is_item_of(*SEQUENCES) and not is_stored(place.parent):
        yield []
    if isinstance(place.node, ast.Dict):
        for i in range(len(place.node.keys)):
            keys, values = list(place.node.keys), list(place.node.values)
            del keys[i], values[i]
            yield ast.Dict(keys, values)


def swapped_neighbours(place: Place) -> Iterator[Replacement]:
    """f(a, b) -> f(b, a); f(x=a, y=b) -> f(x=b, y=a); the same in tuples, lists and dicts."""
    node = place.node
    if isinstance(node, ast.Call):
        for args in swaps(node.args):
            yield changed(node, args=args)
        for values in swaps([keyword.value for keyword in node.keywords]):
            keywords = [changed(k, value=v) for k, v in zip(node.keywords, values)]
            yield changed(node, keywords=keywords)
    if isinstance(node, ast.Tuple | ast.List):
        for elts in swaps(node.elts):
            yield changed(node, elts=elts)
    if isinstance(node, ast.Dict):
        for values in swaps(node.values):
            yield ast.Dict(node.keys, values)


def dropped_call(place: Place) -> Iterator[Replacement]:
    """x.f(...) -> x; f(x, ...) -> x; min(a, b) -> a, and b; x[...] -> x."""
    node = place.node
    if isinstance(node, ast.Subscript) and not is_stored(node):
        yield node.value
    if not isinstance(node, ast.Call) or isinstance(place.parent, ast.Expr):
        return
    receiver = getattr(node.func, "value", None)
    if receiver is not None and root(receiver) not in place.scope.modules:
        if ast.unparse(receiver) not in ("self", "super()"):
            yield receiver
            return
    args = [arg for arg in node.args if not isinstance(arg, ast.Starred)]
    function = getattr(node.func, "attr", getattr(node.func, "id", ""))
    yield from args if function in ALTERNATIVES else args[:1]


def other_end(place: Place) -> Iterator[Replacement]:
    """x.pop() -> x.pop(0); enumerate(x) -> enumerate(x, 1); range(n) -> range(1, n)."""
    if not isinstance(place.node, ast.Call):
        return
    match place.node:
        case ast.Call(func=ast.Attribute(attr="pop"), args=[]):
            yield changed(place.node, args=[number(0)])
        case ast.Call(func=ast.Name(id="enumerate"), args=[items]):
            yield changed(place.node, args=[items, number(1)])
        case ast.Call(func=ast.Name(id="range"), args=[end]):
            yield changed(place.node, args=[number(1), end])


BOUNDED = {"range", "arange", "randint", "linspace"}


def bound(place: Place) -> Iterator[Replacement]:
    """Bounds of slices and of range: one more, one less, left out, or put in."""
    node = place.node
    if isinstance(node, ast.Slice):
        yield from (changed(node, lower=None), changed(node, upper=None))
        yield changed(node, lower=one_off(node.lower, +1) if node.lower else number(1))
        yield changed(node, upper=one_off(node.upper, -1) if node.upper else number(-1))
        if node.lower:
            yield changed(node, lower=one_off(node.lower, -1))
        if node.upper:
            yield changed(node, upper=one_off(node.upper, +1))
    if isinstance(node, ast.Call):
        function = getattr(node.func, "attr", getattr(node.func, "id", ""))
        for i, arg in enumerate(node.args if function in BOUNDED else ()):
            if not isinstance(arg, ast.Constant | ast.Tuple):
                for step in (+1, -1):
                    args = [*node.args[:i], one_off(arg, step), *node.args[i + 1 :]]
                    yield changed(node, args=args)


# In place

IN_PLACE = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}
IN_PLACE_CALLS = {"sqrt", "clamp", "log", "exp", "sin", "cos", "round"}


def in_place(place: Place) -> Iterator[Replacement]:
    """a * b -> a.mul_(b), and b.mul_(a); x.sqrt() -> x.sqrt_(); silu(x) -> silu(x, inplace=True).

    Only where the tensor that changes has a name: on an intermediate result it is no mistake.
    """
    node = place.node
    if isinstance(node, ast.BinOp) and type(node.op) in IN_PLACE:
        method, commutes = IN_PLACE[type(node.op)], isinstance(node.op, ast.Add | ast.Mult)
        if isinstance(node.left, ast.Name):
            yield ast.Call(ast.Attribute(node.left, method), [node.right], [])
        if isinstance(node.right, ast.Name) and commutes:
            yield ast.Call(ast.Attribute(node.right, method), [node.left], [])
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    of_module = root(node.func.value) in place.scope.modules
    operands = node.args[:1] if of_module else [node.func.value]
    if all(isinstance(operand, ast.Name) for operand in operands):
        if node.func.attr in IN_PLACE_CALLS:
            yield changed(node, func=changed(node.func, attr=f"{node.func.attr}_"))
        if node.func.attr == "silu":
            yield changed(node, keywords=[ast.keyword("inplace", ast.Constant(True))])


# Names

COUNTERPARTS = {
    "sin": ("cos",),
    "cos": ("sin",),
    "mean": ("sum", "median"),
    "sum": ("mean",),
    "cumprod": ("cumsum",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "new_ones": ("new_zeros",),
    "new_zeros": ("new_ones",),
    "rand": ("randn",),
    "randn": ("rand",),
    "min": ("max",),
    "max": ("min",),
    "log": ("log2", "log10", "log1p"),
    "exp": ("exp2", "expm1"),
    "sqrt": ("square",),
    "linspace": ("logspace",),
    "round": ("floor", "ceil"),
    "floor": ("ceil", "round"),
    "ceil": ("floor", "round"),
    "long": ("int", "float"),
    "double": ("float",),
    "float": ("double", "half"),
    "float64": ("float32", "float16"),
    "float32": ("float64", "float16"),
    "int64": ("int32", "float32"),
    "int32": ("int64",),
    "silu": ("relu", "gelu", "sigmoid", "tanh"),
    "softmax": ("log_softmax", "sigmoid"),
    "cat": ("stack", "hstack"),
    "train": ("eval",),
    "eval": ("train",),
    "parameters": ("buffers",),
    "buffers": ("parameters",),
    "deepcopy": ("copy",),
    "append": ("extend",),
    "mul_": ("mul", "div_"),
    "add_": ("add", "sub_"),
    "copy_": ("add_",),
    "chunk": ("split",),
    "item": ("detach",),
    "clip_grad_norm_": ("clip_grad_value_",),
}


def counterpart(place: Place) -> Iterator[Replacement]:
    """sin -> cos, mean -> sum, float64 -> float32, and others of the table above."""
    if isinstance(place.node, ast.Attribute):
        for other in COUNTERPARTS.get(place.node.attr, ()):
            yield changed(place.node, attr=other)
    if isinstance(place.node, ast.Name) and not is_stored(place.node):
        for other in COUNTERPARTS.get(place.node.id, ()):
            yield ast.Name(other)


def other_name(place: Place) -> Iterator[Replacement]:
    """A use of a parameter or local name -> the nearest others that are bound there."""
    node = place.node
    if not isinstance(node, ast.Name) or is_stored(node):
        return
    here = (node.lineno, node.col_offset)
    bound = [name.text for name in place.scope.names if name.bound_at < here]
    for other in nearest(node.id, bound):
        yield ast.Name(other)


def other_attribute(place: Place) -> Iterator[Replacement]:
    """self.x -> self.y, for the nearest other attributes of the same owner in the definition."""
    node = place.node
    if not isinstance(node, ast.Attribute) or is_stored(node):
        return
    owner = ast.unparse(node.value)
    if root(node.value) not in place.scope.modules:
        attributes = [name for of, name in place.scope.attributes if of == owner]
        for other in nearest(node.attr, attributes):
            yield changed(node, attr=other)


# What a docstring promises


def other_error(place: Place) -> Iterator[Replacement]:
    """raise ValueError(...) -> raise RuntimeError(...)."""
    if isinstance(place.node, ast.Raise) and isinstance(place.node.exc, ast.Call):
        yield changed(place.node, exc=changed(place.node.exc, func=ast.Name("RuntimeError")))


NARROWER = {"Tensor": ("{}.float()", "{}.view(-1).view({}.shape)"), "float": ("round({}, 2)",)}


def narrowed_input(place: Place) -> Iterator[Replacement]:
    """The body begins with x = x.float(), or x = x.view(-1).view(x.shape), or p = round(p, 2)."""
    for parameter in place.scope.parameters:
        for text in NARROWER.get(parameter.kind, ()):
            value = parsed(text.replace("{}", parameter.name))
            yield [assignment(parameter.name, value), place.node]


def switched_mode(place: Place) -> Iterator[Replacement]:
    """The body begins with model.eval(), or with model.train()."""
    for parameter in place.scope.parameters:
        if parameter.kind == "nn.Module":
            for method in ("eval", "train"):
                yield [ast.Expr(parsed(f"{parameter.name}.{method}()")), place.node]


def small_values(place: Place) -> Iterator[Replacement]:
    """return x -> return x.clamp(min=1e-5), and x rounded to a thousandth."""
    if is_result(place):
        yield ast.Call(ast.Attribute(place.node, "clamp"), [], [keyword("min", 1e-5)])
        yield ast.Call(ast.Attribute(place.node, "round"), [], [keyword("decimals", 3)])


DRAWS = {"rand", "randn", "randint", "rand_like", "randn_like", "bernoulli", "randperm"}


def shared_draw(place: Place) -> Iterator[Replacement]:
    """torch.randn(...) -> sorted, one for the whole batch, one for each row."""
    node = place.node
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in DRAWS:
        text = ast.unparse(node)
        yield parsed(f"{text}.sort(dim=0).values")
        yield parsed(f"(lambda draw: draw[:1].expand_as(draw).clone())({text})")
        yield parsed(f"(lambda draw: draw[..., :1].expand_as(draw).clone())({text})")


def other_type(place: Place) -> Iterator[Replacement]:
    """return x -> return x.double(), x.half(), x.tolist()."""
    if is_result(place):
        for method in ("double", "half", "tolist"):
            yield ast.Call(ast.Attribute(place.node, method), [], [])


def handed_on(place: Place) -> Iterator[Replacement]:
    """model(x, t) -> model(x, t.float()), and others, where model is a parameter."""
    call, node = place.parent, place.node
    if not place.is_item_of((ast.Call, "args"), (ast.Call, "keywords")):
        return
    if getattr(call.func, "id", "") in place.scope.called:
        by_name = isinstance(node, ast.keyword)
        for method in ("double", "int"):
            new = ast.Call(ast.Attribute(node.value if by_name else node, method), [], [])
            yield [changed(node, value=new) if by_name else new]


def twice_the_same(place: Place) -> Iterator[Replacement]:
    """self.b = Layer(...) -> self.b = self.a, for the attribute that was assigned before it."""
    node = place.node
    if place.index and is_own_attribute(node) and isinstance(node.value, ast.Call):
        before = getattr(place.parent, place.field)[: place.index]
        for earlier in [one for one in before if is_own_attribute(one)][-1:]:
            yield [changed(node, value=parsed(ast.unparse(earlier.targets[0])))]


def not_kept(place: Place) -> Iterator[Replacement]:
    """self.register_buffer(...) -> with persistent=False."""
    node = place.node
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "register_buffer":
        yield changed(node, keywords=[*node.keywords, keyword("persistent", False)])


OPERATORS: tuple[Operator, ...] = (
    arithmetic,
    one_operand,
    swapped_operands,
    comparison,
    condition,
    one_branch,
    constant,
    string,
    dropped_statement,
    ignored_argument,
    loop_ends,
    returned_part,
    dropped_decorator,
    dropped_item,
    swapped_neighbours,
    dropped_call,
    other_end,
    bound,
    in_place,
    counterpart,
    other_name,
    other_attribute,
    other_error,
    narrowed_input,
    switched_mode,
    small_values,
    shared_draw,
    other_type,
    handed_on,
    twice_the_same,
    not_kept,
)


# Helpers


def changed(node: ast.AST, **fields) -> ast.AST:
    """A copy of the node with other values in some fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def number(value: int | float) -> ast.expr:
    """The number as it is parsed: a minus is an operator of its own."""
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def assignment(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name)], value, lineno=0)


def keyword(name: str, value) -> ast.keyword:
    return ast.keyword(name, ast.Constant(value))


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def is_result(place: Place) -> bool:
    """Is this what a function returns, and not several things?"""
    several = isinstance(place.node, ast.Tuple | ast.Constant)
    return isinstance(place.parent, ast.Return) and not several


def is_own_attribute(node: ast.AST) -> bool:
    """Is this self.x = ...?"""
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"


def one_off(node: ast.expr, step: int) -> ast.expr:
    """node + 1 or node - 1."""
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(1))


def swaps(items: list) -> Iterator[list]:
    """The list with each pair of neighbours swapped in turn."""
    for i in range(len(items) - 1):
        yield [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


def nearest(text: str, among, at_most: int = 3) -> list[str]:
    """The others that stand nearest to `text` in a sequence that holds it."""
    order = list(dict.fromkeys(among))
    if text not in order:
        return []
    here = order.index(text)
    others = [other for other in order if other != text]
    return sorted(others, key=lambda other: abs(order.index(other) - here))[:at_most]


def root(node: ast.expr) -> str:
    """The name at the left end of a.b.c, or "" if something else stands there."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", "")


def is_stored(node: ast.AST) -> bool:
    """Is this the target of an assignment?"""
    return isinstance(getattr(node, "ctx", None), ast.Store)
