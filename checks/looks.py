"""What `course review` lets you judge by eye: small calls whose results you can foresee.

The numbers are chosen so that the right result can be worked out in the head: with alpha_bar = 0.64
the image has the weight 0.8, and the noise 0.6.
"""

from types import SimpleNamespace

import torch

from course.grading.looks import Curve, Numbers, Picture, look

WEIGHTS = ((0.64, 0.8, 0.6), (0.36, 0.6, 0.8))  # alpha_bar and its two roots


def generator(pick) -> torch.Generator:
    return torch.Generator().manual_seed(pick.randrange(1000))


def grey(*values: float) -> torch.Tensor:
    """Images of one pixel, (B, 1, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def listed(values: torch.Tensor) -> torch.Tensor:
    """The pixels of such images as a row."""
    return values.flatten() if values.numel() < 9 else values


# 01


@look("1.1", "linear_betas")
def betas_in_a_row(impl, pick):
    count, end = pick.choice(((3, 0.03), (5, 0.05), (6, 0.06)))
    return Numbers(
        f"linear_betas({count}, 0.01, {end})", {"betas": impl.linear_betas(count, 0.01, end)}
    )


@look("1.1", "linear_betas")
def betas_as_a_curve(impl, pick):
    count, end = pick.choice((100, 1000)), pick.choice((0.02, 0.1))
    betas = impl.linear_betas(count, 0.001, end)
    call = f"linear_betas({count}, 0.001, {end})"
    return Curve(call, torch.arange(len(betas)), betas.double(), "position", "beta")


@look("1.2", "cosine_betas")
def cosine_as_what_is_left(impl, pick):
    count = pick.choice((100, 1000))
    left = (1 - impl.cosine_betas(count).double()).cumprod(0)
    call = f"(1 - cosine_betas({count})).cumprod(0)"
    return Curve(call, torch.arange(len(left)), left, "t", "alpha_bar")


@look("1.3", "compute_alpha_bars")
def products(impl, pick):
    betas = pick.choice(((0.5, 0.2, 0.1), (0.1, 0.5, 0.2), (0.2, 0.5, 0.5)))
    return Numbers(
        f"compute_alpha_bars(torch.tensor({list(betas)}))",
        {"alpha_bars": impl.compute_alpha_bars(torch.tensor(betas))},
    )


@look("1.4", "log_snr")
def signs_of_the_log_snr(impl, pick):
    middle = pick.choice((0.9, 0.1))
    found = impl.log_snr(torch.tensor([0.999, middle, 0.5]))
    return Numbers(
        f"log_snr(torch.tensor([0.999, {middle}, 0.5])); note that log 9 = 2.197, log 999 = 6.907",
        {"log-SNR": found},
    )


@look("1.4", "equally_noisy")
def pairs_of_steps(impl, pick):
    # No step is in both schedules; the nearest is now the noisier neighbour, now the other.
    other = pick.choice(((0.99, 0.82, 0.6, 0.2), (0.95, 0.7, 0.45, 0.01)))
    found = impl.equally_noisy(torch.tensor([0.9, 0.5, 0.1]), torch.tensor(other))
    call = f"equally_noisy(torch.tensor([0.9, 0.5, 0.1]), torch.tensor({list(other)}))"
    return Numbers(call, {"steps of the other": found})


# 02


@look("2.1", "gather_at")
def numbers_of_two_images(impl, pick):
    t = pick.choice(((2, 0), (1, 2), (0, 2)))
    found = impl.gather_at(torch.tensor([10.0, 20.0, 30.0]), torch.tensor(t), 4)
    call = f"gather_at(torch.tensor([10., 20., 30.]), torch.tensor({list(t)}), 4)"
    return Numbers(call, {"the numbers": found})


@look("2.2", "q_step")
def one_step(impl, pick):
    alpha, image, noise = pick.choice(WEIGHTS)
    betas = torch.tensor([0.5, 1 - alpha])
    found = impl.q_step(grey(1, 0, 1), torch.tensor([1, 1, 1]), grey(0, 1, 1), betas)
    call = (
        f"q_step(x_prev, t, eps, betas) of three images of one pixel, t = 1 for each, betas = "
        f"[0.5, {1 - alpha:g}]"
    )
    return Numbers(call, {"x_prev": [1, 0, 1], "eps": [0, 1, 1], "x_t": listed(found)})


@look("2.3", "q_sample")
def one_jump(impl, pick):
    alpha_bar, image, noise = pick.choice(WEIGHTS)
    found = impl.q_sample(
        grey(1, 0, 1), torch.tensor([1, 1, 1]), grey(0, 1, 1), torch.tensor([0.9, alpha_bar])
    )
    call = (
        f"q_sample(x0, t, eps, alpha_bars) of three images of one pixel, t = 1 for each, "
        f"alpha_bars = [0.9, {alpha_bar}]"
    )
    return Numbers(call, {"x0": [1, 0, 1], "eps": [0, 1, 1], "x_t": listed(found)})


@look("2.3", "q_sample")
def ring_in_stripes(impl, pick):
    rows = torch.linspace(-1, 1, 28)
    radius = (rows[:, None].square() + rows.square()).sqrt()
    ring = torch.where((radius - 0.6).abs() < 0.15, 1.0, -1.0).view(1, 1, 28, 28)
    eps = torch.where(rows > 0, 1.0, 0.0).expand(1, 1, 28, 28)
    alpha_bar = pick.choice((0.64, 0.36))
    x_t = impl.q_sample(ring, torch.tensor([1]), eps.clone(), torch.tensor([0.99, alpha_bar]))
    call = (
        f"q_sample(x0, t, eps, alpha_bars), t = 1, alpha_bars = [0.99, {alpha_bar}]: x0 is a white "
        "ring (1) on black (-1), eps is 0 in the left half and 1 in the right"
    )
    return Picture(call, x_t[0, 0], -2.0, 2.0)


@look("2.3", "joint_noise")
def two_noises(impl, pick):
    noise = pick.choice(((1.0, 0.0), (0.0, 1.0)))
    betas = torch.tensor([0.5, 0.5])
    found = impl.joint_noise(torch.tensor(noise).view(2, 1, 1, 1, 1), betas)
    call = (
        f"joint_noise of the noises {noise[0]:g} and then {noise[1]:g}, betas 0.5 and 0.5; note "
        "that sqrt(1/3) = 0.5774, sqrt(2/3) = 0.8165"
    )
    return Numbers(call, {"eps": listed(found)})


@look("2.4", "predict_x0")
def the_way_back(impl, pick):
    alpha_bar, image, noise = pick.choice(WEIGHTS)
    x_t = (image, noise, image + noise)
    found = impl.predict_x0(
        grey(*x_t), torch.tensor([1, 1, 1]), grey(0, 1, 1), torch.tensor([0.9, alpha_bar])
    )
    call = f"predict_x0(x_t, t, eps, alpha_bars), t = 1 for each, alpha_bars = [0.9, {alpha_bar}]"
    return Numbers(call, {"x_t": list(x_t), "eps": [0, 1, 1], "x0": listed(found)})


@look("2.4", "amplification")
def growth_of_errors(impl, pick):
    levels = pick.choice(((0.5, 0.1), (0.9, 0.5), (0.8, 0.2)))
    found = impl.amplification(torch.tensor(levels))
    return Numbers(f"amplification(torch.tensor({list(levels)}))", {"factors": found})


@look("2.5", "combine")
def two_thermometers(impl, pick):
    one, other = pick.choice(((1.0, 3.0), (3.0, 1.0), (1.0, 1.0)))
    arguments = (torch.tensor(v) for v in (20.0, one, 30.0, other))
    call = f"combine(20, {one:g}, 30, {other:g}): means 20 and 30, variances {one:g} and {other:g}"
    mean, variance = impl.combine(*arguments)
    return Numbers(call, {"mean": mean, "variance": variance})


@look("2.5", "q_posterior")
def posterior_of_a_pixel(impl, pick):
    weights = pick.choice(((0.25, 0.5), (0.75, 0.125)))
    schedule = SimpleNamespace(
        posterior_x0_coef=torch.tensor([1.0, weights[0]]),
        posterior_xt_coef=torch.tensor([0.0, weights[1]]),
        posterior_variance=torch.tensor([0.0, 0.04]),
    )
    found = impl.q_posterior(grey(1, 1), grey(2, 2), torch.tensor([0, 1]), schedule)
    # Unpacked, a tensor alone would fall into its two images.
    mean, variance = (found, None) if isinstance(found, torch.Tensor) else found
    call = (
        f"q_posterior with x0 = 1 and x_t = 2, at t = 0 and t = 1; coefficients of x0: 1, "
        f"{weights[0]:g}; of x_t: 0, {weights[1]:g}; variances: 0, 0.04"
    )
    shown = None if variance is None else listed(variance)
    return Numbers(call, {"mean": listed(mean), "variance": shown})


# 03


@look("3.1", "sinusoidal_embedding")
def waves_at_one_step(impl, pick):
    t = pick.choice((0, 1))
    waves = impl.sinusoidal_embedding(torch.tensor([t, 5]), 6, 100.0)
    call = (
        f"sinusoidal_embedding(torch.tensor([{t}, 5]), 6, 100.0)[0]; sin 1 = 0.8415, cos 1 = 0.5403"
    )
    return Numbers(call, {"the six entries": waves[0]})


@look("3.4", "drop_labels")
def how_many_are_dropped(impl, pick):
    p, null = pick.choice((0.1, 0.3)), 10
    labels = torch.arange(100_000) % 10
    given = labels.clone()
    chance = generator(pick)
    found = impl.drop_labels(labels, p, null, chance)
    dropped = found == null
    changed = (found != given) & ~dropped
    few, together = torch.arange(200) % 10, 0  # calls that treat all labels alike
    for _ in range(100):
        kept = impl.drop_labels(few.clone(), p, null, chance) == few
        together += bool(kept.all() or not kept.any())
    return Numbers(
        f"drop_labels(labels, {p}, {null}, generator) of 100,000 labels 0 ... 9; percent rounded",
        {
            "became the null label, in percent": round(100 * float(dropped.double().mean())),
            "became another number, in percent": round(100 * float(changed.double().mean())),
            "the labels handed in are as before": torch.equal(labels, given),
            "of 100 more calls, 200 labels each, changed all or none": together,
        },
    )


# 05


@look("5.1", "draw_noise")
def a_thousand_draws(impl, pick):
    steps = pick.choice((4, 5))
    source = generator(pick)
    # A first draw of 0 could not be told from times that were cut down to whole numbers.
    while not torch.randint(steps, (1,), generator=torch.Generator().set_state(source.get_state())):
        source = generator(pick)
    t, eps = impl.draw_noise(torch.zeros(8_000, 1, 2, 2), steps, source)
    shares = {
        f"t = {n}, in percent": round(float((t == n).double().mean()) * 20) * 5
        for n in range(steps + 1)
    }  # to the nearest five
    return Numbers(
        f"draw_noise of 8,000 images of 2 x 2 pixels with num_steps = {steps}; figures rounded",
        {
            **shares,
            "mean of eps": round(float(eps.double().mean()), 1) + 0.0,
            "variance of eps": round(float(eps.double().var()), 1),
            "the first two images with the same noise": torch.equal(eps[0], eps[1]),
        },
    )


@look("5.1", "diffusion_loss")
def loss_of_two_errors(impl, pick):
    off = pick.choice(((1.0, -7.0), (7.0, -1.0), (2.0, -8.0)))
    found = impl.diffusion_loss(
        lambda x, t, labels: torch.tensor(off).view(2, 1, 1, 1).expand(2, 1, 1, 2),
        torch.zeros(2, 1, 1, 2),
        torch.tensor([0, 1]),
        torch.tensor([3, 3]),
        torch.zeros(2, 1, 1, 2),
        torch.tensor([0.9, 0.5]),
        lambda x0, t, eps, alpha_bars: x0,
    )
    call = (
        f"diffusion_loss of two images of two pixels; the network answers {off[0]:g} more than is "
        f"right in each pixel of the first, and {off[1]:g} more in each of the second"
    )
    return Numbers(call, {"loss": found.detach()})


@look("5.2", "v_target")
def quarter_turn(impl, pick):
    alpha_bar, image, noise = pick.choice(WEIGHTS)
    found = impl.v_target(
        grey(1, 0), grey(0, 1), torch.tensor([1, 1]), torch.tensor([0.9, alpha_bar])
    )
    call = f"v_target(x0, eps, t, alpha_bars), t = 1 for each, alpha_bars = [0.9, {alpha_bar}]"
    return Numbers(call, {"x0": [1, 0], "eps": [0, 1], "v": listed(found)})


@look("5.2", "eps_from_v")
def back_from_v(impl, pick):
    alpha_bar, image, noise = pick.choice(WEIGHTS)
    found = impl.eps_from_v(
        grey(1, 0), grey(0, 1), torch.tensor([1, 1]), torch.tensor([0.9, alpha_bar])
    )
    call = f"eps_from_v(x_t, v, t, alpha_bars), t = 1 for each, alpha_bars = [0.9, {alpha_bar}]"
    return Numbers(call, {"x_t": [1, 0], "v": [0, 1], "eps": listed(found)})


@look("5.3", "EMA")
def an_average_that_follows(impl, pick):
    decay, change = pick.choice((0.95, 0.99)), pick.choice((20, 30))
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema = impl.EMA(model, decay)
    values = []
    for update in range(80):
        torch.nn.init.constant_(model.weight, float(update >= change))
        ema.update(model)
        values.append(float(ema.model.weight.detach()))
    call = f"EMA(model, {decay}): the weight is 0, and 1 from update number {change} on"
    return Curve(call, torch.arange(80), torch.tensor(values), "update number", "the average")


# 06


@look("6.2", "guided_eps")
def guided_numbers(impl, pick):
    w, answers = pick.choice((2, 3)), torch.tensor([1.0, 3.0, 2.0])  # of labels 0, 1 and null
    found = impl.guided_eps(
        lambda x, t, labels: answers[labels].view(-1, 1, 1, 1) + 0 * x,
        grey(0, 0),
        torch.tensor([5, 5]),
        torch.tensor([0, 1]),
        w,
        2,
    )
    call = (
        f"guided_eps with w = {w} of two images of one pixel, labels 0 and 1; the network answers "
        "1 to label 0, 3 to label 1, 2 to the null label"
    )
    return Numbers(call, {"eps": listed(found)})


@look("6.4", "image_grid")
def six_tiles(impl, pick):
    columns = pick.choice((2, 3))
    tiles = torch.linspace(-0.6, 1, 6).view(6, 1, 1, 1).expand(6, 1, 8, 12)
    grid = impl.image_grid(tiles, columns)
    call = f"image_grid(images, {columns})[0]: six images of 8 x 12 pixels, from dark to white"
    return Picture(call, grid[0], 0.0, 1.0)


@look("6.5", "respace")
def levels_of_a_short_walk(impl, pick):
    count = pick.choice((10, 20, 50))
    full = torch.linspace(0.001, 0.05, 100)
    betas, steps = impl.respace(full, count)
    left = (1 - betas.double()).cumprod(0)
    call = (
        f"betas, steps = respace(full_betas, {count}); the full schedule has 100 steps and ends at "
        f"alpha_bar = {float((1 - full).prod()):.4f}; drawn: (1 - betas).cumprod(0) over steps"
    )
    return Curve(call, steps, left, "step of the full schedule", "alpha_bar of the walk")


# 07


@look("7.1", "time_grid")
def grid_of_steps(impl, pick):
    spacing, count = pick.choice(("trailing", "leading", "linspace")), pick.choice((2, 5))
    alpha_bars = torch.linspace(0.999, 0.001, 100)
    found = impl.time_grid(alpha_bars, count, spacing)
    call = f'time_grid(alpha_bars, {count}, "{spacing}") with T = 100'
    return Numbers(call, {"steps": found})


@look("7.2", "ddim_step")
def a_step_without_dice(impl, pick):
    last = pick.choice((True, False))
    found = impl.ddim_step(
        grey(0.6, 0.8, 2.0),
        torch.tensor([1, 1, 1]),
        torch.tensor([-1 if last else 0] * 3),
        grey(0, 1, 0),
        None,
        torch.tensor([0.64, 0.36]),
        lambda x, t, eps, a: (
            (x - (1 - a[t]).sqrt().view(-1, 1, 1, 1) * eps) / a[t].sqrt().view(-1, 1, 1, 1)
        ),
    )
    end = "t_next = -1" if last else "t_next = 0, alpha_bar = 0.64 (roots 0.8 and 0.6)"
    call = (
        "ddim_step, eta = 0, of three images of one pixel, from t = 1, alpha_bar = 0.36 (roots 0.6 "
        f"and 0.8), to {end}"
    )
    return Numbers(call, {"x_t": [0.6, 0.8, 2.0], "eps": [0, 1, 0], "x_next": listed(found)})


# 08


@look("8.1", "right_by_class")
def counted_digits(impl, pick):
    logits, labels = pick.choice(
        (
            (((3, 2, 0), (0, 3, 2), (0, -1, -3), (-3, -1, 0), (3, 0, 2)), (1, 1, 0, 0, 0)),
            (((-3, -1, 0), (0, -1, -3), (2, 3, 0), (0, 2, 3), (0, 3, 2)), (2, 2, 1, 1, 1)),
        )
    )
    right, count, worst = impl.right_by_class(torch.tensor(logits).float(), torch.tensor(labels))
    call = f"right_by_class of the logits {logits}, asked for {labels}"
    return Numbers(call, {"right": right, "count": count, "worst": worst})


@look("8.2", "feature_moments")
def moments_of_four_points(impl, pick):
    points = pick.choice(
        (((0, 0), (2, 2), (4, 4)), ((0, 4), (2, 2), (4, 0)), ((1, 0), (3, 0), (5, 3)))
    )
    mean, cov = impl.feature_moments(torch.tensor(points).float())
    return Numbers(f"feature_moments of the points {points}", {"mean": mean, "cov": cov})


@look("8.3", "frechet_distance")
def distance_of_two_bells(impl, pick):
    apart, variance = pick.choice(((3.0, 4.0), (0.0, 9.0), (2.0, 1.0)))
    one = (torch.zeros(1).double(), torch.ones(1, 1).double())
    other = (torch.tensor([apart]).double(), torch.tensor([[variance]]).double())
    call = (
        f"frechet_distance of two Gaussians of one dimension: means 0 and {apart:g}, variances 1 "
        f"and {variance:g}"
    )
    return Numbers(call, {"d^2": impl.frechet_distance(*one, *other)})


@look("8.5", "neighbour_radii")
def radii_on_a_line(impl, pick):
    points, k = pick.choice(((0, 1, 3, 7), (0, 2, 3, 9))), pick.choice((1, 2))
    found = impl.neighbour_radii(torch.tensor(points).float().view(-1, 1), k)
    return Numbers(f"neighbour_radii of the points {points} on a line, k = {k}", {"radii": found})


@look("8.5", "recall")
def recall_on_a_line(impl, pick):
    return share_on_a_line("recall", impl.recall, pick)


@look("8.5", "coverage")
def coverage_on_a_line(impl, pick):
    return share_on_a_line("coverage", impl.coverage, pick)


def share_on_a_line(name, function, pick):
    real, made = pick.choice((((0, 1, 2, 3), (0, 1, 50)), ((0, 1, 10, 11), (0, 1, 2))))
    rows = [torch.tensor(p).float().view(-1, 1) for p in (real, made)]
    return Numbers(
        f"{name} with k = 1 on a line: real {real}, generated {made}", {name: function(*rows, 1)}
    )


@look("8.6", "two_nearest")
def nearest_on_a_line(impl, pick):
    image, training = pick.choice(((2, 5), (3, 5))), (-8, -2, 3, 9)
    found = impl.two_nearest(
        torch.tensor(image).float().view(-1, 1), torch.tensor(training).float().view(-1, 1)
    )
    call = f"two_nearest of the one-pixel images {image} among training images {training}"
    return Numbers(call, {"distances": found})


@look("8.6", "is_copy")
def who_is_a_copy(impl, pick):
    pairs = pick.choice((((1, 4), (2, 4), (0, 0)), ((1, 2), (1, 9), (0, 0))))
    found = impl.is_copy(torch.tensor(pairs).double())
    return Numbers(f"is_copy of the distances {pairs}", {"copies": found})


# 09


@look("9.1", "tokenize")
def captions_as_rows(impl, pick):
    captions = pick.choice((["red seven", "a white seven"], ["seven", "red blue seven"]))
    vocabulary = {"<pad>": 0, "<bos>": 1, "<unk>": 2, "<null>": 3, "a": 4, "red": 5, "seven": 6}
    tokens, mask = impl.tokenize(captions, vocabulary, 5)
    call = f"tokenize({captions}, vocabulary, 5); <pad> 0, <bos> 1, <unk> 2, a 4, red 5, seven 6"
    return Numbers(call, {"tokens": tokens, "mask": mask})


@look("9.6", "prompted_eps")
def away_from_a_prompt(impl, pick):
    w = pick.choice((1, 2))
    prompts = [
        SimpleNamespace(tokens=torch.tensor([[word]]), mask=torch.tensor([[True]]))
        for word in (0, 1)
    ]
    answers = torch.tensor([3.0, 2.0])
    found = impl.prompted_eps(
        lambda x, t, tokens, mask: answers[tokens].view(-1, 1, 1, 1) + 0 * x,
        grey(0),
        torch.tensor([5]),
        *prompts,
        w,
    )
    call = (
        f"prompted_eps with w = {w}; the network answers 3 to the tokens of what is wanted, and 2 "
        "to those of what is unwanted"
    )
    return Numbers(call, {"eps": listed(found)})
