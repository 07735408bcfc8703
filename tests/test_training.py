"""Training runs: what they leave behind, resuming to the bit, and several processes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course import ROOT, CourseError
from course.grading.answers import equivalents_of
from course.model.models import load_model
from course.model.training import PRESETS, Run
from course.probing.loading import Implementation

SMOKE = replace(PRESETS["smoke"], images_per_epoch=64, sample_steps=2)


def make_run(folder, solutions, preset=SMOKE, **options) -> Run:
    return Run(folder, preset, solutions, data="mnist5k", device="cpu", quiet=True, **options)


def final_weights(folder) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "models" / "last.pt", weights_only=True)
    return {**state["model"], **{f"ema.{name}": value for name, value in state["ema"].items()}}


def assert_same_weights(one, other, **tolerance):
    a, b = final_weights(one), final_weights(other)
    assert a.keys() == b.keys()
    for name in a:
        if tolerance:
            assert torch.allclose(a[name], b[name], **tolerance), name
        else:
            assert torch.equal(a[name], b[name]), name


@pytest.fixture(scope="module", params=["adamw", "muon"])
def finished_with(request, tmp_path_factory, solutions):
    """A finished run with either optimiser, and its preset."""
    preset = replace(SMOKE, optimizer=request.param)
    folder = tmp_path_factory.mktemp("runs") / "whole"
    make_run(folder, solutions, preset).train()
    return folder, preset


@pytest.fixture(scope="module")
def finished(tmp_path_factory, solutions):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    make_run(folder, solutions).train()
    return folder


def test_a_run_leaves_what_it_promises(tmp_path, solutions):
    folder = tmp_path / "run"
    make_run(folder, solutions, replace(SMOKE, sample_steps=10)).train()
    for name in ("models/last.pt", "models/epoch_1.pt", "models/epoch_2.pt", "progress.png"):
        assert (folder / name).is_file(), name
    assert len(list((folder / "generated_samples").glob("epoch_*.png"))) == 2
    assert len(list((folder / "denoising_steps").glob("frame_*.png"))) == 10
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["losses"]) == 8 and len(metrics["epochs"]) == 2
    config = json.loads((folder / "config.json").read_text())
    assert config["model"]["data"] == "mnist5k" and config["seed"] == 0
    _, model_config = load_model(folder / "models" / "model.safetensors", solutions)
    assert model_config.prediction == "v"


def test_training_lowers_the_loss(tmp_path, solutions):
    run = make_run(tmp_path / "run", solutions, replace(SMOKE, epochs=6))
    before = run.held_out_eps_mse()
    run.train()
    assert run.held_out_eps_mse() < 0.8 * before


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_after", [3, 4, 6])
def test_an_interrupted_run_reaches_the_same_weights(
    tmp_path, finished_with, solutions, stop_after
):
    """Stopped inside the first epoch, at its end, and inside the second."""
    (finished, preset), folder = finished_with, tmp_path / "interrupted"
    run = make_run(folder, solutions, preset, save_every=1)
    steps = run.steps

    def stop(batches, first_step):
        for step, loss in enumerate(steps(batches, first_step), start=first_step):
            yield loss
            if step + 1 == stop_after:
                raise Stop

    run.steps = stop
    with pytest.raises(Stop):
        run.train()
    make_run(folder, solutions, preset).train()
    assert_same_weights(folder, finished)
    losses = [json.loads((f / "metrics.json").read_text())["losses"] for f in (folder, finished)]
    assert losses[0] == losses[1]


# Right code for the loop (5.6) may draw in another order, and so has other losses.
RIGHT = [answer for exercise in ("5.4", "5.5") for answer in equivalents_of(exercise)]


@pytest.mark.parametrize("answer", RIGHT, ids=lambda answer: answer.name.replace(" ", "-"))
def test_what_passes_the_checks_trains_stops_and_goes_on(answer, finished_with, tmp_path):
    """With either optimiser, and with the losses of the reference but for rounding."""
    (finished, preset), folder = finished_with, tmp_path / "run"
    learners = Implementation("solutions")
    vars(learners.chapter("ch05_training")).update(answer.symbols)
    options = {"yours": [answer.exercise], "save_every": 3}
    first, second = (make_run(folder, learners, preset, **options) for _ in range(2))
    first._draw_samples = stop  # before the end of an epoch is saved
    with pytest.raises(Stop):
        first.train()
    second.train()
    whole = json.loads((finished / "metrics.json").read_text())
    assert second.metrics["losses"] == pytest.approx(whole["losses"], rel=1e-3)
    assert second.held_out_eps_mse() == pytest.approx(whole["epochs"][-1]["held_out_eps_mse"], 1e-2)


def stop(epoch: int) -> None:
    raise Stop


@pytest.mark.parametrize(
    "error, why",
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected"), "disk is full"),
    ],
)
def test_a_full_disk_is_told_and_the_last_checkpoint_stays(tmp_path, solutions, error, why):
    folder = tmp_path / "run"
    run = make_run(folder, solutions, save_every=1)
    save = run.ch05.save_checkpoint

    def until_full(path, *state):
        if state[-1] == 3:
            path.write_bytes(b"half")
            raise error
        save(path, *state)

    run.ch05 = SimpleNamespace(**{**vars(run.ch05), "save_checkpoint": until_full})
    with pytest.raises(CourseError, match=f"last.pt cannot be written: .*{why}"):
        run.train()
    assert [path.name for path in (folder / "models").iterdir()] == ["last.pt"]
    assert torch.load(folder / "models" / "last.pt", weights_only=True)["step"] == 2


HOLD = """
import sys, time
from pathlib import Path
from course.files import locked
with locked(Path(sys.argv[1])) as free:
    print(free, flush=True)
    time.sleep(60)
