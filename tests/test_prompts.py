"""Prompts at work: sets with captions, runs, drawing, the command line, figures and maps."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks import prompts as benchmark
from course import CourseError
from course.cli import main
from course.grading.mixture import Mixture
from course.model import PRESET_NAMES, evaluation, prompt_evaluation, sampling
from course.model.data import load_images
from course.model.models import (
    SHIPPED,
    TextConfig,
    build_model,
    load_model,
    save_model,
    ship,
    with_places,
)
from course.model.prompt_evaluation import PromptEvaluation, as_dict, flags
from course.model.prompts import for_scenes, read_prompts, text_of, with_captions
from course.model.rehearsal import rehearse_network, small
from course.model.sampling import draw
from course.model.scenes import ALONE, PARTS, SIZES, make_scenes
from course.model.training import PRESETS, Run
from course.model.word_maps import word_maps
from course.pages.explorer import COUNT, Explorer

SMOKE = replace(
    PRESETS["prompts"],
    model=replace(
        small(PRESETS["prompts"].model),
        channel_mults=(1, 2),
        text=TextConfig(dim=16, heads=2),
    ),
    epochs=2,
    batch_size=8,
    images_per_epoch=32,
    num_scenes=64,
    warmup=4,
    sample_steps=2,
)
CONFIG = replace(for_scenes(SMOKE.model, "scenes"), data="scenes of mnist5k")
TEXT = CONFIG.text
SEVEN, FOUR = "a red seven on blue", "a white four on black"


def make_run(folder, solutions, preset=SMOKE, **options):
    return Run(folder, preset, solutions, data="mnist5k", device="cpu", quiet=True, **options)


@pytest.fixture(scope="module")
def tiny(solutions):
    """A network whose cross-attention does something, though it has not been trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(solutions, CONFIG)
        for name, weight in model.named_parameters():
            if name.endswith("to_out.weight"):
                torch.nn.init.normal_(weight, std=0.5)
    return model.eval()


