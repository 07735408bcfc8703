"""The exported network gives PyTorch's pictures, and belongs to the model that it lies beside."""

import importlib.util
from dataclasses import replace

import pytest
import torch

from course import CourseError
from course.cli import main
from course.model import exported
from course.model.evaluation import Evaluation
from course.model.exported import Exported, export, load_exported, onnx_file
from course.model.models import (
    ALL_SHIPPED,
    SHIPPED,
    SHIPPED_FEW,
    SHIPPED_PROMPTS,
    ModelConfig,
    TextConfig,
    build_model,
    load_model,
    outputs,
    save_model,
)
from course.model.sampling import draw

pytest.importorskip("onnxruntime")
needs_exporter = pytest.mark.skipif(
    importlib.util.find_spec("onnxscript") is None, reason='needs: pip install -e ".[onnx]"'
)

TINY = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, attention=True)
WORDS = TextConfig(words=("blue", "on", "red", "seven"), length=5, dim=8, heads=2)


def saved(folder, impl, config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(impl, config)
    path = folder / "run" / "models" / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_model(path, model, config)
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, solutions):
    """A small model, and beside it its exported form."""
    path = saved(tmp_path_factory.mktemp("tiny"), solutions, TINY)
    written, change = export(path, solutions)
    assert written == onnx_file(path) and 0 < change < 1e-5
    return path


@needs_exporter
@pytest.mark.parametrize("count", [1, 3])
def test_it_is_called_like_the_network(tiny, count, solutions):
    (model, _), (network, config) = load_model(tiny, solutions), load_exported(tiny, solutions)
    assert config == TINY
    x = torch.randn(count, 28, 28, 1).permute(0, 3, 1, 2)  # in another order in memory
    t, labels = torch.arange(count) * 300, torch.arange(count) + 8
    with torch.no_grad():
        assert torch.allclose(network(x, t, labels), model(x, t, labels), atol=1e-5)


@needs_exporter
def test_a_network_that_reads_captions_takes_a_mask_or_none(tmp_path, solutions):
    path = saved(tmp_path, solutions, replace(TINY, text=WORDS, image_channels=3, attention=False))
    file, _ = export(path, solutions)
    assert b"solutions" not in file.read_bytes(), "it holds paths of the machine that made it"
    (model, config), (network, _) = load_model(path, solutions), load_exported(path, solutions)
    asked = ["red:2 seven on blue", "blue"]
    options = {"guidance": 2.0, "num_steps": 3, "sampler": "2m", "unwanted": "red"}
    ours, theirs = (draw(solutions, each, config, asked, **options)[0] for each in (network, model))
    assert (ours - theirs).abs().max() < 1e-2  # rounding, amplified where the walk begins
    x, t = torch.randn(2, 3, 28, 28), torch.tensor([3, 700])
    tokens = torch.tensor([[1, 5, 0, 0, 0]] * 2)
    with torch.no_grad():
        assert torch.allclose(network(x, t, tokens), model(x, t, tokens), atol=1e-5)