"""


def test_two_trainings_in_one_folder_are_refused(tmp_path, solutions):
    """Until the first one ends, however it ends."""
    folder = tmp_path / "run"
    folder.mkdir()
    run = make_run(folder, solutions)
    command = [sys.executable, "-c", HOLD, folder / "lock"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "True\n"
            with pytest.raises(CourseError, match="another process is training in .*run; wait"):
                run.train()
            assert [path.name for path in folder.iterdir()] == ["lock"], "nothing is written"
        finally:
            other.kill()
    run.train()
    assert (folder / "models" / "model.safetensors").is_file()


@pytest.fixture
def copied(tmp_path, finished):
    """A finished run that may be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))


@pytest.mark.parametrize("damage", ["cut", "empty", "page", "other", "deep"])
def test_a_damaged_checkpoint_is_told_with_the_newest_whole_one(copied, solutions, damage):
    last = copied / "models" / "last.pt"
    if damage == "other":
        torch.save({"weight": torch.zeros(3)}, last)
    elif damage == "deep":
        torch.save({**torch.load(last, weights_only=True), "step": 10**9}, last)
    else:
        whole = last.read_bytes()
        last.write_bytes({"cut": whole[:100_000], "empty": b"", "page": b"<!doctype html>"}[damage])
    (copied / "models" / "epoch_2.pt").write_bytes(b"cut short as well")
    size = f"{last.stat().st_size:,}"
    with pytest.raises(
        CourseError, match=rf"last.pt \({size} bytes\) is no whole .*copy epoch_1.pt"
    ):
        make_run(copied, solutions).train()
    (copied / "models" / "epoch_1.pt").rename(last)
    make_run(copied, solutions).train()
    last.write_bytes(b"")
    (copied / "models" / "epoch_2.pt").unlink()
    with pytest.raises(CourseError, match="Delete it to begin anew"):
        make_run(copied, solutions).train()


@pytest.mark.parametrize(
    "content", ["", "<html>", "[]", '{"losses": 3, "epochs": "2"}', "[" * 9999]
)
def test_damaged_records_of_a_run_are_told(copied, finished, solutions, content):
    for name in ("metrics.json", "config.json"):
        file = copied / name
        file.write_text(content)
        with pytest.raises(CourseError, match=f"{name} is damaged or something else .* Delete it"):
            make_run(copied, solutions).train()
        file.unlink()
        make_run(copied, solutions).train()
        if name == "config.json":
            assert file.read_text() == (finished / name).read_text()
        else:
            shutil.copy(finished / name, file)


