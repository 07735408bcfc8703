"""The sets with captions: what is in them, what is kept out, and a reader that can be believed."""

from dataclasses import replace

import pytest
import torch

from course import CourseError
from course.model.data import load_images
from course.model.scenes import (
    ALONE,
    COLOURS,
    GROUNDS,
    HELD_OUT,
    HELD_OUT_PAIRS,
    LARGE,
    LENGTHS,
    MIDDLE,
    NOTHING,
    PARTS,
    PLACES,
    SIZES,
    SMALL,
    VOCABULARIES,
    Facts,
    Reader,
    magnify,
    make_scenes,
)

IMAGES = load_images("mnist5k", train=False)


def some(kind, count=1000, part="seen", seed=0):
    return make_scenes(kind, IMAGES, count, torch.Generator().manual_seed(seed), part)


def pictures(scenes):
    return scenes.pixels(slice(None)).float() / 127.5 - 1


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("part", PARTS)
def test_the_reader_is_right_on_real_pictures(kind, part):
    scenes = some(kind, part=part)
    for name, right in Reader().read(pictures(scenes)).agree(scenes.facts).items():
        assert right.double().mean() >= 0.98, name


@pytest.mark.parametrize("kind", SIZES)
def test_the_reader_does_not_see_what_was_not_painted(kind):
    """Every attribute counts: change it in what is asked for, and the reader disagrees."""
    scenes = some(kind, 300)
    seen, facts = Reader().read(pictures(scenes)), scenes.facts
    there = facts.digit != NOTHING
    wrong = {
        "digit": torch.where(there, (facts.digit + 1) % 10, NOTHING),
        "colour": torch.where(there, (facts.colour + 1) % len(COLOURS), NOTHING),
        "ground": (facts.ground + 1) % len(GROUNDS),
    }
    if kind == "pairs":
        wrong |= {"size": 1 - facts.size, "place": (facts.place + 1) % len(PLACES)}
    for name, values in wrong.items():
        asked = replace(facts, **{name: values})
        agreed = seen.agree(asked)
        assert agreed[name].double().mean() < 0.15 and agreed["all"].double().mean() < 0.02, name


def test_a_pair_whose_colours_or_places_are_exchanged_is_another_pair():
    scenes = some("pairs", 300)
    facts, pair = scenes.facts, scenes.facts.layout != ALONE
    other_digits = facts.digit[:, 0] != facts.digit[:, 1]
    seen = Reader().read(pictures(scenes))
    colours = replace(facts, colour=facts.colour.flip(1))
    colours_exchanged = seen.agree(colours)
    both_exchanged = seen.agree(replace(colours, digit=facts.digit.flip(1)))
    assert colours_exchanged["colour"].all() and not colours_exchanged["relation"][pair].any()
    assert colours_exchanged["binding"][pair & other_digits].double().mean() < 0.02
    assert both_exchanged["binding"].double().mean() > 0.98
    assert not both_exchanged["relation"][pair].any() and not both_exchanged["all"][pair].any()


@pytest.mark.parametrize("kind", SIZES)
def test_what_is_held_out_is_not_in_what_is_seen_and_all_else_is(kind):
    seen, held_out = (some(kind, 20_000, part).facts for part in PARTS)

    def combinations(facts):
        things = zip(facts.digit.flatten().tolist(), facts.colour.flatten().tolist())
        return {thing for thing in things if thing[0] != NOTHING}

    pairs = {tuple(pair) for pair in seen.digit.tolist() if pair[1] != NOTHING}
    assert not combinations(seen) & HELD_OUT and not pairs & HELD_OUT_PAIRS
    assert len(combinations(seen)) == 60 - len(HELD_OUT)
    assert len(pairs) == (100 - len(HELD_OUT_PAIRS) if kind == "pairs" else 0)
    assert HELD_OUT <= combinations(held_out)
    for row in range(len(held_out)):
        things = set(zip(held_out.digit[row].tolist(), held_out.colour[row].tolist()))
        assert things & HELD_OUT or tuple(held_out.digit[row].tolist()) in HELD_OUT_PAIRS


def test_a_caption_can_be_told_from_either_side():
    facts = Facts(
        digit=torch.tensor([[3, 7], [3, 7], [4, NOTHING], [4, NOTHING]]),
        colour=torch.tensor([[0, 3], [4, 5], [1, NOTHING], [1, NOTHING]]),
        ground=torch.tensor([4, 2, 5, 6]),
        layout=torch.tensor([1, 2, ALONE, ALONE]),
        size=torch.tensor([LARGE, LARGE, LARGE, SMALL]),
        place=torch.tensor([MIDDLE, MIDDLE, MIDDLE, 3]),
    )
    assert facts.captions(torch.zeros(4, dtype=torch.bool)) == [
        "a red three left of a blue seven on white",
        "a white three above a black seven on green",
        "a yellow four on black",
        "a small yellow four on grey at the bottom left",
    ]
    assert facts.captions(torch.ones(4, dtype=torch.bool)) == [
        "a blue seven right of a red three on white",
        "a black seven below a white three on green",
        "a yellow four on black",
        "a small yellow four on grey at the bottom left",
    ]


def test_a_large_scene_shows_the_whole_digit_near_the_middle():
    scenes = some("large scenes", 300)
    ink = scenes.ink(slice(None), 0)
    assert ink.shape == (300, 1, 64, 64) and ink.min() == 0 and ink.max() <= 1
    whole = magnify(IMAGES.pixels[scenes.index[:, 0]].float() / 255, 56)
    assert torch.allclose(ink.sum(dim=(1, 2, 3)), whole.sum(dim=(1, 2, 3)), rtol=1e-5)
    away = scenes.centre[:, 0] - 32
    assert away.min() == -4 and away.max() == 4
    assert (away[:, 0] != away[:, 1]).any()
    for row, (down, right) in enumerate(away.tolist()):
        there = ink[row, :, 4 + down : 60 + down, 4 + right : 60 + right]
        assert torch.equal(there, whole[row])


@pytest.mark.parametrize("kind", SIZES)
def test_captions_fit_the_row_and_the_vocabulary(kind):
    captions = some(kind).captions
    assert max(len(caption.split()) for caption in captions) + 1 == LENGTHS[kind]
    used = {word for caption in captions for word in caption.split()}
    assert used == set(VOCABULARIES[kind])


@pytest.mark.parametrize("kind", SIZES)
def test_the_same_generator_gives_the_same_set(kind):
    a, b, c = some(kind, 20), some(kind, 20), some(kind, 20, seed=1)
    assert a.captions == b.captions and torch.equal(pictures(a), pictures(b))
    assert a.captions != c.captions


def test_colours_are_far_from_each_other():
    palette = torch.tensor(list(GROUNDS.values())).double()
    apart = torch.cdist(palette, palette) + 1000 * torch.eye(len(GROUNDS))  # of 441 at most
    digits = len(COLOURS)
    assert apart[:digits, :digits].min() > 150
    assert apart.min() > 100


def test_another_kind_or_part_is_refused():
    with pytest.raises(
        CourseError, match="no set 'triples'; there are scenes, pairs, large scenes"
    ):
        some("triples")
    with pytest.raises(CourseError, match="seen or held out, not 'test'"):
        some("pairs", part="test")
