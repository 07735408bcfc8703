"""Weights in a safetensors file: written with their hash, and checked when they are read."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from course import CourseError
from course.files import replacing


def tensor_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def to_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in half precision, the rest (biases, scales, counters) as it is."""
    return {
        name: value.half() if value.is_floating_point() and value.dim() > 1 else value
        for name, value in weights.items()
    }


def write_weights(path: Path, model: nn.Module, metadata: dict[str, str], half: bool) -> None:
    """Write a network's weights and, as metadata, `metadata` and the hash of what is written.

    Args:
        half: matrices and kernels in half precision, in half the space.
    """
    # Copies, for safetensors takes neither tensors that share their memory nor those with gaps.
    weights = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    weights = to_half(weights) if half else weights
    with replacing(path) as unfinished:
        try:
            save_file(weights, unfinished, metadata={**metadata, "sha256": tensor_hash(weights)})
        except SafetensorError as error:
            raise CourseError(f"{path} cannot be written: {error}") from None


def read_weights(path: Path, needed: tuple[str, ...]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file that `write_weights` wrote.

    The hash is compared if the file has one. It guards against damage, not against malice: who
    can alter the weights can alter the hash.

    Args:
        needed: the metadata without which the file is not one of this course's.

    Returns:
        the weights as they were written, and the metadata.

    Raises:
        CourseError: if the file is cut short or damaged, was written by something else, or its
            weights are not those it was written with.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise CourseError(
            f"{path} ({path.stat().st_size:,} bytes) is no whole safetensors file ({error}): it is "
            "damaged, was cut short, or is something else; get it again"
        ) from None
    if missing := [key for key in needed if key not in metadata]:
        raise CourseError(
            f"{path} was not written by this course: its metadata should hold "
            f"{' and '.join(needed)}, and {' and '.join(missing)} is missing; give a file that "
            "was, or get it again"
        )
    found = tensor_hash(weights)
    if found != metadata.get("sha256", found):
        raise CourseError(
            f"the weights in {path} are not those it was written with (their hash begins with "
            f"{found[:8]}, expected is {metadata['sha256'][:8]}): the file is damaged or was "
            "altered; get it again"
        )
    return weights, metadata


def fill(model: nn.Module, weights: dict[str, Tensor], doubt: str, remedy: str) -> None:
    """Put weights into a network, in its own precision, if names and shapes are the network's.

    Raises:
        CourseError: if they are not; it says `doubt`, what differs first, and `remedy`.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()[:200]
        raise CourseError(f"{doubt}: {first} {remedy}") from None
