"""Right answers to chapter 03 in other styles. Every check must accept them."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course.answers import Answers

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
    return torch.tensor(rows, dtype=torch.float32)


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
    exponents = torch.arange(half, dtype=torch.float64) / (half - 1)
    angles = torch.einsum("b,i->bi", t.double(), torch.pow(max_period, -exponents))
    return torch.cat((angles.sin(), angles.cos()), -1).float()


@answers.right("3.1", "complex exponentials")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    omega = torch.logspace(0, -math.log10(max_period), dim // 2)
    turns = torch.exp(1j * t.float().unsqueeze(1) * omega)
    return torch.cat([turns.imag, turns.real], dim=1)


@answers.right("3.1", "the cosine as a shifted sine, in float64")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    omega = torch.exp(torch.linspace(0, -math.log(max_period), dim // 2, dtype=torch.float64))
    angles = t.double().view(-1, 1) * omega.view(1, -1)
    return torch.sin(torch.cat([angles, angles + math.pi / 2], dim=1)).to(torch.float32)


@answers.right("3.1", "filled in place, column by column")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half, out = dim // 2, torch.empty(len(t), dim)
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
    angles = t.numpy().astype(np.float64)[:, None] * omega
    return torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], axis=1)).float()


@answers.right("3.1", "stacked, then flattened")
def sinusoidal_embedding(t, dim, max_period=10000.0):
    _refuse(dim)
    half = dim // 2
    omega = torch.exp(torch.arange(half) * (-math.log(max_period) / (half - 1)))
    angles = t[:, None] * omega
    return torch.stack([angles.sin(), angles.cos()], dim=1).reshape(len(t), dim)


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
        one = torch.ones(len(embedding), 1)
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
        chosen = (labels[:, None] == torch.arange(self.columns.shape[1])).float()
        return 0.1 * torch.einsum("bn,dn->bd", chosen, self.columns)


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
    return torch.tensor(new, dtype=torch.int64)


@answers.right("3.4", "torch.bernoulli and masked_fill")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    dropped = torch.bernoulli(torch.full(labels.shape, p), generator=generator).bool()
    return labels.masked_fill(dropped, null_label)


@answers.right("3.4", "bernoulli_ in place, integer arithmetic")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    keep = torch.empty_like(labels).bernoulli_(1 - p, generator=generator)
    return keep * labels + (1 - keep) * null_label


@answers.right("3.4", "a copy with an assignment, float64 draws from the other end")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    u = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    new = labels.clone()
    new[u >= 1 - p] = null_label
    return new


@answers.right("3.4", "large random integers")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    draws = torch.randint(2**40, labels.shape, generator=generator)
    return torch.where(draws < int(p * 2**40), null_label, labels)


@answers.right("3.4", "multinomial over keep and drop")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    chances = torch.tensor([1 - p, p])
    drop = torch.multinomial(chances, len(labels), replacement=True, generator=generator)
    return torch.stack([labels, torch.full_like(labels, null_label)]).gather(0, drop[None])[0]


@answers.right("3.4", "NumPy, seeded by the generator")
def drop_labels(labels, p, null_label, generator):
    _refuse_p(p)
    seed = torch.randint(2**31, (1,), generator=generator).item()
    dropped = np.random.default_rng(seed).random(len(labels)) < p
    return torch.from_numpy(np.where(dropped, null_label, labels.numpy()))
