"""The parts of benchmarks/gpu_cifar10.py that need no GPU: packing, sheets, draws."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu_cifar10 import (
    CLASSES,
    SMOKE,
    UNet,
    draw_steps,
    gamma_of,
    pack,
    read_sheets,
    sheets,
    unpack,
    write_zip,
)


def jpeg_zip(path, count: int, seed: int, quality: int = 75) -> list[bytes]:
    """A zip file with `count` JPEGs of each class, and these in the order of their names."""
    random = np.random.default_rng(seed)
    jpegs = []
    with zipfile.ZipFile(path, "w") as archive:
        for name in CLASSES:
            for number in range(count):
                file = io.BytesIO()
                picture = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(picture).save(file, "jpeg", quality=quality)
                archive.writestr(f"{name}/{number:04}.jpg", file.getvalue())
                jpegs.append(file.getvalue())
    return jpegs


def test_what_is_packed_comes_back_as_the_jpegs_decode(tmp_path):
    train = jpeg_zip(tmp_path / "train.zip", 3, seed=0)
    test = jpeg_zip(tmp_path / "test.zip", 2, seed=1)
    pack(tmp_path / "train.zip", tmp_path / "test.zip", tmp_path / "packed")
    data = unpack(tmp_path / "packed")
    for part, jpegs, count in (("train", train, 3), ("test", test, 2)):
        expected = [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs]
        assert np.array_equal(data[f"{part}_images"], np.stack(expected))
        assert np.array_equal(data[f"{part}_labels"], np.repeat(np.arange(10), count))


def test_a_jpeg_with_another_header_is_refused(tmp_path):
    jpeg_zip(tmp_path / "train.zip", 1, seed=0)
    jpeg_zip(tmp_path / "test.zip", 1, seed=1, quality=50)
    with pytest.raises(ValueError, match="header of its own"):
        pack(tmp_path / "train.zip", tmp_path / "test.zip", tmp_path / "packed")


def test_sheets_lose_nothing(tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(437) % 10  # 43 or 44 of each: the second row is not full
    images = torch.randint(0, 256, (437, 3, 32, 32), generator=generator).to(torch.uint8)
    done = sheets(images, labels)
    first, rest = dict(list(done.items())[:5]), dict(list(done.items())[5:])
    write_zip(tmp_path / "1.zip", {"final": first}, {"note": b"x"})
    write_zip(tmp_path / "2.zip", {"final": rest, "second": done}, {})
    order = labels.argsort(stable=True)
    for kind in ("final", "second"):
        back, back_labels = read_sheets([tmp_path / "1.zip", tmp_path / "2.zip"], kind)
        assert np.array_equal(back, images[order].permute(0, 2, 3, 1).numpy())
        assert np.array_equal(back_labels, labels[order].numpy())


def test_every_region_of_the_schedule_is_drawn_the_middle_most():
    generator = torch.Generator().manual_seed(0)
    t = torch.cat([draw_steps(512, generator) for _ in range(200)])
    assert t.min() == 0 and t.max() == 999
    shares = torch.histc(t.float(), 10, 0, 1000) / len(t)
    assert shares[:3].sum() > 0.45  # log-SNR above about 1.3
    assert shares.min() > 0.024  # the uniform quarter
    assert (t >= 995).sum() > 200 * 512 / 4 * 0.004  # up to the last step


def test_gamma_is_that_of_the_paper():
    assert gamma_of(0.05) == pytest.approx(16.97, abs=0.01)
    assert gamma_of(0.1) == pytest.approx(6.94, abs=0.01)


def test_class_and_time_change_what_the_network_says():
    torch.manual_seed(0)
    network = UNet(SMOKE)
    for parameter in network.parameters():  # some begin at zero, where nothing gets through
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    x, t, labels = torch.randn(2, 3, 32, 32), torch.tensor([10, 900]), torch.tensor([1, 2])
    before = network(x, t, labels)
    assert before.shape == x.shape
    assert not torch.allclose(before, network(x, t.flip(0), labels), atol=1e-3)
    assert not torch.allclose(before, network(x, t, labels.flip(0)), atol=1e-3)
