"""Keep torch and Python as they were while strange code runs, and notice what it replaced."""

import builtins
import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import torch

THREADS = 1  # the checks' tensors are small: more threads would only wait for each other

# What is read and set again around strange code: torch's own functions, whatever it assigns later.
SWITCHES = [
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_num_threads, torch.set_num_threads),
    (partial(torch.is_autocast_enabled, "cpu"), partial(torch.set_autocast_enabled, "cpu")),
]


class Tampered(Exception):
    """The code under test replaced a function of Python's or torch's."""


@contextlib.contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Undo at the end whatever the block does to torch's switches, generator and functions.

    Raises:
        Tampered: at the end of the block, if a function of Python's or torch's was replaced.
    """
    switches = [getter() for getter, _ in SWITCHES]
    before = {owner: owner.__dict__.copy() for owner in WATCHED}
    torch.set_num_threads(THREADS)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        try:
            yield
        finally:
            # The switches first: torch replaces torch.Storage itself when the dtype is set.
            for was, (getter, setter) in zip(switches, SWITCHES):
                if getter() != was:
                    setter(was)
            replaced = _put_back(before) + _other_code()
    if replaced:
        raise Tampered(
            f"the code replaced {replaced[0]}, which is not its own. Give your function another "
            "name, and assign it to nothing of Python's or torch's"
        )


WATCHED = [
    builtins,
    math,
    torch,
    torch.Tensor,
    torch.Generator,
    torch.autograd,
    torch.linalg,
    torch.random,
    torch.nn,
    torch.nn.functional,
    torch.nn.Module,
    torch.nn.init,
    torch.nn.utils,
    torch.optim,
]


OWN_CODE: dict[Any, Any] = {}  # the code of each function of ours, which can be replaced as well


def watch(*modules: ModuleType) -> None:
    """From now on, notice as well where functions of these modules, or their code, are replaced."""
    WATCHED.extend(modules)
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, FunctionType):
                OWN_CODE[value] = f"{module.__name__}.{name}", value.__code__


def _other_code() -> list[str]:
    """Put back the code of our functions; the names of those that had another."""
    replaced = []
    for function, (name, code) in OWN_CODE.items():
        if function.__code__ is not code:
            function.__code__ = code
            replaced.append(name)
    return replaced


def _public_functions(names: Mapping[str, Any]) -> dict[str, Any]:
    """The functions and classes among these names, but for those that are private ones."""
    return {
        name: value
        for name, value in names.items()
        if (name[:1] != "_" or name[:2] == "__") and callable(value)
    }


def _put_back(names: dict[Any, Mapping[str, Any]]) -> list[str]:
    """Undo replacements of functions; the names of those that were replaced.

    Args:
        names: for each module or class the names that it had, with their values.
    """
    replaced = []
    for owner, there in names.items():
        if _is_unchanged(owner, there):  # nearly always, and this is quick
            continue
        before = _public_functions(there)
        for name in _shadowed(owner, before):
            delattr(owner, name)
            replaced.append(f"{owner.__name__}.{name}")
        for name, value in before.items():
            now = vars(owner).get(name)
            if now is not value and not _is_wrapped_by_torch(now, name):
                setattr(owner, name, value)
                replaced.append(f"{owner.__name__}.{name}")
    return replaced


def _is_unchanged(owner: Any, before: Mapping[str, Any]) -> bool:
    now = owner.__dict__
    for name, value in now.items():
        if before.get(name, before) is not value:
            return False
    return now.keys() == before.keys()


def _shadowed(owner: Any, before: dict[str, Any]) -> list[str]:
    """New functions of a class that hide those it inherits."""
    if not isinstance(owner, type):
        return []
    inherited = set().union(*(vars(base) for base in owner.__mro__[1:]))
    return [name for name in _public_functions(vars(owner)) if name in inherited - before.keys()]


def _is_wrapped_by_torch(value: Any, name: str) -> bool:
    """torch wraps a few of its functions itself when its compiler is first needed."""
    code = getattr(value, "__code__", None)
    return (
        code is not None
        and code.co_filename.startswith(os.path.dirname(torch.__file__))
        and value.__name__ == name
    )
