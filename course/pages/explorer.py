"""A playground for the sampler: ask for a digit, move the settings, watch the walk from noise.

With a model that reads prompts, you write what is to be drawn and what is not wanted.
"""

import html
import io
import threading
from base64 import b64encode
from pathlib import Path

import ipywidgets as widgets
from PIL import Image
from torch import Tensor

from course import CourseError
from course.model import SAMPLERS
from course.model.exported import load_exported
from course.model.models import SHIPPED, load_model
from course.model.pictures import film_gif, to_image
from course.model.prompts import like
from course.model.sampling import draw
from course.pages.notebook import picture_html
from course.probing.loading import Implementation

COUNT = 10  # digits that are drawn at once, in two rows
ZOOM = 4  # screen pixels for a pixel of the model
FRAMES = 20  # moments of the film, at most
ASKS = {"0 to 9": list(range(10)), "any": [None] * COUNT}
ASKS |= {str(digit): [digit] * COUNT for digit in range(10)}


class Stopped(Exception):
    """Stop was pressed."""


class Explorer(widgets.VBox):
    """A model with its settings as widgets. It draws once when it is made.

    Later walks run in a thread of their own, so that the page stays alive and Stop is heard.

    Args:
        model_file: the shipped model of digits if left out. A model that reads prompts has a line
            for each prompt, up to ten of them, and they take turns in the ten pictures. One that
            was distilled draws in its few calls: guidance, steps and sampler are not to be chosen.
        onnx: ONNX Runtime computes the network, from what `course export-model --onnx` wrote.
    """

    def __init__(self, model_file: Path = SHIPPED, onnx: bool = False):
        self._impl = Implementation("solutions")
        load = load_exported if onnx else load_model
        self._model, self._config = load(model_file, self._impl)
        self._stop = threading.Event()
        self.film: list[Tensor] = []  # each (COUNT, channels, height, width), from noise to picture

        def wide(kind, name: str, **settings):
            layout, style = (
                widgets.Layout(width="30em", max_width="100%"),
                {"description_width": "7em"},
            )
            return kind(description=name, layout=layout, style=style, **settings)

        text = self._config.text
        if text is None:
            self.asked = wide(widgets.Dropdown, "digit", options=list(ASKS))
        else:
            self.asked = wide(widgets.Textarea, "prompts", value=like(text).strip('"'), rows=3)
        self.unwanted = wide(widgets.Text, "not wanted")
        self.guidance = wide(
            widgets.FloatSlider, "guidance w", value=1.0, min=-1.0, max=8.0, step=0.5
        )
        self.steps = wide(widgets.IntSlider, "steps", value=20, min=2, max=200)
        self.sampler = wide(widgets.Dropdown, "sampler", options=SAMPLERS, value="2m")
        self.seed = wide(widgets.BoundedIntText, "seed", value=4, max=10**6)
        if self._config.calls:  # distilled: there is one way to draw with it
            self.guidance.value, self.sampler.value = 0.0, "ddim"
            self.steps.min = self.steps.value = self._config.calls
            for setting in (self.guidance, self.steps, self.sampler):
                setting.disabled = True
        self.draw_button = widgets.Button(description="Draw", icon="pencil")
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.bar = wide(widgets.IntProgress, "progress")
        self.words = widgets.HTML()
        self.picture = widgets.HTML()
        self.play = widgets.Play(min=1, interval=150)
        self.moment = wide(widgets.IntSlider, "moment", min=1)
        self.files = widgets.HTML()

        self.draw_button.on_click(lambda button: self.start())
        self.stop_button.on_click(lambda button: self._stop.set())
        self.moment.observe(lambda change: self._show_moment(), "value")
        widgets.jslink((self.play, "value"), (self.moment, "value"))
        buttons = widgets.HBox([self.draw_button, self.stop_button])
        settings = [self.asked, self.guidance, self.steps, self.sampler, self.seed]
        if text is not None:
            settings.insert(1, self.unwanted)
        film = widgets.HBox([self.play, self.moment])
        super().__init__([*settings, buttons, self.bar, self.words, self.picture, film, self.files])
        self.add_class("course-widget")
        self._draw()

    def start(self) -> threading.Thread | None:
        """Draw in the background, as the button does.

        Returns:
            the thread that draws, or None if one is drawing already.
        """
        if self.draw_button.disabled:
            return None
        self._stop.clear()
        self.draw_button.disabled, self.stop_button.disabled = True, False
        thread = threading.Thread(target=self._draw, daemon=True)
        thread.start()
        return thread

    def _draw(self) -> None:
        settings = {
            "guidance": self.guidance.value,
            "num_steps": self.steps.value,
            "sampler": self.sampler.value,
            "seed": self.seed.value,
        }
        try:
            asked, words = self._asked()
            _, film = draw(
                self._impl,
                self._model,
                self._config,
                asked,
                film_frames=FRAMES,
                on_step=self._step,
                unwanted=self.unwanted.value.strip() or None,
                **settings,
            )
        except Stopped:
            self._say(f"stopped after {self.bar.value} of {self.bar.max} steps")
        except CourseError as error:
            self._say(str(error))
        else:
            self.bar.value = self.bar.max
            self._say(
                "asked for {}: w = {guidance:g}, {num_steps} step{} of {sampler}, seed {seed} "
                "(model trained on {})".format(
                    words, "s" * (self.steps.value > 1), self._config.data, **settings
                )
            )
            self._show(film)
        finally:
            self.draw_button.disabled, self.stop_button.disabled = False, True

    def _asked(self) -> tuple[list, str]:
        """What each picture is to show, and this in words."""
        if self._config.text is None:
            return ASKS[self.asked.value], self.asked.value
        prompts = [line for line in self.asked.value.splitlines() if line.strip()]
        if not 1 <= len(prompts) <= COUNT:
            raise CourseError(f"write 1 to {COUNT} prompts, one a line; there are {len(prompts)}")
        words = ", ".join(f'"{prompt}"' for prompt in prompts)
        if self.unwanted.value.strip():
            words += f', not "{self.unwanted.value.strip()}"'
        return [prompts[n % len(prompts)] for n in range(COUNT)], words

    def _step(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped
        self.bar.max, self.bar.value = total, done

    def _say(self, words: str) -> None:
        self.words.value = f'<span role="status">{html.escape(words)}</span>'

    def _show(self, film: list[Tensor]) -> None:
        """Put a new walk on the page: its last moment, its film, and both as files."""
        self.film = film
        self.moment.max = self.play.max = len(film)
        self.moment.value = len(film)
        self._show_moment()
        frames = [self._grid(frame) for frame in film]
        digits, walk = io.BytesIO(), io.BytesIO(film_gif(frames))
        frames[-1].save(digits, "PNG")
        self.files.value = (
            f"{_download('digits.png', 'image/png', digits)} · "
            f"{_download('walk.gif', 'image/gif', walk)}"
        )

    def _grid(self, images: Tensor) -> Image.Image:
        image_grid = self._impl.chapter("ch06_guided_sampling").image_grid
        return to_image(image_grid(images, COUNT // 2), ZOOM)

    def _show_moment(self) -> None:
        number, count = self.moment.value, len(self.film)
        png = io.BytesIO()
        self._grid(self.film[number - 1]).save(png, "PNG")
        alt = f"ten pictures: moment {number} of {count} of the walk from noise to digits"
        self.picture.value = picture_html(png.getvalue(), alt)


def _download(name: str, kind: str, content: io.BytesIO) -> str:
    data = b64encode(content.getvalue()).decode()
    return (
        f'<a download="{name}" href="data:{kind};base64,{data}" '
        f'style="text-decoration: underline">Download {name}</a>'
    )
