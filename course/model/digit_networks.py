"""Two small networks that look at digits: a judge that names them, and features to compare sets.

Both are trained on MNIST's training part and ship in `models/`. They are trained apart from each
other (another architecture, seed and augmentation), so that what the judge likes and what the
features see are two opinions, not one.

python -m course.model.digit_networks            trains both and says how well they do
python -m course.model.digit_networks --write    and writes them to models/
python -m course.model.digit_networks --check    how well the shipped ones do on MNIST's test part
"""

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from course import ROOT, CourseError
from course.files import replacing
from course.model.data import Images, load_images
from course.model.weights import fill, read_weights, to_half, write_weights

FOLDER = ROOT / "models"
COMMAND = "python -m course.model.digit_networks --write"


# The networks


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; (B, inputs, H, W) -> (B, outputs, H/s, W/s)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Judge(nn.Module):
    """A plain convolutional network that names the digit."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            conv(1, 32, size=5, stride=2),  # (B, 32, 14, 14)
            conv(32, 48),
            nn.MaxPool2d(2),  # (B, 48, 7, 7)
            conv(48, 64),
            conv(64, 64),
            nn.MaxPool2d(2),  # (B, 64, 3, 3)
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.head = nn.Linear(64 * 9, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [-1, 1] -> the logits of the ten digits, (B, 10)."""
        return self.head(self.body(images))


class Residual(nn.Module):
    """Two convolutions beside a straight path (He et al. 2016); the shape stays."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class Features(nn.Module):
    """A residual network; its 64 averaged channels are the features of an image."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),  # (B, 4, 14, 14)
            conv(4, 32),
            Residual(32),
            conv(32, 64, stride=2),  # (B, 64, 7, 7)
            Residual(64),
        )
        self.head = nn.Linear(64, 10)

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [-1, 1] -> (B, 64)."""
        return self.body(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) in [-1, 1] -> the logits of the ten digits, (B, 10)."""
        return self.head(self.features(images))


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that decides what one of the two networks becomes."""

    network: str  # "judge" or "features"
    seed: int
    shift: float  # pixels, to either side
    degrees: float  # of rotation, to either side
    scale: float  # of the size, to either side
    epochs: int = 8
    batch_size: int = 128
    lr: float = 4e-3  # the peak of one cycle
    weight_decay: float = 0.05


NETWORKS = {"judge": Judge, "features": Features}
CONFIGS = {
    "judge": NetworkConfig("judge", seed=101, shift=2.0, degrees=10.0, scale=0.0),
    "features": NetworkConfig("features", seed=202, shift=1.5, degrees=12.0, scale=0.1),
}


def quantise(images: Tensor) -> Tensor:
    """Clamp to [-1, 1] and round to the 256 grey levels of a stored image.

    Generated images pass through this before they are measured. Real ones are stored with these
    levels and come out as they went in.
    """
    return ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


# Training


def distort(images: Tensor, config: NetworkConfig, generator: torch.Generator) -> Tensor:
    """Turn, shift and scale each image (B, 1, 28, 28) a little, by its own draw."""
    count = len(images)
    angle, right, down, size = torch.rand(4, count, generator=generator) * 2 - 1
    angle = angle * math.radians(config.degrees)
    size = 1 + size * config.scale
    cos, sin = angle.cos() * size, angle.sin() * size
    pixel = 2 / images.shape[-1]  # grid_sample's coordinates run from -1 to 1
    rows = [cos, -sin, right * config.shift * pixel, sin, cos, down * config.shift * pixel]
    theta = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images + 1, grid, align_corners=False)  # outside is 0: background
    return moved - 1


def train(
    config: NetworkConfig, images: Images, checkpoint: Path, quiet: bool = False
) -> nn.Module:
    """Train one network with AdamW and one cycle of the learning rate (Smith & Topin 2018).

    After each epoch all that is needed to go on is kept in `checkpoint`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = NETWORKS[config.network]()
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
        steps = len(images) // config.batch_size
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, config.epochs * steps)
        parts = {"model": model, "optimizer": optimizer, "cycle": cycle}
        for epoch in range(_resume(checkpoint, config, parts), config.epochs):
            torch.manual_seed(1000 * config.seed + epoch)  # of dropout
            _train_epoch(config, images, epoch, steps, parts, quiet)
            _keep(checkpoint, config, parts, epoch + 1)
    return model.eval()


