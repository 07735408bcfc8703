"""Right answers to chapter 03 in other styles. Every check must accept them."""

import functools
import math
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers

answers = Answers()


def _refuse(dim):
    if dim % 2 or dim < 4:
        raise ValueError(f"dim must be even and at least 4, got {dim}")


# 3.1


@answers.right("3.1", "loops over Python floats")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    omega = [max_period ** (-i / (half - 1)) for i in range(half)]
    rows = [
        [math.sin(step * w) for w in omega] + [math.cos(step * w) for w in omega]
        for step in t.tolist()
    ]
    return torch.tensor(rows, dtype=torch.float32, device=t.device)


@answers.right("3.1", "a power in float32 and an outer product")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    omega = 1.0 / max_period ** torch.linspace(0, 1, dim // 2, device=t.device)
    angles = torch.outer(t.to(omega.dtype), omega)
    return torch.hstack([angles.sin(), angles.cos()])


@answers.right("3.1", "float64 inside, einsum")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    exponents = torch.arange(half, dtype=torch.float64).to(t.device) / (half - 1)
    angles = torch.einsum("b,i->bi", t.double(), torch.pow(max_period, -exponents))
    return torch.cat((angles.sin(), angles.cos()), -1).float()


@answers.right("3.1", "complex exponentials")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    omega = torch.logspace(0, -math.log10(max_period), dim // 2, device=t.device)
    turns = torch.exp(1j * t.float().unsqueeze(1) * omega)
    return torch.cat([turns.imag, turns.real], dim=1)


@answers.right("3.1", "the cosine as a shifted sine, in float64")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    omega = t.new_tensor([max_period ** (i / (1 - half)) for i in range(half)], dtype=torch.float64)
    angles = t.double().view(-1, 1) * omega.view(1, -1)
    return torch.sin(torch.cat([angles, angles + math.pi / 2], dim=1)).to(torch.float32)


@answers.right("3.1", "filled in place, column by column")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half, out = dim // 2, torch.empty(len(t), dim, device=t.device)
    ratio, omega = max_period ** (-1 / (half - 1)), 1.0
    for i in range(half):
        out[:, i] = torch.sin(t * omega)
        out[:, half + i] = torch.cos(t * omega)
        omega *= ratio
    return out


@answers.right("3.1", "NumPy")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    omega = np.geomspace(1, 1 / max_period, dim // 2)
    angles = t.cpu().numpy().astype(np.float64)[:, None] * omega
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return torch.from_numpy(waves).float().to(t.device)


@answers.right("3.1", "stacked, then flattened")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    omega = torch.exp(torch.arange(half, device=t.device) * (-math.log(max_period) / (half - 1)))
    angles = t[:, None] * omega
    return torch.stack([angles.sin(), angles.cos()], dim=1).reshape(len(t), dim)


@functools.lru_cache
def _omega(half, max_period, device):
    return torch.logspace(0, -1, half, base=max_period, device=device)


@answers.right("3.1", "frequencies remembered from call to call")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    angles = t.float().unsqueeze(1) @ _omega(dim // 2, max_period, t.device).unsqueeze(0)
    return torch.cat([angles.sin(), angles.cos_()], dim=-1)


@answers.right("3.1", "a product of equal ratios")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    omega = torch.full((half,), max_period ** (-1 / (half - 1)), device=t.device)
    omega[0] = 1
    angles = torch.cumprod(omega, dim=0).expand(len(t), -1) * t.view(-1, 1)
    waves = torch.polar(torch.ones_like(angles), angles)
    return torch.cat([waves.imag, waves.real], dim=1)


@answers.right("3.1", "row by row, phases added")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    i = torch.arange(dim, device=t.device)
    omega = 1 / max_period ** ((i % half).double() / (half - 1))
    phase = (i >= half) * (math.pi / 2)
    return torch.stack([torch.sin(step * omega + phase).float() for step in t])


# 3.2


@answers.right("3.2", "nn.Sequential")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(time_dim, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim)
        )

    def forward(self, embedding):
        return self.net(embedding)


@answers.right("3.2", "a subclass of nn.Sequential")
class TimeMLP(nn.Sequential):
    def __init__(self, time_dim, cond_dim):
        super().__init__(
            nn.Linear(time_dim, cond_dim), nn.SiLU(inplace=True), nn.Linear(cond_dim, cond_dim)
        )


@answers.right("3.2", "second layer made first, SiLU by hand")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.out = nn.Linear(cond_dim, cond_dim)
        self.into = nn.Linear(time_dim, cond_dim)

    def forward(self, embedding):
        hidden = self.into(embedding)
        return self.out(hidden * torch.sigmoid(hidden))


@answers.right("3.2", "own parameters, weights as (out, in)")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.b = nn.ParameterList([torch.zeros(cond_dim), torch.zeros(cond_dim)])
        self.w = nn.ParameterList(
            [torch.randn(cond_dim, n) / math.sqrt(n) for n in (time_dim, cond_dim)]
        )

    def forward(self, embedding):
        hidden = F.silu(F.linear(embedding, self.w[0], self.b[0]))
        return F.linear(hidden, self.w[1], self.b[1])


@answers.right("3.2", "own parameters, weights as (in, out), biases as rows")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.w1 = nn.Parameter(0.1 * torch.randn(time_dim, cond_dim))
        self.b1 = nn.Parameter(torch.zeros(1, cond_dim))
        self.w2 = nn.Parameter(0.1 * torch.randn(cond_dim, cond_dim))
        self.b2 = nn.Parameter(torch.zeros(1, cond_dim))

    def forward(self, embedding):
        hidden = embedding @ self.w1 + self.b1
        return hidden / (1 + torch.exp(-hidden)) @ self.w2 + self.b2


@answers.right("3.2", "convolutions of size 1")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.conv1 = nn.Conv2d(time_dim, cond_dim, 1)
        self.conv2 = nn.Conv2d(cond_dim, cond_dim, 1)

    def forward(self, embedding):
        return self.conv2(F.silu(self.conv1(embedding[:, :, None, None])))[:, :, 0, 0]


@answers.right("3.2", "lazy layers in a ModuleDict")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        layers = {"up": nn.LazyLinear(cond_dim), "mix": nn.LazyLinear(cond_dim)}
        self.layers = nn.ModuleDict(layers)

    def forward(self, embedding):
        return self.layers["mix"](F.silu(self.layers["up"](embedding)))


@answers.right("3.2", "biases as one row more of each matrix")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.first = nn.Parameter(0.1 * torch.randn(time_dim + 1, cond_dim))
        self.second = nn.Parameter(0.1 * torch.randn(cond_dim + 1, cond_dim))

    def forward(self, embedding):
        one = embedding.new_ones(len(embedding), 1)
        hidden = F.silu(torch.cat([embedding, one], dim=1) @ self.first)
        return torch.cat([hidden, one], dim=1) @ self.second


@answers.right("3.2", "float64 inside")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.one = nn.Linear(time_dim, cond_dim, dtype=torch.float64)
        self.two = nn.Linear(cond_dim, cond_dim, dtype=torch.float64)

    def forward(self, embedding):
        return self.two(F.silu(self.one(embedding.double()))).float()


@answers.right("3.2", "a second layer that begins at zero")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.up, self.mix = nn.Linear(time_dim, cond_dim), nn.Linear(cond_dim, cond_dim)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, embedding):
        return torch.stack([self.mix(F.silu(self.up(row))) for row in embedding])


@answers.right("3.2", "all weights in one parameter")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.parts = [time_dim, 1, cond_dim, 1]
        self.all = nn.Parameter(0.1 * torch.randn(sum(self.parts), cond_dim))

    def forward(self, embedding):
        w_1, b_1, w_2, b_2 = self.all.split(self.parts)
        return torch.addmm(b_2, F.silu(torch.addmm(b_1, embedding, w_1), inplace=True), w_2)


class _Linear(nn.Module):
    def __init__(self, size_in, size_out, act=None):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(size_out, size_in)))
        self.bias = nn.Parameter(torch.zeros(size_out))
        self.act = act

    def forward(self, x):
        out = torch.einsum("bi,oi->bo", x, self.weight) + self.bias
        return out if self.act is None else self.act(out)


