"""Keep torch and Python as they were while strange code runs, and notice what it replaced."""

import builtins
import contextlib
import math
import os
from collections.abc import Iterator
from types import ModuleType
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
    functions = {owner: _public_functions(owner) for owner in WATCHED}
    torch.set_num_threads(THREADS)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        try:
            yield
        finally:
            # The switches first: torch replaces torch.Storage itself when the dtype is set.
            for before, (getter, setter) in zip(switches, SWITCHES):
                if getter() != before:
                    setter(before)
            replaced = _put_back(functions)
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


def watch(*modules: ModuleType) -> None:
    """From now on, notice as well where functions of these modules are replaced."""
    WATCHED.extend(modules)


def _public_functions(owner: Any) -> dict[str, Any]:
    """The functions and classes of a module or class, but for those that are its private ones."""
    return {
        name: value
        for name, value in vars(owner).items()
        if (name[:1] != "_" or name[:2] == "__") and callable(value)
    }


def _put_back(functions: dict[Any, dict[str, Any]]) -> list[str]:
    """Undo replacements of functions; the names of those that were replaced."""
    replaced = []
    for owner, before in functions.items():
        for name in _shadowed(owner, before):
            delattr(owner, name)
            replaced.append(f"{owner.__name__}.{name}")
        for name, value in before.items():
            now = vars(owner).get(name)
            if now is not value and not _is_wrapped_by_torch(now, name):
                setattr(owner, name, value)
                replaced.append(f"{owner.__name__}.{name}")
    return replaced


def _shadowed(owner: Any, before: dict[str, Any]) -> list[str]:
    """New functions of a class that hide those it inherits."""
    if not isinstance(owner, type):
        return []
    inherited = set().union(*(vars(base) for base in owner.__mro__[1:]))
    return [name for name in _public_functions(owner) if name in inherited - before.keys()]


def _is_wrapped_by_torch(value: Any, name: str) -> bool:
    """torch wraps a few of its functions itself when its compiler is first needed."""
    code = getattr(value, "__code__", None)
    return (
        code is not None
        and code.co_filename.startswith(os.path.dirname(torch.__file__))
        and value.__name__ == name
    )