def _train_epoch(
    config: NetworkConfig, images: Images, epoch: int, steps: int, parts: dict, quiet: bool
) -> None:
    model, optimizer, cycle = parts["model"].train(), parts["optimizer"], parts["cycle"]
    generator = torch.Generator().manual_seed(1000 * config.seed + epoch)
    order = torch.randperm(len(images), generator=generator)
    batches = order[: steps * config.batch_size].split(config.batch_size)
    bar = tqdm(
        batches,
        f"{config.network}, epoch {epoch + 1} of {config.epochs}",
        disable=quiet,
        mininterval=5,
    )
    for index in bar:
        pixels, labels = images.batch(index)
        loss = F.cross_entropy(model(distort(pixels, config, generator)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()


def _keep(checkpoint: Path, config: NetworkConfig, parts: dict, done: int) -> None:
    states = {name: part.state_dict() for name, part in parts.items()}
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with replacing(checkpoint) as unfinished:
        torch.save({"config": asdict(config), "done": done, **states}, unfinished)


def _resume(checkpoint: Path, config: NetworkConfig, parts: dict) -> int:
    """Load a checkpoint of the same configuration, if there is one; the epochs already done."""
    if not checkpoint.is_file():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["config"] != asdict(config):
        return 0
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["done"]


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> Tensor:
    """What the network says of each image, (N, 1, 28, 28) in [-1, 1] -> (N, 10)."""
    return torch.cat([model(part) for part in images.split(500)])


@torch.no_grad()
def extract(model: Features, images: Tensor) -> Tensor:
    """The features of each image, (N, 1, 28, 28) in [-1, 1] -> (N, 64), float64."""
    return torch.cat([model.features(part) for part in images.split(500)]).double()


def count_right(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many images, (N, 1, 28, 28) in [-1, 1], the network names as they are labelled, (N,)."""
    return int((logits(model, images).argmax(dim=1) == labels).sum())


# The files


def save_network(
    path: Path, model: nn.Module, config: NetworkConfig, right: int, count: int
) -> None:
    """Write weights in half precision and, as metadata, configuration, command and accuracy."""
    metadata = {
        "config": json.dumps(asdict(config)),
        "command": COMMAND,
        "data": "MNIST",
        "test_right": str(right),
        "test_count": str(count),
    }
    write_weights(path, model, metadata, half=True)


def load_network(name: str, path: Path | None = None) -> tuple[nn.Module, dict[str, str]]:
    """Read one of the two networks.

    Args:
        name: "judge" or "features".
        path: the file, if it is not the shipped one.

    Returns:
        the network, ready to be used, and the file's metadata.

    Raises:
        CourseError: if the file is missing, damaged, altered, or holds another network.
    """
    path = Path(path or FOLDER / f"{name}.safetensors")
    if not path.is_file():
        raise CourseError(f"there is no {name} network at {path}; make it with: {COMMAND}")
    weights, metadata = read_weights(path, needed=("config", "sha256"))
    try:
        config = NetworkConfig(**json.loads(metadata["config"]))
    except (TypeError, ValueError, RecursionError) as error:
        raise CourseError(
            f"the configuration in {path} is not that of a digit network ({error}); get the file "
            "again"
        ) from None
    if config.network != name:
        raise CourseError(f"{path} holds the network {config.network!r}, not {name!r}")
    model = NETWORKS[name]()
    fill(model, weights, f"the weights in {path} do not fit the network", "Get the file again.")
    return model.eval(), metadata


# The command


def make(config: NetworkConfig, checkpoints: Path, write: bool) -> None:
    """Train one network, say how well it does in the precision that ships, and write it."""
    train_set, test_set = load_images("mnist", train=True), load_images("mnist", train=False)
    model = train(config, train_set, checkpoints / f"{config.network}.pt")
    exact = count_right(model, *test_set.batch(slice(None)))
    model.load_state_dict(to_half(model.state_dict()))
    right = count_right(model, *test_set.batch(slice(None)))
    print(f"{config.network}: {right} of {len(test_set)} test images right (float32: {exact})")
    if write:
        path = FOLDER / f"{config.network}.safetensors"
        save_network(path, model, config, right, len(test_set))
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course.model.digit_networks", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", choices=list(CONFIGS), help="one of the two; both if left out")
    parser.add_argument("--write", action="store_true", help="write what is trained to models/")
    parser.add_argument("--check", action="store_true", help="test the shipped ones, train none")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path("runs", "digit_networks"),
        help="where training is kept, to go on with (default runs/digit_networks)",
    )
    options = parser.parse_args()
    try:
        for name in [options.only] if options.only else CONFIGS:
            if options.check:
                images = load_images("mnist", train=False)
                right = count_right(load_network(name)[0], *images.batch(slice(None)))
                print(f"{name}: {right} of {len(images)} test images right")
            else:
                make(CONFIGS[name], options.checkpoints, options.write)
    except CourseError as error:
        print(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on after the last whole epoch")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
