"""Evidence as bytes: what crosses between the grader and the process of the code under test.

The reader of these bytes does not trust them. Tensors go through safetensors and everything else
through JSON, so reading them runs no code.
"""

import json
from typing import Any, BinaryIO

import torch
from safetensors.torch import load, save
from torch import Tensor

# What safetensors keeps. Of a tensor of another kind only the kind crosses, not its values.
KEPT_DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
MAX_NUMBERS = 1_000_000  # in one tensor; the checks' own have at most some ten thousand
MAX_MESSAGE = 16 << 20  # bytes


class Unreadable(ValueError):
    """The bytes were not written by `pack`."""


def pack(value: Any) -> bytes:
    """Plain data (tensors, numbers, strings, lists, tuples, dicts) as bytes.

    Of anything else only the name of its type is kept.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_to_tree(value, tensors))
    tensors["tree"] = torch.frombuffer(bytearray(tree.encode()), dtype=torch.uint8)
    return save(tensors)


def unpack(content: bytes) -> Any:
    """What `pack` was given.

    Raises:
        Unreadable: if it was not `pack` that wrote these bytes.
    """
    try:
        tensors = load(content)
        return _from_tree(json.loads(tensors["tree"].numpy().tobytes()), tensors)
    except Exception as error:  # hostile bytes may fail in any way
        raise Unreadable(f"{type(error).__name__}: {error}") from None


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


def _to_tree(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Nested lists that JSON can hold: a tag and what belongs to it."""
    if isinstance(value, Tensor):
        return _tensor_to_tree(value, tensors)
    if value is None or type(value) in (bool, int, float, str):
        return ["value", value]
    if isinstance(value, dict):
        pairs = [[_to_tree(k, tensors), _to_tree(v, tensors)] for k, v in value.items()]
        return ["dict", pairs]
    for kind in (list, tuple):
        if isinstance(value, kind):
            return [kind.__name__, [_to_tree(part, tensors) for part in value]]
    return ["other", type(value).__name__]


def _tensor_to_tree(value: Tensor, tensors: dict[str, Tensor]) -> Any:
    value = value.detach()
    kind = str(value.dtype).removeprefix("torch.")
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if not plain or value.dtype not in KEPT_DTYPES or value.numel() > MAX_NUMBERS:
        return ["odd tensor", [kind, list(value.shape)]]
    name = str(len(tensors))
    # A copy of its own, for safetensors refuses tensors that share memory.
    tensors[name] = value.contiguous().clone()
    return ["tensor", name]


class Other:
    """Stands for an object of a type that does not cross."""


def _from_tree(tree: Any, tensors: dict[str, Tensor]) -> Any:
    tag, content = tree
    if tag == "tensor":
        return tensors[content]
    if tag == "value":
        return content
    if tag == "dict":
        return {_from_tree(k, tensors): _from_tree(v, tensors) for k, v in content}
    if tag == "list":
        return [_from_tree(part, tensors) for part in content]
    if tag == "tuple":
        return tuple(_from_tree(part, tensors) for part in content)
    if tag == "odd tensor":
        # On the meta device a tensor has a shape and a dtype and takes no memory.
        kind, shape = content
        return torch.empty(shape, dtype=getattr(torch, kind), device="meta")
    if tag == "other":
        return type(str(content)[:80], (Other,), {})()  # so that a message can name the type
    raise Unreadable(f"unknown tag {tag!r}")