def test_another_seed_is_another_run(tmp_path, finished, solutions):
    make_run(tmp_path / "other", solutions, replace(SMOKE, seed=1)).train()
    a, b = final_weights(finished), final_weights(tmp_path / "other")
    assert not torch.equal(a["conv_in.weight"], b["conv_in.weight"])


def test_bfloat16_rounds_the_products_and_keeps_the_weights(tmp_path, finished, solutions):
    """The losses differ by rounding, and what is stored has float32's digits."""
    make_run(tmp_path / "half", solutions, replace(SMOKE, precision="bfloat16")).train()
    metrics = [json.loads((f / "metrics.json").read_text()) for f in (finished, tmp_path / "half")]
    exact, rounded = (torch.tensor(each["losses"]) for each in metrics)
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, rtol=0.05)
    weights = final_weights(tmp_path / "half").values()
    assert all(weight.dtype == torch.float32 for weight in weights)
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in weights)


def test_a_folder_with_other_settings_is_refused(finished, solutions):
    """With the setting, the value of the run there and the value asked for."""
    wide = replace(SMOKE.model, base_channels=16)
    for other, said in (
        ({"lr": 1e-5}, "lr is 0.002 there and 1e-05 here;"),
        ({"epochs": 3}, "epochs is 2 there and 3 here;"),
        ({"model": wide, "seed": 1}, "base_channels is 8 there and 16 here, seed is 0 there"),
    ):
        run = make_run(finished, solutions, replace(SMOKE, **other))
        with pytest.raises(CourseError, match=f"holds a run with other settings: {said}"):
            run.train()


def test_a_run_goes_on_with_more_epochs_where_the_learning_rate_stays(tmp_path, solutions):
    """As if it had been that long from the start. With fewer epochs it is refused."""
    steady = replace(SMOKE, lr_decay=False)
    make_run(tmp_path / "long", solutions, replace(steady, epochs=3)).train()
    make_run(tmp_path / "short", solutions, steady).train()
    make_run(tmp_path / "short", solutions, replace(steady, epochs=3)).train()
    assert_same_weights(tmp_path / "short", tmp_path / "long")
    config = json.loads((tmp_path / "short" / "config.json").read_text())
    assert config["epochs"] == 3
    with pytest.raises(CourseError, match="epochs is 3 there and 2 here"):
        make_run(tmp_path / "short", solutions, steady).train()


def test_a_run_of_an_older_version_goes_on(tmp_path, finished, solutions):
    """What that version could not set counts as the default, and anything else is another run."""
    folder = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    for lacking in (config["model"], config):
        for name in ("text", "image_size", "image_channels", "pictures", "num_scenes", "optimizer"):
            lacking.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config))
    make_run(folder, solutions).train()
    assert json.loads((folder / "config.json").read_text())["model"]["image_size"] == 28
    with pytest.raises(CourseError, match="pictures is digits there and scenes here"):
        make_run(folder, solutions, replace(SMOKE, pictures="scenes")).train()


def test_training_again_leaves_a_finished_run_as_it_is(finished, solutions):
    before = final_weights(finished)
    make_run(finished, solutions).train()
    after = final_weights(finished)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_small_set_is_gone_through_again_in_a_new_order(tmp_path, solutions):
    run = make_run(tmp_path / "run", solutions, replace(SMOKE, images_per_epoch=28_800))
    assert run.steps_per_epoch == 28_800 // 16
    pixels, labels = run.train_set.pixels, run.train_set.labels
    numbered = torch.arange(len(labels))
    run.train_set = type(run.train_set)(pixels, numbered, "numbered")
    drawn = torch.cat([labels for _, labels in run.batches(epoch=0)])
    assert len(drawn) == 28_800
    passes = drawn.split(len(labels))
    for whole in passes[:-1]:
        assert torch.equal(whole.sort().values, numbered)
    assert not any(torch.equal(passes[0], later) for later in passes[1:-1])
    assert len(passes[-1].unique()) == len(passes[-1])
    again = torch.cat([labels for _, labels in run.batches(epoch=0, skip=5)])
    assert torch.equal(again, drawn[5 * 16 :])
    other = torch.cat([labels for _, labels in run.batches(epoch=1)])
    assert not torch.equal(other[: len(labels)], passes[0])