@answers.right("3.2", "a layer of one's own with its activation")
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.layers = nn.ModuleList(
            [_Linear(time_dim, cond_dim, nn.SiLU()), _Linear(cond_dim, cond_dim)]
        )

    def forward(self, embedding):
        for layer in self.layers:
            embedding = layer(embedding)
        return embedding


# 3.3


@answers.right("3.3", "own parameter, indexed")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(num_classes + 1, cond_dim))

    def forward(self, labels):
        return self.vectors[labels]


@answers.right("3.3", "a linear layer without bias on one-hot labels")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.linear = nn.Linear(num_classes + 1, cond_dim, bias=False)

    def forward(self, labels):
        return self.linear(F.one_hot(labels, self.linear.in_features).float())


@answers.right("3.3", "a null vector of its own, chosen by where")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.null = nn.Parameter(torch.zeros(cond_dim))
        self.table = nn.Embedding(num_classes, cond_dim)

    def forward(self, labels):
        is_null = labels == self.table.num_embeddings
        vectors = self.table(labels.masked_fill(is_null, 0))
        return torch.where(is_null[:, None], self.null, vectors)


@answers.right("3.3", "a list of parameters, stacked")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.vectors = nn.ParameterList([torch.zeros(cond_dim) for _ in range(num_classes + 1)])

    def forward(self, labels):
        return torch.stack([self.vectors[label] for label in labels.tolist()])


