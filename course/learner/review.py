"""Five minutes of review: which item comes next, and what is remembered of each.

When an item comes back is decided by FSRS, a scheduler learned from many people's reviews. The
state is review.json in .course/, written after each answer.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from fsrs import Card, Rating, Scheduler

from course.grading.answers import equivalents_of, misconceptions_of
from course.grading.checking import checks_of
from course.learner.items import Item, Key, keys_of, make, promise, sound_ways
from course.learner.workspace import Workspace
from course.syllabus import PASSED, find_exercise, select_all

MINUTES = 5
SOUND = 1 / 3  # of the items are sound
FILE = "review.json"


class Deck:
    """One learner's items.

    Args:
        workspace: whose exercises decide what is asked: those that pass.
        only: chapters and exercises, as "01,02" or "1.2"; all if left out.
    """

    def __init__(self, workspace: Workspace, only: str | None = None):
        self.state = workspace.state
        statuses = workspace.statuses()
        self.exercises = [e.id for e in select_all(only) if statuses[e.id] == PASSED]
        self.scheduler = Scheduler(enable_fuzzing=False)
        content = self.state.read(FILE)
        answered, cards = content.get("answered"), content.get("cards")
        self.answered = answered if type(answered) is int else 0
        self.cards = dict(_read_cards(cards if isinstance(cards, dict) else {}))

    def warm_up(self) -> None:
        """Load now what making items will need, so that each is there at once."""
        for exercise in self.exercises:
            misconceptions_of(exercise)
            equivalents_of(exercise)
            checks_of(exercise)
            for symbol in find_exercise(exercise).symbols:
                promise(exercise, symbol)
                sound_ways(exercise, symbol)

    def next(self, now: datetime | None = None) -> Item | None:
        """The item to show now: the same until it is answered. None if nothing is due or new."""
        now = now or datetime.now(UTC)
        pick = random.Random(self.answered)
        sound = pick.random() < SOUND
        wanted, others = self._keys(now, sound, pick), self._keys(now, not sound, pick)
        for key in (*wanted, *others):
            if item := make(key, self.answered):
                return item
        return None

    def answer(self, item: Item, choice: str, line: int | None = None) -> bool:
        """Remember how an item was answered, and say whether it was right.

        Args:
            choice: one of the item's choices.
            line: where the mistake is in the code, as far as that was asked.
        """
        right = choice == item.answer
        elsewhere = line is not None and line not in item.places
        rating = Rating.Again if not right else Rating.Hard if elsewhere else Rating.Good
        card = self.cards.get(str(item.key), Card(card_id=0))
        self.cards[str(item.key)], _ = self.scheduler.review_card(card, rating)
        self.answered += 1
        cards = {name: card.to_dict() for name, card in self.cards.items()}
        self.state.write(FILE, {"answered": self.answered, "cards": cards})
        return right

    def _keys(self, now: datetime, sound: bool, pick: random.Random) -> Iterator[Key]:
        """What could be asked, sound code or mistakes: first what is due, then what is new."""
        known = {name: card for name, card in self.cards.items() if (" " not in name) == sound}
        due = sorted((card.due, name) for name, card in known.items() if card.due <= now)
        for _, name in due:
            exercise, _, mistake = name.partition(" ")
            if exercise in self.exercises and Key(exercise, mistake) in keys_of(exercise):
                yield Key(exercise, mistake)
        shuffled = pick.sample(self.exercises, len(self.exercises))
        for exercise in shuffled:
            new = [
                key
                for key in keys_of(exercise)
                if str(key) not in known and bool(key.mistake) != sound
            ]
            yield from pick.sample(new, len(new))
        if sound:  # always some, or it would pay to guess that something is wrong
            yield from map(Key, shuffled)


def _read_cards(cards: dict) -> Iterator[tuple[str, Card]]:
    """What is kept of each item; what cannot be read counts as new."""
    for name, card in cards.items():
        try:
            yield name, Card.from_dict(card)
        except (KeyError, TypeError, ValueError):
            continue


def title(item: Item) -> str:
    """What an item is about, in one line."""
    exercise = find_exercise(item.key.exercise)
    return f"{exercise.id} {exercise.title}: {', '.join(item.symbols)}"
