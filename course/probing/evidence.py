"""Evidence as bytes: what crosses between the grader and the process of the code under test.

The reader of these bytes does not trust them. Tensors go through safetensors and everything else
through JSON, so reading them runs no code; and what is read has bounds, far above what the checks
need, so that reading takes little time and memory.
"""

import json
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from safetensors.torch import load, save
from torch import Tensor

from course.probing import text

# What safetensors keeps. Of a tensor of another kind only the kind crosses, not its values.
KEPT_DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
MAX_NUMBERS = 500_000  # in one tensor; the checks' own have at most some ten thousand
MAX_PARTS = (
    50_000  # tensors, numbers, lists and so on in all; the checks' own have about a thousand
)
MAX_TREE = 2 << 20  # bytes of everything but the tensors; the checks' own take some 20,000
MAX_MESSAGE = 8 << 20  # bytes
MAX_NAME = 80  # characters of a type's name
LARGEST = 2**63  # whole numbers beyond are not kept: to compare them could take hours

# What the worker says beside the messages of the probes.
READY, DONE = b"ready", b"done"
REST, PROBLEM = "rest", "problem"  # labels in place of a check's number


class TooMuch(ValueError):
    """The value has more parts than are kept."""


class Unreadable(ValueError):
    """The bytes were not written by `pack`."""


def pack(value: Any, bounded: bool = True) -> bytes:
    """Plain data (tensors, numbers, strings, lists, tuples, dicts) as bytes.

    Of anything else only the name of its type is kept.

    Args:
        value: what is packed.
        bounded: refuse what is larger than evidence may be. The grader's own data is not bounded,
            and its tensors keep their layout in memory, too.

    Raises:
        TooMuch: if the value is larger than what `unpack` reads.
    """
    packer = _Packer(bounded)
    tree = json.dumps(packer.tree(value)).encode()
    packer.tensors["tree"] = torch.frombuffer(bytearray(tree), dtype=torch.uint8)
    content = save(packer.tensors)
    if bounded and (len(tree) > MAX_TREE or len(content) >= MAX_MESSAGE):
        raise TooMuch(f"a result of {len(content):,} bytes, too large to keep")
    return content


def unpack(content: bytes, bounded: bool = True) -> Any:
    """What `pack` was given, with the same `bounded`.

    Raises:
        Unreadable: if it was not `pack` that wrote these bytes.
    """
    if bounded and len(content) > MAX_MESSAGE:
        raise Unreadable("too long")
    try:
        tensors = load(content)
        tree = tensors.pop("tree").numpy().tobytes()
        kept = all(v.dtype in KEPT_DTYPES and v.numel() <= MAX_NUMBERS for v in tensors.values())
        if bounded and (len(tree) > MAX_TREE or not kept):
            raise TooMuch("more than `pack` writes")
        return _Reader(tensors, bounded).value(json.loads(tree, parse_int=_small_int))
    except Exception as error:  # hostile bytes may fail in any way
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def _small_int(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number of so many digits is not kept")
    return int(digits)


def write_message(file: BinaryIO, content: bytes) -> None:
    """Write bytes with their length in front."""
    file.write(len(content).to_bytes(8) + content)
    file.flush()


def read_message(file: BinaryIO) -> bytes | None:
    """What `write_message` wrote; None at the end of the file, or where it is cut or damaged."""
    length = int.from_bytes(_read_exactly(file, 8) or MAX_MESSAGE.to_bytes(8))
    return _read_exactly(file, length) if length < MAX_MESSAGE else None


def _read_exactly(file: BinaryIO, length: int) -> bytes | None:
    content = bytearray()
    while len(content) < length:
        part = file.read(length - len(content))
        if not part:
            return None
        content += part
    return bytes(content)


@dataclass(frozen=True)
class Other:
    """Stands for an object of a type that does not cross."""

    name: str  # of the type

    def __repr__(self) -> str:
        return f"<{self.name}>"


def type_name(value: Any) -> str:
    """The name of a value's type, for a message; of what did not cross, the name that it had."""
    return value.name if isinstance(value, Other) else text.type_name(value)


class _Packer:
    """Turns a value into nested lists that JSON can hold: a tag and what belongs to it."""

    def __init__(self, bounded: bool):
        self.tensors: dict[str, Tensor] = {}
        self.bounded, self.parts = bounded, 0

    def tree(self, value: Any) -> Any:
        self.parts += 1
        if self.bounded and self.parts > MAX_PARTS:
            raise TooMuch(f"a result of more than {MAX_PARTS:,} parts, too large to keep")
        if isinstance(value, Tensor):
            return self._tensor(value)
        if type(value) is int and abs(value) >= LARGEST:
            return ["other", "very large int"]
        if value is None or type(value) in (bool, int, float, str):
            return ["value", value]
        if isinstance(value, dict):
            return ["dict", [[self.tree(k), self.tree(v)] for k, v in value.items()]]
        for kind in (list, tuple):
            if isinstance(value, kind):
                return [kind.__name__, [self.tree(part) for part in value]]
        return ["other", text.type_name(value)]

    def _tensor(self, value: Tensor) -> Any:
        value = value.detach()
        kind = str(value.dtype).removeprefix("torch.")
        plain = value.layout == torch.strided and value.device.type == "cpu"
        too_large = self.bounded and value.numel() > MAX_NUMBERS
        if not plain or value.dtype not in KEPT_DTYPES or too_large:
            return ["odd tensor", [kind, list(value.shape)]]
        name = str(len(self.tensors))
        # A copy of its own, for safetensors refuses tensors that share memory.
        if self.bounded or value.is_contiguous():
            self.tensors[name] = value.contiguous().clone()
            return ["tensor", name]
        shape, strides = list(value.shape), list(value.stride())
        spanned = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))
        self.tensors[name] = value.as_strided((spanned,), (1,)).clone()
        return ["laid out", [name, shape, strides]]


class _Reader:
    """Turns the nested lists back; it takes nothing for granted."""

    def __init__(self, tensors: dict[str, Tensor], bounded: bool):
        self.tensors, self.bounded, self.parts = tensors, bounded, 0

    def value(self, tree: Any) -> Any:
        self.parts += 1
        if self.bounded and self.parts > MAX_PARTS:
            raise TooMuch("more parts than `pack` writes")
        tag, content = tree
        if tag == "tensor":
            return self.tensors[content]
        if tag == "laid out" and not self.bounded:
            name, shape, strides = content
            return self.tensors[name].as_strided(shape, strides)
        if tag == "value" and (content is None or type(content) in (bool, int, float, str)):
            return content
        if tag == "dict":
            return {self.value(k): self.value(v) for k, v in content}
        if tag == "list":
            return [self.value(part) for part in content]
        if tag == "tuple":
            return tuple(self.value(part) for part in content)
        if tag == "odd tensor":
            # On the meta device a tensor has a shape and a dtype and takes no memory.
            kind, shape = content
            return torch.empty(shape, dtype=getattr(torch, kind), device="meta")
        if tag == "other" and isinstance(content, str):
            return Other(content[:MAX_NAME])
        raise Unreadable(f"unknown tag {tag!r}")