@answers.right("3.3", "a subclass of nn.Embedding with sparse gradients")
class ClassEmbedding(nn.Embedding):
    def __init__(self, num_classes, cond_dim):
        super().__init__(num_classes + 1, cond_dim, sparse=True)


@answers.right("3.3", "a table with the null label in row 0 inside")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.rows = num_classes + 1
        self.table = nn.Embedding(self.rows, cond_dim)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, labels):
        return self.table((labels + 1) % self.rows)


@answers.right("3.3", "columns picked by einsum, smaller at the start")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.columns = nn.Parameter(torch.randn(cond_dim, num_classes + 1))

    def forward(self, labels):
        numbers = torch.arange(self.columns.shape[1], device=labels.device)
        chosen = (labels[:, None] == numbers).float()
        return 0.1 * torch.einsum("bn,dn->bd", chosen, self.columns)


@answers.right("3.3", "classes and null vector joined, then index_select")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.classes = nn.Embedding(num_classes, cond_dim)
        self.null = nn.Embedding(1, cond_dim)

    def forward(self, labels):
        return torch.cat([self.classes.weight, self.null.weight]).index_select(0, labels)


@answers.right("3.3", "an EmbeddingBag with one label in each bag")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.bag = nn.EmbeddingBag(num_classes + 1, cond_dim, mode="sum")

    def forward(self, labels):
        return self.bag(labels.unsqueeze(1))


@answers.right("3.3", "filled in label by label, from a dictionary of parameters")
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.of = nn.ParameterDict()
        for label in range(num_classes + 1):
            self.of[str(label)] = nn.Parameter(torch.randn(cond_dim))

    def forward(self, labels):
        out = torch.empty(len(labels), len(self.of["0"]), device=labels.device)
        for label, vector in self.of.items():
            out[labels == int(label)] = vector
        return out


# 3.4


def _refuse_p(p):
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability between 0 and 1, got {p}")


@answers.right("3.4", "a loop with one draw a label")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    new = []
    for label in labels.tolist():
        new.append(null_label if torch.rand(1, generator=generator).item() < p else label)
    return torch.tensor(new, dtype=torch.int64, device=labels.device)


@answers.right("3.4", "torch.bernoulli and masked_fill")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    chances = torch.full(labels.shape, p, device=labels.device)
    dropped = torch.bernoulli(chances, generator=generator).bool()
    return labels.masked_fill(dropped, null_label)


@answers.right("3.4", "bernoulli_ in place, integer arithmetic")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    keep = torch.empty_like(labels).bernoulli_(1 - p, generator=generator)
    return keep * labels + (1 - keep) * null_label


@answers.right("3.4", "a copy with an assignment, float64 draws from the other end")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    u = labels.new_empty(len(labels), dtype=torch.float64).uniform_(generator=generator)
    new = labels.clone()
    new[u >= 1 - p] = null_label
    return new


@answers.right("3.4", "large random integers")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    draws = torch.randint(2**40, labels.shape, generator=generator, device=generator.device)
    return torch.where(draws < int(p * 2**40), null_label, labels)


@answers.right("3.4", "multinomial over keep and drop")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    chances = torch.tensor([1 - p, p], device=labels.device)
    drop = torch.multinomial(chances, len(labels), replacement=True, generator=generator)
    return torch.stack([labels, torch.full_like(labels, null_label)]).gather(0, drop[None])[0]


@answers.right("3.4", "NumPy, seeded by the generator")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    seed = torch.randint(2**31, (1,), generator=generator, device=labels.device).item()
    dropped = np.random.default_rng(seed).random(len(labels)) < p
    return torch.from_numpy(np.where(dropped, null_label, labels.cpu().numpy())).to(labels.device)


@answers.right("3.4", "numbers for those labels only that can be dropped")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    new = labels.clone()
    places = torch.nonzero(labels != null_label).flatten()
    draws = torch.rand(len(places), generator=generator, device=labels.device)
    new[places[draws < p]] = null_label
    return new


@answers.right("3.4", "drawn on the generator's device, then moved")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    u = torch.rand(labels.size(), device=generator.device, generator=generator)
    dropped = (u < p).to(labels.device)
    return labels + dropped * (null_label - labels)


@answers.right("3.4", "Python's random numbers, seeded by the generator, last label first")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    high, low = torch.randint(2**31, (2,), generator=generator, device=generator.device).tolist()
    chance, new = random.Random(high << 31 | low), labels.clone()
    for i in reversed(range(len(labels))):
        if chance.random() < p:
            new[i] = null_label
    return new


@answers.right("3.4", "nothing drawn where p leaves no choice")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    if p == 0:
        return labels.clone()
    if p == 1:
        return torch.full_like(labels, null_label)
    new = labels.detach().clone()
    for i, u in enumerate(torch.rand(len(labels), generator=generator, device=labels.device)):
        new[i] = null_label if u < p else labels[i]
    return new