@needs_exporter
def test_half_precision_keeps_what_it_holds_exactly(tmp_path):
    """A matrix that is exact in half precision, one that is not, and one that is too large."""
    import onnx
    import onnxruntime

    held, fine = torch.arange(9.0).view(3, 3).numpy() / 8, torch.full((3, 3), 0.1).numpy()
    matrices = {"held": held, "fine": fine, "large": 1e30 * fine}
    helper, kept = onnx.helper, onnx.numpy_helper.from_array
    single, path = onnx.TensorProto.FLOAT, tmp_path / "network.onnx"
    nodes = [helper.make_node("Add", ["x", name], [f"y {name}"]) for name in matrices]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("x", single, [3, 3])],
        [helper.make_tensor_value_info(f"y {name}", single, [3, 3]) for name in matrices],
        [kept(matrix, name) for name, matrix in matrices.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    exported._halve(path)
    stored = {one.name: one.data_type for one in onnx.load(path).graph.initializer}
    assert stored == {"held_half": onnx.TensorProto.FLOAT16, "fine": single, "large": single}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    sums = session.run(None, {"x": 0 * held})
    assert all((sum == matrix).all() for sum, matrix in zip(sums, matrices.values()))


@needs_exporter
def test_one_of_other_weights_is_refused(tiny, tmp_path, solutions):
    path = saved(tmp_path, solutions, replace(TINY, data="mnist5k"))
    onnx_file(path).write_bytes(onnx_file(tiny).read_bytes())
    with pytest.raises(CourseError, match=r"another model .* course export-model run --onnx"):
        load_exported(path, solutions)
    onnx_file(path).write_bytes(onnx_file(tiny).read_bytes()[:5000])
    with pytest.raises(CourseError, match="is not a network that this course exported"):
        load_exported(path, solutions)
    onnx_file(path).unlink()
    with pytest.raises(CourseError, match=r"there is no .*onnx; make it with: course export-mod"):
        load_exported(path, solutions)


@needs_exporter
def test_what_differs_or_cannot_be_exported_is_not_written(tmp_path, solutions, monkeypatch):
    path = saved(tmp_path, solutions, TINY)

    def fails(*arguments, **options):
        raise torch.onnx.errors.OnnxExporterError("it looks at a number\nand more")

    with monkeypatch.context() as patch:
        patch.setattr(torch.onnx, "export", fails)
        with pytest.raises(CourseError, match=r"cannot export the network .*\(it looks at a numb"):
            export(path, solutions)
    monkeypatch.setattr(exported, "TOLERANCE", 0.0)
    with pytest.raises(CourseError, match="differ from PyTorch's by .* nothing was written"):
        export(path, solutions)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_package_is_named(monkeypatch, solutions):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match=r'onnxruntime.*pip install -e "\.\[onnx\]"'):
        load_exported(SHIPPED, solutions)


# The shipped model


@pytest.mark.parametrize(
    "model_file, asked, walk",
    [
        (SHIPPED, [3, None], {"guidance": 0.5, "num_steps": 6, "sampler": "2m"}),
        (SHIPPED_FEW, [3, 8], {"guidance": 0.0, "num_steps": 1, "sampler": "ddim"}),
        (
            SHIPPED_PROMPTS,
            ["a red three:2 left of a blue seven on white"],
            {"guidance": 2.0, "num_steps": 6, "sampler": "2m"},
        ),
    ],
    ids=lambda value: getattr(value, "stem", ""),
)
def test_a_shipped_network_is_exported_from_its_model(model_file, asked, walk, solutions):
    network, config = load_exported(model_file, solutions)  # which compares them
    model, _ = load_model(model_file, solutions)
    assert (outputs(network, config) - outputs(model, config)).abs().max() < 1e-4
    pictures = [draw(solutions, each, config, asked, **walk)[0] for each in (network, model)]
    assert (pictures[0] - pictures[1]).abs().max() < 1 / 255  # less than a shade of grey


@pytest.mark.parametrize("model_file", ALL_SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_as_short_as_its_model(model_file):
    """Matrices are in half precision in both; the rest is the network's steps."""
    assert onnx_file(model_file).stat().st_size < model_file.stat().st_size + 300_000


def test_the_commands_take_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    asked = ["sample", "--digit", "7", "--sampler", "2m", "--steps", "4", "--onnx"]
    assert main(asked) == 0 and (tmp_path / "pictures" / "digit_7.png").is_file()
    assert main([*asked, "--device", "cuda"]) == 2
    assert "--onnx computes on the CPU" in capsys.readouterr().out
    assert main(["export-model"]) == 2
    assert "course export-model RUN" in capsys.readouterr().out
    assert main(["sample", "--run", "none", "--onnx"]) == 2


def test_an_evaluation_takes_it(tmp_path, solutions):
    evaluation = Evaluation(
        solutions,
        SHIPPED,
        tmp_path / "evaluation.json",
        count=10,
        num_steps=2,
        data="mnist5k",
        quiet=True,
        onnx=True,
    )
    assert isinstance(evaluation.model, Exported) and evaluation.report["device"] == "cpu"
    assert evaluation.report["network"] == "ONNX Runtime"
    assert evaluation.draw(evaluation.labels.tolist(), 0.5).isfinite().all()