@pytest.fixture
def saved(tmp_path, tiny, monkeypatch):
    """A workspace with the run `mine`, whose model is `tiny`."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    save_model(tmp_path / "runs" / "mine" / "models" / "model.safetensors", tiny, CONFIG)
    return tmp_path


# Captions and prompts


def test_any_captions_make_a_set(solutions):
    """As of photographs with class names: what they are is no matter."""
    captions = ["a photo of a cat", "A photo of a ship.", "a dog"]
    pixels = torch.arange(3 * 3 * 8 * 8).view(3, 3, 8, 8).remainder(256).to(torch.uint8)
    text = text_of(solutions, captions, TEXT)
    assert text.words == ("a", "cat", "dog", "of", "photo", "ship") and text.length == 6
    held_out = with_captions(solutions, text, lambda i: pixels[i], ["a photo of a cow"], "animals")
    pictures = with_captions(solutions, text, lambda i: pixels[i], captions, "animals")
    x0, tokens = pictures.batch(torch.tensor([2, 0]))
    assert torch.equal(x0, pixels[[2, 0]] / 127.5 - 1) and len(pictures) == 3
    ch09 = solutions.chapter("ch09_prompts")
    assert tokens.tolist()[0] == [ch09.BOS, 4, 6, ch09.PAD, ch09.PAD, ch09.PAD]
    assert held_out.tokens[0].tolist()[-1] == ch09.UNK


def test_a_prompt_is_read_with_its_strengths(solutions):
    tokens, mask = read_prompts(solutions, TEXT, ["A red:2 seven, on:0 blue:.5", "four"])
    plain, _ = read_prompts(solutions, TEXT, ["a red seven on blue", "four"])
    assert torch.equal(tokens, plain)
    assert mask.tolist() == [[1, 1, 2, 1, 0, 0.5], [1, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    "prompt, words",
    [
        (
            "a rad seven",
            "not know the word 'rad'; nearest in spelling is 'red'. It knows: a, on, red",
        ),
        ("a red seven left of", "does not know the word 'left'"),
        (" , ", "at least one word, got ' , '; try \"a red seven on blue\""),
        ("a red red red seven on blue", "has 7 words, and this model reads 5 at most"),
        ("a red:x", "a number from 0 to 100 such as 1.5, got 'red:x'"),
        ("a red:-1", "got 'red:-1'"),
        ("a red:nan", "got 'red:nan'"),
        ("a red:", "got 'red:'"),
        ("a red:1000", "got 'red:1000'"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_told(solutions, prompt, words):
    with pytest.raises(CourseError) as error:
        read_prompts(solutions, TEXT, [SEVEN, prompt])
    assert words in str(error.value)


# Runs


def test_a_run_learns_from_captions_and_leaves_pictures_in_colour(tmp_path, solutions):
    run = make_run(tmp_path / "run", solutions, replace(SMOKE, epochs=1, images_per_epoch=192))
    before = run.held_out_eps_mse()
    run.train()
    assert run.held_out_eps_mse() < 0.9 * before
    folder = tmp_path / "run"
    for name in ("generated_samples/epoch_1.png", "denoising_steps/frame_00.png"):
        assert Image.open(folder / name).mode == "RGB"
    model, config = load_model(folder / "models" / "model.safetensors", solutions)
    assert config == run.config and config.data == "scenes of mnist5k"
    assert set(" ".join(run.train_set.captions).split()) <= set(config.text.words)
    changed = {n for n, w in model.named_parameters() if w.abs().sum() > 0 and "to_out" in n}
    assert changed, "the pixels have learned to look at no word"


class Stop(Exception):
    pass


def test_an_interrupted_run_reaches_the_same_weights(tmp_path, solutions, monkeypatch):
    make_run(tmp_path / "whole", solutions).train()
    half = make_run(tmp_path / "half", solutions, save_every=3)
    save = Run._save

    def stop(self, name, step):
        save(self, name, step)
        if step == 3:
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Run, "_save", stop)
        half.train()
    make_run(tmp_path / "half", solutions, save_every=3).train()
    one, other = (
        load_model(tmp_path / name / "models" / "model.safetensors", solutions)[0].state_dict()
        for name in ("whole", "half")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_whole_captions_are_dropped_in_training(tmp_path, solutions):
    ch09 = solutions.chapter("ch09_prompts")
    run = make_run(tmp_path, solutions, replace(SMOKE, label_dropout=0.5))
    seen = []
    run.model.register_forward_pre_hook(lambda model, inputs: seen.append(inputs[2]))
    list(run.steps(run.batches(0), first_step=0))
    null = torch.cat(seen) == ch09.NULL
    assert torch.equal(null.any(dim=1), null.all(dim=1)) and 4 < null.all(dim=1).sum() < 28


def test_the_command_line_knows_all_presets():
    assert PRESET_NAMES == tuple(PRESETS)


def test_each_reader_of_captions_is_built_and_what_it_is_made_of_is_known(solutions, tmp_path):
    called = {}
    for encoder in ("cross", "pooled", "bag"):
        config = replace(CONFIG, text=replace(TEXT, encoder=encoder))
        mixture = Mixture(solutions.folder)
        rehearse_network(mixture, config)
        called[encoder] = {e.id for e in mixture.called() if e.id.startswith("9")}
        save_model(tmp_path / "m.safetensors", build_model(solutions, config), config)
        assert load_model(tmp_path / "m.safetensors", solutions)[1] == config
    assert called == {"cross": {"9.2", "9.3", "9.5"}, "pooled": {"9.2", "9.5"}, "bag": {"9.5"}}


def test_pixels_that_look_at_words_can_be_told_where_they_are(solutions, tmp_path):
    config = replace(CONFIG, text=replace(TEXT, places=True))
    model = build_model(solutions, config).eval()
    save_model(tmp_path / "m.safetensors", model, config)
    again = load_model(tmp_path / "m.safetensors", solutions)[0]
    x = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    tokens = read_prompts(solutions, TEXT, [SEVEN, FOUR])[0]
    asked = (x, torch.tensor([10, 500]), tokens)
    assert torch.equal(model(*asked), again(*asked))
    assert word_maps(solutions.chapter("ch09_prompts"), model, *asked, tokens != 0).shape[0] == 2

    class Given(nn.Module):
        """In the place of the attention: what it is given comes back."""

        def __init__(self, *sizes):
            super().__init__()

        def forward(self, x, words, mask):
            return x

    placed = with_places(Given)(4, 8, 2, 2)
    nn.init.zeros_(placed.places.bias)
    placed.places.weight.data = torch.tensor([[1.0, 0], [0, 1], [0, 0], [2, -1]])
    x = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    row, column = torch.linspace(-1, 1, 3)[:, None], torch.linspace(-1, 1, 5)
    added = torch.stack([row + 0 * column, 0 * row + column, 0 * row * column, 2 * row - column])
    assert torch.allclose(placed(x, None, None), x + added, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"words": []},
        {"words": [1, 2]},
        {"words": ["red", "red"]},
        {"words": "red"},
        {"length": 1},
        {"length": 10**9},
        {"dim": 6, "heads": 4},
        {"heads": 3, "dim": 15},
        {"heads": 0},
        {"encoder": "magic"},
        {"colours": 3},
        3,
        [],
    ],
)
def test_a_configuration_of_words_that_makes_no_sense_is_told(tmp_path, tiny, solutions, change):
    broken = replace(CONFIG, text=change if not isinstance(change, dict) else TEXT)
    if isinstance(change, dict):
        broken = replace(CONFIG, text={**vars(TEXT), **change})
    save_model(tmp_path / "m.safetensors", tiny, broken)
    with pytest.raises(CourseError, match="is not one that this version of the course writes"):
        load_model(tmp_path / "m.safetensors", solutions)


def test_a_model_of_prompts_is_shipped_beside_the_one_of_digits(saved, tiny, solutions):
    run = saved / "runs" / "mine"
    with pytest.raises(CourseError, match="trained on scenes of mnist5k"):
        ship(run, solutions, saved)
    config = replace(CONFIG, data="scenes of MNIST")
    save_model(run / "models" / "model.safetensors", tiny, config)
    path, change, size = ship(run, solutions, saved)
    assert path == saved / "prompts.safetensors" and load_model(path, solutions)[1] == config
    assert 0 < change < 0.01 * size


# Drawing


def pictures_of(solutions, tiny, prompts, **options):
    return draw(solutions, tiny, CONFIG, prompts, num_steps=3, sampler="ddim", **options)[0]


def apart(one, other):
    """How far pictures are from each other; rounding alone makes 0.0004 here."""
    return float((one - other).abs().mean())


def test_drawing_follows_each_word_and_its_strength(solutions, tiny):
    first, again = (pictures_of(solutions, tiny, [SEVEN]) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (1, 3, 28, 28)
    for prompt in (FOUR, "a blue seven on red", "a red:2 seven on blue", "a red:0 seven on blue"):
        assert apart(pictures_of(solutions, tiny, [prompt]), first) > 0.02, prompt
    unguided = [
        pictures_of(solutions, tiny, [p], guidance=0.0) for p in (SEVEN, "a red:0 seven on blue")
    ]
    strong, weak = (
        pictures_of(solutions, tiny, [SEVEN], unwanted=f"a white:{strength} four")
        for strength in (5, 0)
    )
    assert apart(*unguided) > 0.02 and apart(strong, weak) > 0.02
    same = pictures_of(solutions, tiny, ["a red:1.0 seven on blue"])
    assert torch.equal(same, first)


def test_what_is_not_wanted_changes_the_picture_under_guidance(solutions, tiny):
    plain = pictures_of(solutions, tiny, [SEVEN], guidance=0.0)
    null = pictures_of(solutions, tiny, [SEVEN], guidance=2.0)
    away = pictures_of(solutions, tiny, [SEVEN], guidance=2.0, unwanted=FOUR)
    itself = pictures_of(solutions, tiny, [SEVEN], guidance=2.0, unwanted=SEVEN)
    assert apart(null, away) > 0.05 and apart(null, plain) > 0.05
    assert apart(itself, plain) < 0.005  # wanted and unwanted are the same: no direction


def test_each_picture_has_its_own_prompt_in_however_many_walks(solutions, tiny, monkeypatch):
    prompts = [SEVEN, FOUR, "a green one on white"]
    together = pictures_of(solutions, tiny, prompts, unwanted=FOUR)
    monkeypatch.setattr(sampling, "MAX_BATCH", 1)
    assert apart(pictures_of(solutions, tiny, prompts, unwanted=FOUR), together) < 0.005


def test_sample_draws_prompts_into_one_grid(saved, capsys):
    sample = ["sample", "--run", "mine", "--steps", "2", "--sampler", "2m", "--prompt"]
    assert main([*sample, SEVEN]) == 0
    assert Image.open(saved / "pictures" / "a_red_seven_on_blue.png").size == (16 * 32, 16 * 32)
    grid = saved / "grid.png"
    options = ["--count", "2", "--negative", "a blue:2 four", "--film", "--out", str(grid)]
    assert main([*sample, SEVEN, FOUR, "red", *options]) == 0
    assert Image.open(grid).size == (3 * (2 * 30 + 2), 3 * (3 * 30 + 2))
    assert "a row for each prompt" in capsys.readouterr().out
    assert Image.open(saved / "grid_film.gif").n_frames == 2


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--run", "mine"], 'draws what a prompt says: --prompt "a red seven on blue"'),
        (["--run", "mine", "--digit", "3"], "draws what a prompt says"),
        (["--run", "mine", "--prompt", "red", "--digit", "3"], "leave out --digit and --any"),
        (["--run", "mine", "--prompt", "red", "--any"], "leave out --digit and --any"),
        (["--run", "mine", "--prompt", "a rad"], "nearest in spelling is 'red'"),
        (
            ["--run", "mine", "--prompt", "red", "--negative", "gren"],
            "nearest in spelling is 'green'",
        ),
        (
            ["--run", "mine", "--prompt", "red", "--negative", "blue", "--guidance", "0"],
            "--guidance 0 takes no notice",
        ),
        (["--negative", "blue"], "--negative goes with --prompt"),
    ],
)
def test_what_cannot_be_drawn_is_told(saved, arguments, words, capsys):
    assert main(["sample", "--steps", "2", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().out.split())


def test_a_model_of_digits_reads_no_prompt(capsys, monkeypatch):
    monkeypatch.setattr("course.model.models.SHIPPED_PROMPTS", SHIPPED)
    assert main(["sample", "--prompt", "red", "--steps", "2"]) == 2
    assert "draws digits by their numbers" in " ".join(capsys.readouterr().out.split())


# Figures


@pytest.mark.parametrize("kind", SIZES)
def test_pictures_that_show_what_was_asked_are_right_and_others_are_flagged(
    kind, solutions, tmp_path, monkeypatch
):
    config = replace(for_scenes(SMOKE.model, kind), data=f"{kind} of mnist5k")
    save_model(tmp_path / "m.safetensors", build_model(solutions, config), config)
    measuring = PromptEvaluation(
        solutions, tmp_path / "m.safetensors", tmp_path / "e.json", count=100, quiet=True
    )
    real = measuring.real
    assert min(share.value for part in PARTS for share in real[part].values()) > 0.9
    assert flags(real, real) == []
    scenes = measuring.asked["seen"]
    pictures = scenes.pixels(slice(None)) / 127.5 - 1
    shifted = measuring.shares(pictures.roll(1, 0), scenes.facts)  # everybody gets another's
    assert all(share.value < 0.5 for share in shifted.values()), shifted
    found = as_dict({"seen": shifted})["seen"]
    parts = [found[name]["value"] for name in ("digit", "colour", "ground")]
    assert found["product"] == pytest.approx(parts[0] * parts[1] * parts[2])
    told = " ".join(flags({"seen": shifted}, real))
    assert "pictures show the digit asked for, seen combinations" in told
    monkeypatch.setattr(prompt_evaluation.PromptEvaluation, "draw", lambda self, asked, w: pictures)
    row = measuring.row(1.0)
    assert (
        row["seen"]["all"]["value"] == real["seen"]["all"].value > row["held out"]["all"]["value"]
    )


def test_of_pairs_each_attribute_counts_where_the_caption_says_something_of_it(solutions):
    ch08 = solutions.chapter("ch08_evaluation")
    generator = torch.Generator().manual_seed(0)
    facts = make_scenes("pairs", load_images("mnist5k"), 50, generator).facts
    shares = prompt_evaluation.shares_of(ch08, "pairs", facts, facts)
    assert shares["digit"].count == shares["all"].count == 50
    two = int((facts.layout > 0).sum())
    assert shares["binding"].count == shares["relation"].count == two < 50
    assert shares["size"].count == shares["place"].count == 50 - two > 0


def test_evaluate_measures_each_part_of_a_caption(saved, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "MSE_IMAGES", 16)  # the network's error is not what is tested
    command = ["evaluate", "mine", "--count", "10", "--steps", "2", "--guidance", "0", "2"]
    assert main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in ("scenes of mnist5k", "held out combinations", "product of", "w = 2"):
        assert words in out
    assert "w = 0: only" in out, "an untrained model draws what nobody asked for"
    report = json.loads((saved / "runs" / "mine" / "evaluation.json").read_text())
    assert report["complete"] and [row["guidance"] for row in report["generated"]] == [0, 2]
    assert report["real"]["seen"]["ground"]["value"] == 1
    assert report["generated"][0]["held out"]["digit"]["count"] == 10
    assert main([*command, "--data", "mnist"]) == 2


def test_a_model_whose_pictures_cannot_be_read_is_not_measured(tmp_path, solutions, tiny):
    config = replace(CONFIG, data="photographs")
    save_model(tmp_path / "m.safetensors", tiny, config)
    with pytest.raises(CourseError, match="measured are models of scenes, pairs, large scenes"):
        PromptEvaluation(solutions, tmp_path / "m.safetensors", tmp_path / "e.json", count=10)


def test_maps_share_out_each_pixels_attention(solutions, tiny):
    ch09 = solutions.chapter("ch09_prompts")
    tokens, mask = read_prompts(solutions, TEXT, [SEVEN, "a red:0 seven"])
    x = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    maps = word_maps(ch09, tiny, x, torch.tensor([10, 500]), tokens, mask)
    assert maps.shape == (2, TEXT.length, 28, 28)
    assert torch.allclose(maps.sum(dim=1), torch.ones(2, 28, 28), atol=1e-5)
    assert (maps[1, [2, 4, 5]] == 0).all() and (maps[0] > 0).all()
    assert maps[0, 2].std() > 1e-4, "all pixels look alike"
    assert not any(module._forward_hooks for module in tiny.modules())
    config = replace(CONFIG, text=replace(TEXT, encoder="pooled"))
    with pytest.raises(ValueError, match="no cross-attention"):
        word_maps(ch09, build_model(solutions, config), x, torch.tensor([1, 2]), tokens, mask)


def test_the_command_behind_the_chapters_figures(tmp_path, solutions, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "SCALES", (0.0, 1.0))
    monkeypatch.setattr(benchmark, "STEPS", 2)
    out = tmp_path / "prompts.json"
    make_run(tmp_path / "prompts", solutions, replace(SMOKE, epochs=1)).train()
    bag = replace(CONFIG, text=replace(TEXT, encoder="bag"))
    file = tmp_path / "prompts-bag" / "models" / "model.safetensors"
    save_model(file, build_model(solutions, bag), bag)
    record = {"settings": {}, "measured": {}}
    benchmark.measure(tmp_path, 12, 0, record, out)
    assert "no run pairs; to have it: course train --preset pairs" in capsys.readouterr().out
    stored = json.loads(out.read_text())["measured"]
    assert set(stored) == {
        "encoder cross", "encoder bag", "prompts w 0", "prompts w 1", "prompts grid", "maps",
        "epoch 1",
    }  # fmt: skip
    for name in ("all", "digit", "colour", "ground"):  # the last epoch's weights are the model's
        assert stored["epoch 1"]["seen"][name] == stored["prompts w 1"]["seen"][name]
    # From the same noise a bag of words draws the same for two captions with the same words.
    assert stored["encoder bag"]["both of two"]["part"] == 0
    maps = torch.tensor(stored["maps"]["maps_per_mille"])
    assert maps.shape == (10, 6, 14, 14) and (maps.sum(dim=1) - 1000).abs().max() <= 3
    assert Image.open(tmp_path / "prompts_maps.png").size == (280, 28)
    assert Image.open(tmp_path / "prompts_prompts_grid.png").size == (280, 56)
    assert len(benchmark.table(stored)) == 2 + 2 * 5
    # What has been measured is not measured again, unless the run is another.
    monkeypatch.setattr(benchmark.Model, "attributes", lambda self, w: {"again": self.folder.name})
    monkeypatch.setattr(benchmark.Model, "exchanged", lambda self: {})
    save_model(file, build_model(solutions, bag), bag)
    benchmark.measure(tmp_path, 12, 0, record, None)
    assert [n for n, f in record["measured"].items() if "again" in f] == ["encoder bag"]


def test_the_relation_is_measured_from_both_sides(tmp_path, solutions, monkeypatch):
    """Of painted pictures it is right; of pictures with the second digit first it never is."""
    config = replace(for_scenes(SMOKE.model, "pairs"), data="pairs of mnist5k")
    file = tmp_path / "models" / "model.safetensors"
    save_model(file, build_model(solutions, config), config)
    model = benchmark.Model(tmp_path, 40, 0)
    scenes = model.scenes["seen"]
    two = scenes.facts.layout != ALONE
    painted = scenes.pixels(two) / 127.5 - 1
    turned = []

    def draw_first_side_only(captions, guidance):
        turned.append(captions)
        return painted if len(turned) == 1 else painted.flip(2, 3)

    monkeypatch.setattr(model, "draw", draw_first_side_only)
    right = model.sides()
    assert right["from the left or above"]["value"] > 0.9
    assert right["from the right or below"]["value"] == right["both"]["value"] == 0
    assert all(" left of " in c or " above " in c for c in turned[0])
    assert all(" right of " in c or " below " in c for c in turned[1])
    assert len(turned[0]) == len(turned[1]) == int(two.sum())


# The explorer


def test_the_explorer_reads_prompts(saved, solutions, tiny):
    explorer = Explorer(saved / "runs" / "mine" / "models" / "model.safetensors")
    assert 'asked for "a red seven on blue"' in explorer.words.value.replace("&quot;", '"')
    explorer.asked.value, explorer.unwanted.value = f"{SEVEN}\n\n{FOUR}", "green"
    explorer.steps.value = 3
    explorer.start().join()
    wanted, _ = draw(
        solutions, tiny, CONFIG, [SEVEN, FOUR] * (COUNT // 2), guidance=explorer.guidance.value,
        num_steps=3, sampler="2m", seed=explorer.seed.value, unwanted="green",
    )  # fmt: skip
    # The explorer draws in a thread of its own, where torch may share the work out otherwise.
    torch.testing.assert_close(explorer.film[-1], wanted, rtol=0, atol=1e-2)
    explorer.asked.value = "a rad seven"
    explorer.start().join()
    assert "nearest in spelling" in explorer.words.value
    explorer.asked.value = "red\n" * (COUNT + 1)
    explorer.start().join()
    assert "write 1 to 10 prompts, one a line; there are 11" in explorer.words.value
