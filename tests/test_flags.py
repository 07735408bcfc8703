"""The toy of flags: what its pictures show, and what a bag of words cannot draw."""

import pytest
import torch

from course.pages.flags import SIDE, Flag, Trained, all_flags, shows


def parts(solutions, encoder: str) -> dict:
    ch09 = solutions.chapter("ch09_prompts")
    names = ("tokenize", "drop_captions", "CrossAttention", "PromptUNet", "prompted_eps")
    return {**{name: getattr(ch09, name) for name in names}, "Encoder": getattr(ch09, encoder)}


def test_a_swapped_caption_has_the_same_words_and_another_picture():
    flag = Flag("red", "left of", "blue")
    assert not torch.equal(flag.picture(), flag.swapped.picture())
    assert sorted(flag.caption.split()) == sorted(flag.swapped.caption.split())


def test_what_a_picture_shows_is_read_from_its_pixels():
    flags = all_flags()
    pictures = torch.stack([flag.picture() for flag in flags])
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    assert len(flags) == len(set(flags)) == 24 and pictures.shape == (24, 3, SIDE, SIDE)
    assert shows(pictures + 0.3 * noise, flags).all()
    assert not shows(pictures, [flag.swapped for flag in flags]).any()


@pytest.mark.parametrize("encoder, same", [("BagOfWords", True), ("TextEncoder", False)])
def test_only_words_with_places_tell_swapped_captions_apart(solutions, encoder, same):
    network = Trained(parts(solutions, encoder), num_updates=2)
    flag = Flag("green", "above", "red")
    drawn = [
        network.draw(network.prompt([f.caption]), guidance_scale=1.0) for f in (flag, flag.swapped)
    ]
    assert torch.allclose(*drawn, atol=1e-4) == same
    assert len(network.losses) == 2 and not network.model.training


def test_maps_share_out_each_pixels_attention(solutions):
    network = Trained(parts(solutions, "TextEncoder"), num_updates=0)
    looks = network.looks(Flag("red", "left of", "blue"), t=500)
    assert looks.shape == (7, 4, 4)
    assert torch.allclose(looks.sum(dim=0), torch.ones(4, 4))
    assert (looks[5:] == 0).all()  # the padding
