"""The sets `scenes`, `pairs` and `large scenes`: coloured digits with captions, and their reader.

A scene is a real MNIST digit in one colour on a ground of another: "a red seven on blue". The set
`pairs` has larger pictures, most of them with two digits in a relation: "a red three left of a blue
seven on white". The others have one digit, of one of two sizes, at one of five places: "a small red
seven on grey at the top left". A large scene has a scene's caption and more than twice its pixels a
side. Digits, colours, sizes and places are drawn with a generator; a picture is painted
when it is asked for. Some combinations are kept from training, so that a network can be asked for
what it has not seen.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course import CourseError
from course.model.data import Images
from course.model.digit_networks import load_network, logits, quantise

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {  # far from each other, and none between two others
    "red": (225, 45, 45),
    "yellow": (250, 215, 50),
    "green": (35, 165, 75),
    "blue": (50, 80, 225),
    "white": (250, 250, 250),
    "black": (15, 15, 15),
}
GROUNDS = {**COLOURS, "grey": (128, 128, 128)}  # grey lies between white and black: no digit's
ALONE, BESIDE, STACKED = range(3)  # layouts: one digit, two side by side, one above the other
RELATIONS = {BESIDE: ("left of", "right of"), STACKED: ("above", "below")}
LARGE, SMALL = range(2)  # sizes of a digit that is alone; a caption says "small" alone
MIDDLE = 0  # of the places of a digit that is alone; a caption does not say it
PLACES = ("", "at the top left", "at the top right", "at the bottom left", "at the bottom right")
SCENE_WORDS = ("a", "on", *COLOURS, *DIGITS)
VOCABULARIES = {
    "scenes": SCENE_WORDS,
    "pairs": (*SCENE_WORDS, "left", "right", "of", "above", "below", "grey", "small",
              "at", "the", "top", "bottom"),
    "large scenes": SCENE_WORDS,
}  # fmt: skip
NOTHING = -1  # in place of the second digit and colour where there is one digit

SIZES = {"scenes": 28, "pairs": 40, "large scenes": 64}  # pixels
# Pixels a side that become of one of a digit's. What is enlarged has no finer detail than before.
ENLARGED = {"scenes": 1, "pairs": 1, "large scenes": 2}
# Words of the longest caption, and a first token.
LENGTHS = {"scenes": 6, "pairs": 11, "large scenes": 6}
PARTS = ("seen", "held out")
# While training, digit d is never seen in colour d mod 6. And the digit d is never left of or
# above the digit d + 3; the other way round it is.
HELD_OUT = frozenset((digit, digit % len(COLOURS)) for digit in range(10))
HELD_OUT_PAIRS = frozenset((digit, (digit + 3) % 10) for digit in range(10))
SHARE_ALONE = 0.3  # of the set `pairs`
# Of the captions of two digits; the others begin with the digit on the left or above. With half of
# them turned, neither which digit is said first nor "left" or "right" says by itself where a digit
# is, only both together, and a network does not begin to learn it.
SHARE_TURNED = 0.2
JITTER = 3  # pixels, of each digit of a pair, across the direction in which the two stand
DRIFT = 4  # pixels, of the digit of a large scene, down and across: all of it stays in the picture
ASIDE = 9  # pixels between the middle and a place in a corner, down and across
FULL, SHRUNK = 28, 20  # pixels: a digit's image, and what becomes of it if it is small


@dataclass(frozen=True)
class Facts:
    """What pictures show. In a pair the digit on the left or above comes first.

    digit, colour: (N, 2), int64, places in DIGITS and COLOURS; ground, layout, size, place: (N,),
    int64. Two digits are LARGE, and their place is MIDDLE.
    """

    digit: Tensor
    colour: Tensor
    ground: Tensor
    layout: Tensor
    size: Tensor
    place: Tensor

    def __len__(self) -> int:
        return len(self.ground)

    def __getitem__(self, index: Tensor) -> "Facts":
        return Facts(**{name: values[index] for name, values in vars(self).items()})

    def captions(self, turned: Tensor) -> list[str]:
        """A caption for each. Where `turned`, (N,), bool, it begins with the second digit."""
        return [self.caption(n, bool(turned[n])) for n in range(len(self))]

    def caption(self, n: int, turned: bool) -> str:
        colours, small = list(GROUNDS), "small " if self.size[n] == SMALL else ""
        things = [
            f"a {small}{colours[colour]} {DIGITS[digit]}"
            for digit, colour in zip(self.digit[n].tolist(), self.colour[n].tolist())
            if digit != NOTHING
        ]
        ground = f"on {colours[self.ground[n]]}"
        if len(things) == 1:
            return f"{things[0]} {ground} {PLACES[self.place[n]]}".rstrip()
        first, second = reversed(things) if turned else things
        return f"{first} {RELATIONS[int(self.layout[n])][turned]} {second} {ground}"

    def agree(self, asked: "Facts") -> dict[str, Tensor]:
        """Where a picture shows what was asked for, part by part: each (N,), bool.

        digit and colour ask what is there, wherever it is; binding, whether each digit has its
        colour; relation, whether the colours stand as they should; size and place, whether there is
        one digit of that size, there; all is everything together.
        """
        return {
            "digit": (in_order(self.digit) == in_order(asked.digit)).all(dim=1),
            "colour": (in_order(self.colour) == in_order(asked.colour)).all(dim=1),
            "ground": self.ground == asked.ground,
            "binding": (in_order(self.things()) == in_order(asked.things())).all(dim=1),
            "relation": (self.layout == asked.layout) & (self.colour == asked.colour).all(dim=1),
            "size": (self.layout == asked.layout) & (self.size == asked.size),
            "place": (self.layout == asked.layout) & (self.place == asked.place),
            "all": (self.things() == asked.things()).all(dim=1)
            & (self.layout == asked.layout)
            & (self.ground == asked.ground)
            & (self.size == asked.size)
            & (self.place == asked.place),
        }

    def things(self) -> Tensor:
        """Digit and colour as one number each, (N, 2)."""
        return self.digit * len(COLOURS) + self.colour


def in_order(pairs: Tensor) -> Tensor:
    return pairs.sort(dim=1).values


@dataclass(frozen=True)
class Scenes:
    """A set of such pictures: what each shows, with which digit images, and where they are."""

    kind: str  # one of SIZES
    images: Images  # the digits to paint with
    index: Tensor  # (N, 2), int64, the digits' places among the images, or NOTHING
    centre: Tensor  # (N, 2, 2), int64, row and column of the digits' centres
    facts: Facts
    captions: list[str]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def name(self) -> str:
        return f"{self.kind} of {self.images.name}"

    def pixels(self, index: Tensor | slice) -> Tensor:
        """The pictures, (B, 3, H, W), uint8."""
        palette = palette_of(GROUNDS, 0, 255)  # begins with the digits' colours
        picture = palette[self.facts.ground[index]][:, :, None, None]  # (B, 3, 1, 1)
        for which in range(2 if self.kind == "pairs" else 1):
            colour = palette[self.facts.colour[index][:, which]][:, :, None, None]
            ink = self.ink(index, which)  # (B, 1, H, W)
            picture = picture + ink * (colour - picture)
        return picture.round().to(torch.uint8)

    def ink(self, index: Tensor | slice, which: int) -> Tensor:
        """How much one of the two digits covers of each pixel, (B, 1, H, W), 0 to 1."""
        side, full = SIZES[self.kind], FULL * ENLARGED[self.kind]
        margin = full // 2  # half a digit image may stand out
        chosen, centre = self.index[index][:, which], self.centre[index][:, which]
        small = self.facts.size[index] == SMALL
        digits = self.images.pixels[chosen.clamp(min=0)].float() / 255  # (B, 1, 28, 28)
        digits[small] = shrink(digits[small])
        digits = magnify(digits, full)
        ink = torch.zeros(len(chosen), 1, side + 2 * margin, side + 2 * margin)
        for plane, digit, image, (row, column) in zip(ink, digits, chosen, centre.tolist()):
            if image != NOTHING:
                plane[:, row : row + full, column : column + full] = digit
        return ink[:, :, margin:-margin, margin:-margin]


def shrink(digits: Tensor) -> Tensor:
    """Digits made small, in the middle of images as large as before: (B, 1, 28, 28) -> the same."""
    small = nn.functional.interpolate(digits, SHRUNK, mode="bilinear", antialias=True)
    return nn.functional.pad(small, [(FULL - SHRUNK) // 2] * 4)


def enlarge(digits: Tensor) -> Tensor:
    """What `shrink` made small, as large as before: (B, 1, 28, 28) -> the same."""
    rim = (FULL - SHRUNK) // 2
    return nn.functional.interpolate(digits[:, :, rim:-rim, rim:-rim], FULL, mode="bilinear")


def magnify(digits: Tensor, side: int) -> Tensor:
    """Digits on images `side` pixels high and wide: (B, 1, 28, 28) -> (B, 1, side, side)."""
    if side == FULL:
        return digits
    return nn.functional.interpolate(digits, side, mode="bicubic").clamp(0, 1)


def palette_of(colours: dict[str, tuple[int, int, int]], low: float, high: float) -> Tensor:
    """The colours with black at `low` and white at `high`, one in each row, (N, 3)."""
    return torch.tensor(list(colours.values())) / 255 * (high - low) + low


def is_held_out(facts: Facts) -> Tensor:
    """Which of these are kept from training, (N,), bool."""
    colours, pairs = torch.zeros(11, len(COLOURS) + 1), torch.zeros(11, 11)
    for combination in HELD_OUT:  # NOTHING is the last row and column, where nothing is held out
        colours[combination] = 1
    for combination in HELD_OUT_PAIRS:
        pairs[combination] = 1
    of_colour = colours[facts.digit, facts.colour].any(dim=1)
    return of_colour | pairs[facts.digit[:, 0], facts.digit[:, 1]].bool()


def make_scenes(
    kind: str, images: Images, count: int, generator: torch.Generator, part: str = "seen"
) -> Scenes:
    """Draw such pictures; all that the part allows are equally likely.

    Args:
        kind: one of SIZES.
        images: the digits to paint with.
        count: how many.
        generator: the source of randomness.
        part: "seen", what there is to train on, or "held out", what is kept from it.

    Raises:
        CourseError: if there is no such kind or part.
    """
    require_kind(kind)
    if part not in PARTS:
        raise CourseError(f"{kind} are {' or '.join(PARTS)}, not {part!r}")
    facts = _draw_facts(kind, count, generator)
    while bool((wrong := is_held_out(facts) != (part == "held out")).any()):
        again = _draw_facts(kind, int(wrong.sum()), generator)
        for name, values in vars(facts).items():
            values[wrong] = getattr(again, name)

    index = torch.full((count, 2), NOTHING)
    for digit in range(10):
        there, places = (images.labels == digit).nonzero()[:, 0], facts.digit == digit
        index[places] = there[torch.randint(len(there), (int(places.sum()),), generator=generator)]
    turned = torch.rand(count, generator=generator) < SHARE_TURNED
    centre = _centres(facts, SIZES[kind], generator)
    if kind == "large scenes":
        centre += torch.randint(-DRIFT, DRIFT + 1, (count, 1, 2), generator=generator)
    return Scenes(kind, images, index, centre, facts, facts.captions(turned))


def require_kind(kind: str) -> None:
    """Refuse a set that there is not.

    Raises:
        CourseError: if `kind` is none of SIZES.
    """
    if kind not in SIZES:
        raise CourseError(f"there is no set {kind!r}; there are {', '.join(SIZES)}")


def _draw_facts(kind: str, count: int, generator: torch.Generator) -> Facts:
    digit = torch.randint(10, (count, 2), generator=generator)
    # Three different colours: the first two are the digits', the third is the ground's.
    colours = torch.rand(count, len(COLOURS), generator=generator).argsort(dim=1)[:, :3]
    colour, ground = colours[:, :2].clone(), colours[:, 2].clone()
    layout = torch.where(
        torch.rand(count, generator=generator) < SHARE_ALONE,
        ALONE,
        torch.randint(BESIDE, STACKED + 1, (count,), generator=generator),
    )
    size, place = torch.full_like(layout, LARGE), torch.full_like(layout, MIDDLE)
    if kind != "pairs":
        layout[:] = ALONE
    else:
        alone = layout == ALONE
        size[alone] = torch.randint(2, (count,), generator=generator)[alone]
        place[alone] = torch.randint(len(PLACES), (count,), generator=generator)[alone]
        grey = torch.rand(count, generator=generator) < 1 / len(GROUNDS)
        ground[grey] = list(GROUNDS).index("grey")
    for second in (digit[:, 1], colour[:, 1]):
        second[layout == ALONE] = NOTHING
    return Facts(digit, colour, ground, layout, size, place)


def _centres(facts: Facts, side: int, generator: torch.Generator) -> Tensor:
    """Where the digits stand in pictures `side` pixels high and wide: row and column, (N, 2, 2)."""
    away = torch.tensor([-(side // 4), side // 4])  # along the direction in which they stand
    across = torch.randint(-JITTER, JITTER + 1, (len(facts), 2), generator=generator)
    centre = corners(side)[facts.place][:, None, :].repeat(1, 2, 1)
    beside, stacked = facts.layout == BESIDE, facts.layout == STACKED
    centre[beside] += torch.stack([across[beside], away.expand(int(beside.sum()), 2)], dim=2)
    centre[stacked] += torch.stack([away.expand(int(stacked.sum()), 2), across[stacked]], dim=2)
    return centre


def corners(side: int) -> Tensor:
    """Row and column of the middle of a picture and of the four corners in PLACES, (5, 2)."""
    ways = torch.tensor([(0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)])
    return side // 2 + ASIDE * ways


# What a picture shows

PURE = 0.6  # how far from a colour, in [-1, 1], a pixel still has that colour
LEAST = 6  # pixels of a second colour, below which there is no second digit
BETWEEN = 17.5  # pixels, of the longer side of a digit: a large one has about 20, a small one 15


class Reader:
    """Says what pictures show, from the pixels alone.

    The ground is the colour at the rim. The digits' colours are the two that most other pixels
    have. Every pixel is then taken for a mixture of ground and digits, which gives the ink of each
    digit. Its centre of mass says where it is, its longer side how large, and the judge which digit
    it is. Of a large scene it reads the means of 2 x 2 pixels, in which digits are as large as the
    judge knows them.
    """

    def __init__(self, judge: nn.Module | None = None):
        self.judge = judge or load_network("judge")[0]
        self.palette = palette_of(COLOURS, -1, 1)  # (6, 3)
        self.grounds = palette_of(GROUNDS, -1, 1)  # (7, 3)

    @torch.no_grad()
    def read(self, pictures: Tensor) -> Facts:
        """Pictures (N, 3, H, W), in [-1, 1] -> what they show."""
        pictures = quantise(pictures.float().cpu())
        if pictures.shape[2] == SIZES["large scenes"]:
            pictures = nn.functional.avg_pool2d(pictures, ENLARGED["large scenes"])
        pixels = pictures.flatten(2).transpose(1, 2)  # (N, P, 3)
        size = pictures.shape[2:]
        rim_rgb = pixels[:, rim(size)].median(dim=1).values  # (N, 3)
        ground = torch.cdist(rim_rgb, self.grounds).argmin(dim=1)  # (N,)
        colour = self.colours(pixels, ground)
        inks = self.inks(pixels, ground, colour).unflatten(2, size)  # (N, 2, H, W)
        centre = centres_of_mass(inks)  # (N, 2, 2)
        alone = colour[:, 1] == NOTHING
        small = alone & (longer_sides(inks[:, 0]) < BETWEEN)
        digit = torch.stack([self.digits(inks[:, k], centre[:, k], small) for k in range(2)], dim=1)

        down, right = (centre[:, 1] - centre[:, 0]).unbind(dim=1)  # from the first to the second
        beside = right.abs() > down.abs()
        swap = torch.where(beside, right, down) < 0
        swap &= ~alone
        digit[alone, 1] = NOTHING
        for both in (digit, colour):
            both[swap] = both[swap].flip(1)
        layout = torch.where(alone, ALONE, torch.where(beside, BESIDE, STACKED))
        nearest = torch.cdist(centre[:, 0], corners(size[0]).float()).argmin(dim=1)
        place = torch.where(alone, nearest, MIDDLE)
        return Facts(digit, colour, ground, layout, torch.where(small, SMALL, LARGE), place)

    def colours(self, pixels: Tensor, ground: Tensor) -> Tensor:
        """The two commonest colours but the ground's, (N, P, 3), (N,) -> (N, 2)."""
        distance, nearest = torch.cdist(pixels, self.palette.expand(len(pixels), -1, -1)).min(dim=2)
        count = torch.zeros(len(pixels), len(GROUNDS))
        count.scatter_add_(1, nearest, (distance < PURE).float())
        count.scatter_(1, ground[:, None], -1)
        count = count[:, : len(COLOURS)]  # a ground that is no digit's colour is not among them
        most = count.topk(2, dim=1)
        return torch.where(
            torch.tensor([True, False]) | (most.values >= LEAST), most.indices, NOTHING
        )

    def inks(self, pixels: Tensor, ground: Tensor, colour: Tensor) -> Tensor:
        """How much of each digit is in each pixel, by least squares: -> (N, 2, P), 0 to 1."""
        ground_rgb = self.grounds[ground][:, None, :]  # (N, 1, 3)
        ways = self.palette[colour] - ground_rgb  # (N, 2, 3), from the ground to each colour
        ways[colour == NOTHING] = 0
        ink = (pixels - ground_rgb) @ torch.linalg.pinv(ways)  # (N, P, 3) (N, 3, 2)
        return ink.transpose(1, 2).clamp(0, 1)

    def digits(self, ink: Tensor, centre: Tensor, small: Tensor) -> Tensor:
        """What the judge sees around the centre: (N, H, W), (N, 2), (N,) bool -> (N,)."""
        wide = nn.functional.pad(ink, [FULL // 2] * 4)
        crops = torch.stack([
            plane[row : row + FULL, column : column + FULL]
            for plane, (row, column) in zip(wide, centre.round().long().tolist())
        ])[:, None]  # fmt: skip
        crops[small] = enlarge(crops[small])
        grey = quantise(crops * 2 - 1)
        return logits(self.judge, grey).argmax(dim=1)


def rim(size: torch.Size) -> Tensor:
    """Which pixels lie at the edge, two deep: (H W,), bool."""
    edge = torch.ones(size, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    return edge.flatten()


def centres_of_mass(inks: Tensor) -> Tensor:
    """Row and column of each plane's centre: (N, 2, H, W) -> (N, 2, 2)."""
    inks = inks * (inks > 0.3) + 1e-6  # faint traces have no weight; an empty plane has its middle
    rows, columns = (torch.arange(side, dtype=torch.float32) for side in inks.shape[2:])
    mass = inks.sum(dim=(2, 3))
    down, right = (inks.sum(dim=3) * rows).sum(dim=2), (inks.sum(dim=2) * columns).sum(dim=2)
    return torch.stack([down / mass, right / mass], dim=2)


def longer_sides(ink: Tensor) -> Tensor:
    """Height or width of what is inked, whichever is larger, in pixels: (N, H, W) -> (N,)."""
    inked = ink > 0.3
    extents = []
    for rows in (inked.any(dim=2), inked.any(dim=1)):  # (N, H), (N, W)
        place = torch.arange(rows.shape[1])
        first = torch.where(rows, place, rows.shape[1]).min(dim=1).values
        last = torch.where(rows, place, -1).max(dim=1).values
        extents.append((last - first + 1).clamp(min=0))
    return torch.maximum(*extents)
