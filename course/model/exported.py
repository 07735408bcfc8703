"""A network as an ONNX file, which ONNX Runtime computes: the same pictures in less time.

PyTorch is what the course teaches and trains with. ONNX is a form in which other programs can read
a network: the steps of its computation, and the weights. ONNX Runtime is such a program. It plans
the whole computation ahead, and there is one for browsers.
"""

import hashlib
import importlib.util
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from course import CourseError
from course.files import replacing
from course.model.models import (
    ALL_SHIPPED,
    Implementation,
    ModelConfig,
    load_model,
    outputs,
    read_config,
)

TOLERANCE = 1e-4  # beside outputs of size 1; rounding alone makes a difference of about 2e-6


def onnx_file(model_file: Path) -> Path:
    """Where a model's exported form lies: beside it."""
    return model_file.with_suffix(".onnx")


class Exported(nn.Module):
    """A network in an ONNX file, to be called like the network that it was exported from.

    It has no gradients, and computes on the CPU with as many threads as PyTorch.

    Args:
        path: a file that `export` wrote.
        pad: the token that fills up captions, if the network reads captions.

    Attributes:
        exported_from: the hash of the model's file.

    Raises:
        CourseError: if ONNX Runtime is not installed, or cannot read the file.
    """

    def __init__(self, path: Path, pad: int = 0):
        super().__init__()
        _require("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait sleep, as PyTorch's do here (course/__init__.py).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            self.exported_from = self.session.get_modelmeta().custom_metadata_map["exported_from"]
        except Exception as error:  # ONNX Runtime's kinds have nothing else in common
            raise CourseError(
                f"{path} is not a network that this course exported ({type(error).__name__}); "
                "export it anew with: course export-model RUN --onnx"
            ) from None
        self.names = [given.name for given in self.session.get_inputs()]
        self.pad = pad

    def forward(self, x: Tensor, t: Tensor, asked: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), t (B,), labels (B,) or tokens and mask (B, L) each -> (B, C, H, W)."""
        given = [x, t, asked]
        if "mask" in self.names:
            given.append((asked != self.pad if mask is None else mask).float())
        arrays = [tensor.detach().contiguous().numpy() for tensor in given]
        (prediction,) = self.session.run(None, dict(zip(self.names, arrays)))
        return torch.from_numpy(prediction)


def load_exported(model_file: Path, impl: Implementation) -> tuple[Exported, ModelConfig]:
    """A model's exported form, to be used in the place of `load_model`.

    Raises:
        CourseError: if there is none, if it was exported from another model, or if ONNX Runtime is
            not installed; and for the model's own file as `load_model` does.
    """
    config, path = read_config(model_file), onnx_file(model_file)
    if not path.is_file():
        raise CourseError(f"there is no {path}; make it with: {_command(model_file)}")
    exported = Exported(path, _pad(impl, config))
    if exported.exported_from != _hash(model_file):
        raise CourseError(
            f"{path} was exported from another model than {model_file.name} is now; export it anew "
            f"with: {_command(model_file)}"
        )
    return exported, config


def export(model_file: Path, impl: Implementation) -> tuple[Path, float]:
    """Write a model's exported form beside it, and compare the two.

    Args:
        impl: the code that the model was trained with.

    Returns:
        the file, and by how much its output differs from PyTorch's for fixed inputs, at most.

    Raises:
        CourseError: if a package is missing, if PyTorch cannot export the network, or if the output
            differs by more than TOLERANCE; and as for `load_model`.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    model, config = load_model(model_file, impl)
    if config.latent:
        raise CourseError(
            f"{model_file} works on latents, and its autoencoder makes the pictures; what can be "
            "exported is a network that works on pixels or on patches"
        )
    names = ["x", "t", "labels"] if config.text is None else ["x", "t", "tokens", "mask"]
    batch = torch.export.Dim("batch")  # may be of any size
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                model,
                _example(config),
                dynamo=True,
                dynamic_shapes=tuple({0: batch} for _ in names),
                input_names=names,
                output_names=["prediction"],
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise CourseError(f"PyTorch cannot export the network in {model_file} ({why})") from None
    for node in program.model.graph:
        node.metadata_props.clear()  # where in the code it comes from, with this machine's paths
    program.model.metadata_props["exported_from"] = _hash(model_file)
    path = onnx_file(model_file)
    with replacing(path) as unfinished:
        program.save(unfinished)
        _halve(unfinished)
        exact = outputs(model, config)
        change = float(
            (outputs(Exported(unfinished, _pad(impl, config)), config) - exact).abs().max()
        )
        if not change <= TOLERANCE:
            raise CourseError(
                f"the exported form of {model_file} gives outputs that differ from PyTorch's by "
                f"{change:.1e}, and {TOLERANCE:g} is allowed; nothing was written"
            )
    return path, change


def _halve(path: Path) -> None:
    """Keep in half precision each matrix that it holds exactly, as those of what ships.

    A Cast gives it back in single, so the network computes the same, and the file is half as long.
    """
    import onnx

    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        exact = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):  # what becomes infinite is not held exactly
            half = exact.astype("float16")
        if exact.dtype != "float32" or exact.ndim < 2 or (half != exact).any():
            continue
        name, kept = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, kept))
        casts.append(onnx.helper.make_node("Cast", [kept], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def _example(config: ModelConfig) -> tuple[Tensor, ...]:
    """Inputs of the network, of which only the shapes and types matter."""
    x, t = torch.zeros(2, *config.network_shape), torch.zeros(2, dtype=torch.int64)
    if config.text is None:
        return x, t, torch.zeros_like(t)
    tokens = torch.zeros(2, config.text.length, dtype=torch.int64)
    return x, t, tokens, torch.ones(tokens.shape)


def _pad(impl: Implementation, config: ModelConfig) -> int:
    return impl.chapter("ch09_prompts").PAD if config.text else 0


def _hash(model_file: Path) -> str:
    return hashlib.sha256(model_file.read_bytes()).hexdigest()


def _command(model_file: Path) -> str:
    shipped = model_file in ALL_SHIPPED
    return f"course export-model {'' if shipped else f'{model_file.parents[1].name} '}--onnx"


def _require(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise CourseError(
            f"this needs {' and '.join(missing)}, not installed here; get all that --onnx needs "
            'with: pip install -e ".[onnx]"'
        )