def test_a_large_set_keeps_the_order_that_runs_began_with(tmp_path, solutions):
    """Or a run that was interrupted would go on with other batches."""
    run = make_run(tmp_path / "run", solutions)
    order = torch.randperm(4500, generator=torch.Generator().manual_seed(1_000_003 + 1))
    drawn = torch.cat([x for x, _ in run.batches(epoch=1)])
    assert torch.equal(drawn, run.train_set.batch(order[:64])[0])


def test_a_run_with_data_that_is_gone_is_refused(tmp_path, solutions):
    run = make_run(tmp_path, solutions)
    run.preset = replace(run.preset, model=replace(run.preset.model, data="scikit-learn digits"))
    run._begin()
    with pytest.raises(CourseError, match="data is scikit-learn digits there and mnist5k here"):
        make_run(tmp_path, solutions)._begin()


def test_without_mnist_training_says_what_it_learns_from(tmp_path, solutions, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("DIFFUSION_DATA", str(tmp_path / "data"))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    Run(tmp_path / "run", SMOKE, solutions, data="auto", device="cpu")
    told = capsys.readouterr()
    assert "data: mnist5k, 4,500 images" in told.out + told.err
    assert told.err.count("could not be fetched (no network)") == 1
    assert not list((tmp_path / "data").iterdir())


SGD_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from pathlib import Path
import torch
from course.probing.loading import Implementation
from course.model.training import PRESETS, Run
torch.set_num_threads(1)
preset = replace(PRESETS["smoke"], images_per_epoch=64, sample_steps=2, lr=0.05)
run = Run(Path(sys.argv[1]), preset, Implementation("solutions"), "mnist5k", "cpu", quiet=True)
# AdamW divides by the gradient's size and so turns the rounding of gradients near zero into
# whole steps. SGD does not, and shows what the processes compute together.
run.optimizer = torch.optim.SGD(run.model.parameters(), lr=0.05)
run.train()
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def run_quietly(command: list) -> str:
    """Run a command in the course's folder, one thread a process, and return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_two_processes_reach_what_one_reaches(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SGD_RUN)
    run_quietly([sys.executable, script, tmp_path / "one"])
    run_quietly([*TORCHRUN, script, tmp_path / "two"])
    assert_same_weights(tmp_path / "one", tmp_path / "two", rtol=1e-4, atol=1e-6)
    one, two = (
        json.loads((tmp_path / name / "metrics.json").read_text())["losses"]
        for name in ("one", "two")
    )
    assert one == pytest.approx(two, rel=1e-4)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, solutions, monkeypatch):
    from course.model.training import Processes

    monkeypatch.setattr(Processes, "join", classmethod(lambda cls, device: cls(0, 3)))
    monkeypatch.setattr("torch.distributed.barrier", lambda: None)
    with pytest.raises(CourseError, match="a batch of 16 cannot be shared by 3 processes"):
        make_run(tmp_path / "run", solutions)


FOLDER_OF_ITS_OWN = """
import os, sys
from pathlib import Path
from course import CourseError
from course.probing.loading import Implementation
from course.model.training import PRESETS, Run
run = Run(Path(sys.argv[1], os.environ["RANK"]), PRESETS["smoke"], Implementation("solutions"),
          "mnist5k", "cpu", quiet=True)
run.folder.mkdir(parents=True, exist_ok=True)
run._begin = lambda: 3 * int(os.environ["RANK"])
try:
    run.train()
except CourseError as error:
    print(error)
"""


def test_machines_that_do_not_share_a_folder_are_told_so(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(FOLDER_OF_ITS_OWN)
    printed = run_quietly([*TORCHRUN, script, tmp_path / "runs"])
    for done in (0, 3):
        assert f"this one finds {done} done in" in printed


def test_torchrun_and_the_command_line(tmp_path):
    """The same command, started by torchrun."""
    name = f"test-{os.getpid()}"
    folder = ROOT / "runs" / name
    try:
        printed = run_quietly(
            [*TORCHRUN, "-m", "course.cli", "train", "--preset", "smoke", "--epochs", "1"]
            + ["--data", "mnist5k", "--device", "cpu", "--name", name]
        )
        assert (folder / "models" / "model.safetensors").is_file()
        assert printed.count("draw with it") == 1, "only one process speaks"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
