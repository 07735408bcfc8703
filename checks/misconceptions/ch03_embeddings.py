"""Known wrong answers to chapter 03, each with the misunderstanding behind it."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers
from solutions import ch03_embeddings as ref

answers = Answers()


# 3.1


def _frequencies(half, max_period):
    i = torch.arange(half, dtype=torch.float32)
    return torch.exp(-math.log(max_period) * i / (half - 1))


_cache = {}  # of one of the wrong answers


def _embed(t, omega):
    angles = t.float()[:, None] * omega.to(t.device)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


answers.edit(
    "3.1",
    "divided by the frequency",
    "An angle is time times frequency. Divided by it, the slow waves are the fast ones.",
    ("* omega[None, :]", "/ omega[None, :]"),
)

answers.edit(
    "3.1",
    "i taken for the frequency",
    "i only counts the frequencies. How fast each wave is, omega says.",
    ("* omega[None, :]", "* i[None, :]"),
)

answers.edit(
    "3.1",
    "cosines before sines",
    "Both orders are in use, and a network learns with either. Here the sines come first.",
    ("[torch.sin(angles), torch.cos(angles)]", "[torch.cos(angles), torch.sin(angles)]"),
)

answers.edit(
    "3.1",
    "sines and cosines in turn",
    "The Transformer's formula alternates them: sin, cos, sin, cos. Here all sines come first, "
    "then all cosines.",
    ("torch.cat(", "torch.stack("),
    ("dim=1)", "dim=2).flatten(1)"),
)

answers.edit(
    "3.1",
    "dividing by half instead of half - 1",
    "Between half frequencies there are half - 1 gaps. With half gaps the slowest wave is never "
    "reached.",
    ("torch.exp(-math.log(max_period) * i / (half - 1))", "max_period ** (-i / half)"),
)

answers.edit(
    "3.1",
    "dividing by dim",
    "Half of the dim numbers are sines and half are cosines, so there are only dim / 2 "
    "frequencies to spread over the whole range.",
    ("torch.exp(-math.log(max_period) * i / (half - 1))", "max_period ** (-i / dim)"),
)

answers.edit(
    "3.1",
    "frequencies from 1 up to max_period",
    "Mind the minus sign: the waves slow down from 1 to 1/max_period. With faster and faster ones "
    "neighbouring steps look unrelated.",
    ("torch.exp(", "1 / torch.exp("),
)

answers.edit(
    "3.1",
    "each wave slower by max_period",
    "max_period is how much slower the last wave is than the first one. The way there takes "
    "half - 1 equal factors, so each of them is much smaller.",
    ("i / (half - 1)", "i"),
)

answers.edit(
    "3.1",
    "the frequencies in reverse order",
    "The first entry belongs to the fastest wave, the one with i = 0 and frequency 1.",
    ("omega[None, :]", "omega.flip(0)[None, :]"),
)


answers.edit(
    "3.1",
    "frequencies in equal steps",
    "Equal steps leave no slow waves but the last. Equal ratios cover every scale of time alike.",
    (
        "torch.exp(-math.log(max_period) * i / (half - 1))",
        "torch.linspace(1, 1 / max_period, half, device=t.device)",
    ),
)

answers.again(
    "3.1",
    "frequencies in equal steps",
    (
        "torch.exp(-math.log(max_period) * i / (half - 1))",
        "1 + (1 / max_period - 1) * i / (half - 1)",
    ),
)


answers.edit(
    "3.1",
    "dim sines and dim cosines",
    "dim counts all that comes out. Half of it are sines, so dim / 2 frequencies are enough.",
    ("half = dim // 2", "half = dim"),
)

answers.edit(
    "3.1",
    "the sines twice",
    "A sine alone cannot tell whether its wave rises or falls; the cosine can. The second half "
    "needs it.",
    ("torch.cos", "torch.sin"),
)

answers.edit(
    "3.1",
    "a factor of 2 pi",
    "omega is in radians per step, so the fastest wave takes 2 pi steps. With another 2 pi inside "
    "it takes exactly 1, and is the same at every whole t.",
    ("(half - 1))", "(half - 1)) * 2 * math.pi"),
)

answers.edit(
    "3.1",
    "time divided by 1000",
    "The frequencies are made for steps counted one by one. With t / 1000 even the fastest wave "
    "needs a thousand steps for 1 radian.",
    ("t.float()", "(t / 1000)"),
)

answers.edit(
    "3.1",
    "time measured by the largest t in the batch",
    "Then the embedding of a step depends on which other steps happen to be in the batch. "
    "Use t as it is.",
    ("t.float()", "(t / t.max().clamp(min=1)).float()"),
)

answers.edit(
    "3.1",
    "max_period ignored",
    "max_period is an argument. 10000 is only what it is when the caller says nothing.",
    ("math.log(max_period)", "math.log(10000.0)"),
)


@answers.wrong(
    "3.1",
    "frequencies kept from another call",
    "A cache that knows dim only hands out frequencies made for another max_period. Both arguments "
    "belong to its key.",
)
def sinusoidal_embedding(t, dim, max_period=10000.0):
    return _embed(t, _cache.setdefault(dim, _frequencies(dim // 2, max_period)))


answers.edit(
    "3.1",
    "the logarithm to base 10",
    "exp undoes the natural logarithm, math.log. With math.log10 inside, the slowest wave is far "
    "too fast.",
    ("math.log(", "math.log10("),
)

answers.edit(
    "3.1",
    "time cut to whole steps",
    "t may lie between two steps. Turning it into an integer throws the rest away; turn it into "
    "a float instead.",
    ("t.float()", "t.long()"),
)

answers.edit(
    "3.1",
    "float64 handed out",
    "Computing in float64 is fine, but return float32: the network's weights are float32 too.",
    ("dim=1)", "dim=1).double()"),
)

answers.edit(
    "3.1",
    "steps and frequencies in half precision",
    "float16 keeps about three digits. At t = 3 that is nearly enough, but at t = 999 some waves "
    "are off by half a radian. Compute in float32.",
    ("t.float()[:, None] * omega[None, :]", "(t.half()[:, None] * omega.half()).float()"),
)

answers.edit(
    "3.1",
    "only the steps in half precision",
    "float16 counts one by one only up to 2048. After that neighbouring steps become the same "
    "number. Make t a float32.",
    ("t.float()", "t.half()"),
)

answers.edit(
    "3.1",
    "steps and frequencies in one row",
    "t has shape (B,) and the frequencies have shape (half,). Every step has to meet every "
    "frequency: make the steps a column first, then the product is a table (B, half).",
    (
        "t.float()[:, None] * omega[None, :]  # (B, 1) * (1, half) -> (B, half)",
        "t * omega",
    ),
    ("dim=1", "dim=-1"),
)

answers.edit(
    "3.1",
    "a column for each step",
    "Here the steps run along the columns. Each step gets a row of dim numbers: join sines and "
    "cosines along dim=1, and do not turn the result.",
    ("dim=1)", "dim=1).T"),
)

answers.edit(
    "3.1",
    "cosines below the sines",
    "Joined along dimension 0, the cosines become new rows, as if there were twice as many steps. "
    "The sines and cosines of one step belong in one row.",
    ("dim=1)", "dim=0)"),
)

answers.edit(
    "3.1",
    "i counted from 1",
    "i runs from 0 to half - 1. Counted from 1, the waves are too slow, and the fastest one is "
    "missing.",
    ("torch.arange(half,", "torch.arange(1, half + 1,"),
)

answers.edit(
    "3.1",
    "frequencies made on the CPU",
    "torch.arange, linspace and the like make tensors on the CPU unless they are told where. When "
    "t is on a GPU the two cannot be multiplied: device=t.device.",
    (", device=t.device", ""),
)


@answers.wrong(
    "3.1",
    "an odd dim filled up with a zero",
    "Some libraries do that. Here an odd dim is refused, because it is nearly always a slip.",
)
def sinusoidal_embedding(t, dim, max_period=10000.0):
    embedding = ref.sinusoidal_embedding(t, max(4, dim - dim % 2), max_period)
    return F.pad(embedding, (0, dim - embedding.shape[1]))


answers.edit(
    "3.1",
    "no wave slower than 1/10000",
    "max_period may be larger than 10000: with a million, the slowest wave turns by a millionth of "
    "a radian a step. Nothing has to be kept from becoming that slow.",
    ("* omega[None, :]", "* omega.clamp(min=1e-4)[None, :]"),
)


answers.again("3.1", "frequencies from 1 up to max_period", ("torch.exp(-math", "torch.exp(math"))

answers.edit(
    "3.1",
    "time multiplied by 1000",
    "t counts steps already. The factor of 1000 belongs to code in which time runs from 0 to 1.",
    ("t.float()", "(1000 * t.float())"),
)

answers.again("3.1", "i counted from 1", ("i / (half - 1)", "(i + 1) / half"))

answers.edit(
    "3.1",
    "dim = 2 let through",
    "With dim = 2 there is a single wave, which cannot be the fastest and the slowest at once. The "
    "first lines of the exercise refuse it; keep them.",
    ("dim < 4", "dim < 2"),
)


# 3.2


answers.edit(
    "3.2",
    "a SiLU after the second layer too",
    "The end is linear, so that features can be as negative as positive. SiLU would cut them off "
    "at -0.28.",
    ("return self.linear2(hidden)", "return nn.functional.silu(self.linear2(hidden))"),
)

answers.edit(
    "3.2",
    "the SiLU after the second layer instead of before it",
    "Two linear layers in a row are one linear layer. The nonlinearity belongs between them.",
    ("nn.functional.silu(self.linear1(embedding))", "self.linear1(embedding)"),
    ("return self.linear2(hidden)", "return nn.functional.silu(self.linear2(hidden))"),
)

answers.planted(
    "3.2",
    "no nonlinearity",
    "Two linear layers in a row are one linear layer: the second adds nothing. What keeps them "
    "from melting into one has to come between them.",
)

answers.edit(
    "3.2",
    "ReLU instead of SiLU",
    "ReLU has a corner at 0 and is flat below it. SiLU, x times its own sigmoid, is smooth and "
    "learns on both sides.",
    ("silu", "relu"),
)

answers.edit(
    "3.2",
    "GELU instead of SiLU",
    "The two curves look alike and are not the same: SiLU(x) is x times sigmoid(x), and GELU has "
    "another curve in the place of the sigmoid.",
    ("silu", "gelu"),
)

answers.edit(
    "3.2",
    "tanh instead of SiLU",
    "tanh bends too, but it is flat on both sides: large values saturate at -1 and 1. SiLU(x), "
    "x times sigmoid(x), goes on rising.",
    ("nn.functional.silu", "torch.tanh"),
)

answers.edit(
    "3.2",
    "a sigmoid instead of SiLU",
    "SiLU(x) is x times sigmoid(x). The sigmoid alone stays between 0 and 1 and saturates.",
    ("nn.functional.silu", "torch.sigmoid"),
)

answers.edit(
    "3.2",
    "a SiLU on the embedding",
    "The waves go into the first layer as they are. SiLU acts on what comes out of that layer.",
    ("nn.functional.silu(self.linear1(embedding))", "self.linear1(nn.functional.silu(embedding))"),
)

answers.edit(
    "3.2",
    "a shortcut around the second layer",
    "Residual connections come in chapter 04. Here the second layer's output is the result.",
    ("return self", "return hidden + self"),
)

answers.edit(
    "3.2",
    "dropout between the layers",
    "Nothing is left to chance here. With dropout the network would be told the same step "
    "differently each time.",
    ("linear2(hidden)", "linear2(nn.functional.dropout(hidden, 0.1, training=True))"),
)

answers.edit(
    "3.2",
    "standardised over the batch",
    "Batch statistics mix the images: what one is told about its own time then depends on the "
    "others'.",
    (
        "hidden = nn.functional.silu(self.linear1(embedding))",
        "hidden = self.linear1(embedding)\n"
        "        hidden = hidden - hidden.mean(dim=0)\n"
        "        hidden = nn.functional.silu(hidden / (hidden.std(dim=0, unbiased=False) + 1e-5))",
    ),
)

answers.edit(
    "3.2",
    "layer sizes in the wrong order",
    "nn.Linear takes the incoming length first, then the outgoing one: in, out.",
    ("nn.Linear(time_dim, cond_dim)", "nn.Linear(cond_dim, time_dim)"),
)

answers.edit(
    "3.2",
    "one layer used twice where the lengths agree",
    "Two layers have two sets of weights, also where time_dim and cond_dim are the same number. "
    "Make two of them.",
    (
        "nn.Linear(cond_dim, cond_dim)",
        "self.linear1 if time_dim == cond_dim else nn.Linear(cond_dim, cond_dim)",
    ),
)

answers.edit(
    "3.2",
    "a hidden layer as long as the longer side",
    "The hidden layer is as long as the result, cond_dim, even where the waves are more.",
    ("nn.Linear(time_dim, cond_dim)", "nn.Linear(time_dim, max(time_dim, cond_dim))"),
    ("nn.Linear(cond_dim, cond_dim)", "nn.Linear(max(time_dim, cond_dim), cond_dim)"),
)

answers.edit(
    "3.2",
    "a hidden layer of length time_dim",
    "The first layer already widens to cond_dim; the second leads from cond_dim to cond_dim.",
    ("nn.Linear(time_dim, cond_dim)", "nn.Linear(time_dim, time_dim)"),
    ("nn.Linear(cond_dim, cond_dim)", "nn.Linear(time_dim, cond_dim)"),
)

answers.edit(
    "3.2",
    "a hidden layer four times as wide",
    "That is the habit of Transformer blocks. Here the hidden layer is as long as the result.",
    ("nn.Linear(time_dim, cond_dim)", "nn.Linear(time_dim, 4 * cond_dim)"),
    ("nn.Linear(cond_dim, cond_dim)", "nn.Linear(4 * cond_dim, cond_dim)"),
)

answers.edit(
    "3.2",
    "only one layer made",
    "There are two linear layers. The second one reads what the SiLU gives.",
    ("        self.linear2 = nn.Linear(cond_dim, cond_dim)\n", ""),
    ("return self.linear2(hidden)", "return hidden"),
)

answers.edit(
    "3.2",
    "no biases",
    "Both layers have a bias. nn.Linear brings one along unless told not to.",
    ("nn.Linear(time_dim, cond_dim)", "nn.Linear(time_dim, cond_dim, bias=False)"),
    ("nn.Linear(cond_dim, cond_dim)", "nn.Linear(cond_dim, cond_dim, bias=False)"),
)


@answers.wrong(
    "3.2",
    "layers in a plain list",
    "nn.Module does not look into Python lists, so the optimiser would never see these layers. "
    "Make them attributes of their own, or use nn.ModuleList or nn.Sequential.",
)
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.layers = [nn.Linear(time_dim, cond_dim), nn.Linear(cond_dim, cond_dim)]

    def forward(self, embedding):
        return self.layers[1](F.silu(self.layers[0](embedding)))


@answers.wrong(
    "3.2",
    "new layers in every call",
    "What forward makes is forgotten afterwards: each call begins with new random weights, and "
    "nothing is ever learned. Make layers in __init__.",
)
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.time_dim, self.cond_dim = time_dim, cond_dim

    def forward(self, embedding):
        hidden = F.silu(nn.Linear(self.time_dim, self.cond_dim)(embedding))
        return nn.Linear(self.cond_dim, self.cond_dim)(hidden)


answers.edit(
    "3.2",
    "cut off from the gradient",
    "Under no_grad, or after detach, torch does not remember how the result was computed, so no "
    "gradient finds its way back. Training needs it; leave both to sampling.",
    ("    def forward", "    @torch.no_grad()\n    def forward"),
)

answers.edit(
    "3.2",
    "the first layer cut off from the gradient",
    "After detach, .data or a new torch.tensor(...) the gradient cannot go further back: the layer "
    "before it stays as random as it began.",
    ("self.linear1(embedding)", "self.linear1(embedding).detach()"),
)

answers.edit(
    "3.2",
    "nn.SiLU called on the numbers",
    "nn.SiLU is a class: nn.SiLU(x) makes a layer and does not apply it. Make the layer first and "
    "call it afterwards, or use the function nn.functional.silu.",
    ("nn.functional.silu", "nn.SiLU"),
)

answers.edit(
    "3.2",
    "the second layer made and never used",
    "forward ends after the SiLU. The second layer has weights, but nothing ever goes through it.",
    ("return self.linear2(hidden)", "return hidden"),
)


@answers.wrong(
    "3.2",
    "an extra tensor made on the CPU",
    "torch.ones, zeros and the like make tensors on the CPU unless they are told where. What "
    "forward makes has to be where its input is: device=embedding.device.",
)
class TimeMLP(nn.Module):
    def __init__(self, time_dim, cond_dim):
        super().__init__()
        self.linear1 = nn.Linear(time_dim + 1, cond_dim, bias=False)
        self.linear2 = nn.Linear(cond_dim + 1, cond_dim, bias=False)

    def forward(self, embedding):
        one = torch.ones(len(embedding), 1)
        hidden = F.silu(self.linear1(torch.cat([embedding, one], dim=1)))
        return self.linear2(torch.cat([hidden, one], dim=1))


answers.edit(
    "3.2",
    "weights that all begin alike",
    "Units that begin alike get the same gradient and stay alike forever. nn.Linear begins with "
    "random weights for this reason.",
    (
        "self.linear2 = nn.Linear(cond_dim, cond_dim)",
        "self.linear2 = nn.Linear(cond_dim, cond_dim)\n"
        "        for parameter in self.parameters():\n"
        "            nn.init.zeros_(parameter)",
    ),
)


answers.again(
    "3.2",
    "GELU instead of SiLU",
    (
        "hidden = nn.functional.silu(self.linear1(embedding))",
        "hidden = self.linear1(embedding)\n        hidden = hidden * torch.sigmoid(1.702 * hidden)",
    ),
)

answers.again(
    "3.2",
    "GELU instead of SiLU",
    ("silu(self.linear1(embedding))", 'gelu(self.linear1(embedding), approximate="tanh")'),
)

answers.edit(
    "3.2",
    "softplus instead of SiLU",
    "softplus is smooth too, but it never comes below 0. SiLU(x) is x times sigmoid(x), which dips "
    "below 0 before it rises.",
    ("silu", "softplus"),
)

answers.edit(
    "3.2",
    "hardswish instead of SiLU",
    "hardswish imitates SiLU with two straight lines and a parabola, for small machines. SiLU(x) "
    "is x times sigmoid(x).",
    ("silu", "hardswish"),
)

answers.edit(
    "3.2",
    "LeakyReLU instead of SiLU",
    "LeakyReLU has a corner at 0 and is straight on both sides of it. SiLU, x times its own "
    "sigmoid, is smooth.",
    ("silu", "leaky_relu"),
)

answers.edit(
    "3.2",
    "ELU instead of SiLU",
    "ELU is x itself above 0 and falls to -1 below. SiLU, x times its own sigmoid, is another "
    "curve on both sides.",
    ("silu", "elu"),
)

answers.edit(
    "3.2",
    "a LayerNorm at the end",
    "A norm gives all results the same spread, whatever the layers say, and bends once more. The "
    "second layer's output is the result.",
    (
        "self.linear2 = nn.Linear(cond_dim, cond_dim)",
        "self.linear2 = nn.Linear(cond_dim, cond_dim)\n        self.norm = nn.LayerNorm(cond_dim)",
    ),
    ("return self.linear2(hidden)", "return self.norm(self.linear2(hidden))"),
)

answers.again(
    "3.2",
    "a LayerNorm at the end",
    (
        "        self.linear2 =",
        "        self.norm = nn.LayerNorm(cond_dim)\n        self.linear2 =",
    ),
    ("return self.linear2(hidden)", "return self.norm(self.linear2(hidden))"),
)


# 3.3


answers.edit(
    "3.3",
    "num_classes rows, with the null label beyond them",
    "The null label, num_classes, asks for a row that the table does not have. Rows are counted "
    "from 0: how many labels are there in all?",
    ("num_classes + 1", "num_classes"),
)

answers.edit(
    "3.3",
    "labels counted from 1",
    "Labels begin at 0, and so do the rows of the table. With one added to each label, the null "
    "label points behind the last row.",
    ("self.table(labels)", "self.table(labels + 1)"),
)

answers.edit(
    "3.3",
    "a row that no label uses",
    "Count the labels: num_classes classes and one null label. Any further row is never looked up.",
    ("num_classes + 1", "num_classes + 2"),
)

answers.edit(
    "3.3",
    "one-hot vectors handed out",
    "A 1 in the label's place says which class it is, but nothing about it, and it has the wrong "
    "length. Each class needs cond_dim learned numbers.",
    ("nn.Embedding(num_classes + 1, cond_dim)", "num_classes + 1"),
    ("self.table(labels)", "nn.functional.one_hot(labels, self.table).float()"),
)


@answers.wrong(
    "3.3",
    "numbers to compare with made on the CPU",
    "torch.arange, zeros and the like make tensors on the CPU unless they are told where. Labels "
    "on a GPU cannot be compared with those: device=labels.device.",
)
class ClassEmbedding(nn.Module):
    def __init__(self, num_classes, cond_dim):
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(num_classes + 1, cond_dim))

    def forward(self, labels):
        return (labels[:, None] == torch.arange(len(self.vectors))).float() @ self.vectors


answers.edit(
    "3.3",
    "rows and columns exchanged",
    "The table has a row for each label, and each row has cond_dim numbers: first how many, then "
    "how long.",
    ("num_classes + 1, cond_dim)", "cond_dim, num_classes + 1)"),
)

answers.edit(
    "3.3",
    "a fixed zero vector for the null label",
    "'Any digit' is something to be learned too. Leave its row to the optimiser like the others.",
    (
        "self.table(labels)",
        "self.table(labels) * (labels < self.table.num_embeddings - 1)[:, None]",
    ),
)

answers.edit(
    "3.3",
    "a null label that is not learned",
    "padding_idx keeps a row at zero and lets no gradient through. 'Any digit' has to be learned "
    "like the digits.",
    ("num_classes + 1, cond_dim)", "num_classes + 1, cond_dim, padding_idx=num_classes)"),
)

answers.edit(
    "3.3",
    "lengths that are held below 5",
    "max_norm shortens every vector that grows longer. The length of a vector is learned as well: "
    "leave it free.",
    ("num_classes + 1, cond_dim)", "num_classes + 1, cond_dim, max_norm=5.0)"),
)

answers.edit(
    "3.3",
    "label 0 as padding_idx",
    "0 is the digit zero here, a class like the others. The null label is num_classes, and it is "
    "learned as well.",
    ("num_classes + 1, cond_dim)", "num_classes + 1, cond_dim, padding_idx=0)"),
)

answers.edit(
    "3.3",
    "the null label moved to the last class",
    "Cutting the label off at num_classes-1 stops the error, but now 'any digit' means 'a nine'. "
    "The null label needs a row of its own.",
    ("num_classes + 1", "num_classes"),
    ("self.table(labels)", "self.table(labels.clamp(max=self.table.num_embeddings - 1))"),
)

answers.edit(
    "3.3",
    "the null label wrapped round to class 0",
    "The remainder of num_classes divided by num_classes is 0, so 'any digit' means 'a zero'. "
    "The null label needs a row of its own.",
    ("num_classes + 1", "num_classes"),
    ("self.table(labels)", "self.table(labels % self.table.num_embeddings)"),
)

answers.edit(
    "3.3",
    "the label as a quantity",
    "A linear layer on the number itself puts all labels on one line, 4 halfway from 0 to 8. "
    "Labels are names; look their vectors up.",
    ("nn.Embedding(num_classes + 1, cond_dim)", "nn.Linear(1, cond_dim)"),
    ("self.table(labels)", "self.table(labels[:, None].float())"),
)

answers.edit(
    "3.3",
    "a table that is no parameter",
    "The optimiser sees only an nn.Parameter, or a module that holds one, that is an attribute of "
    "self. A plain tensor, a buffer, or a parameter in a Python list, stays as random as it began. "
    "And a plain tensor stays behind when the module goes to a GPU.",
    ("nn.Embedding(num_classes + 1, cond_dim)", "torch.randn(num_classes + 1, cond_dim)"),
    ("self.table(labels)", "self.table[labels]"),
)

answers.edit(
    "3.3",
    "waves instead of learned vectors",
    "Steps have an order, so waves suit them. Classes have none: each gets a learned vector.",
    ("self.table = nn.Embedding(num_classes + 1, cond_dim)", "self.cond_dim = cond_dim"),
    ("self.table(labels)", "sinusoidal_embedding(labels, self.cond_dim)"),
)

answers.edit(
    "3.3",
    "a frozen table",
    "With requires_grad = False, under no_grad or after detach, no gradient reaches the vectors, "
    "and they stay as random as they began.",
    ("self.table(labels)", "self.table(labels).detach()"),
)

answers.edit(
    "3.3",
    "a bias that all labels share",
    "A linear layer on one-hot labels is a table, but its bias belongs to no label: every digit "
    "would move it. Leave the bias out.",
    ("nn.Embedding(", "nn.Linear("),
    (
        "self.table(labels)",
        "self.table(nn.functional.one_hot(labels, self.table.in_features).float())",
    ),
)

answers.edit(
    "3.3",
    "more learned layers after the table",
    "The rows of the table are the vectors, already of length cond_dim. Nothing comes after them.",
    (
        "num_classes + 1, cond_dim)",
        "num_classes + 1, cond_dim)\n        self.linear = nn.Linear(cond_dim, cond_dim)",
    ),
    ("self.table(labels)", "self.linear(self.table(labels))"),
)

answers.edit(
    "3.3",
    "one vector for the whole batch",
    "Each image has a label of its own. An average over the batch tells every image the same.",
    ("self.table(labels)", "self.table(labels).mean(dim=0).expand(len(labels), -1)"),
)

answers.edit(
    "3.3",
    "label dropout in the embedding",
    "Dropping labels is drop_labels' work, in training only. A table that does it too draws the "
    "wrong digit now and then.",
    (
        "return self.table(labels)",
        "dropped = torch.rand(len(labels), device=labels.device) < 0.1\n"
        "        return self.table(labels.masked_fill(dropped, self.table.num_embeddings - 1))",
    ),
)

answers.edit(
    "3.3",
    "a SiLU after the table",
    "The vector is learned, so it can take any value by itself. SiLU would forbid all below -0.28.",
    ("self.table(labels)", "nn.functional.silu(self.table(labels))"),
)

answers.edit(
    "3.3",
    "vectors cut to length 1",
    "The length of a vector is learned like its direction. Normalising throws it away.",
    ("self.table(labels)", "nn.functional.normalize(self.table(labels), dim=1)"),
)


answers.again(
    "3.3",
    "a fixed zero vector for the null label",
    ("num_classes + 1", "num_classes"),
    (
        "self.table(labels)",
        "self.table(labels.clamp(max=self.table.num_embeddings - 1))"
        " * (labels < self.table.num_embeddings)[:, None]",
    ),
)

answers.again(
    "3.3",
    "the null label moved to the last class",
    ("self.table(labels)", "self.table(labels.clamp(max=self.table.num_embeddings - 2))"),
)

answers.again(
    "3.3",
    "the null label wrapped round to class 0",
    ("self.table(labels)", "self.table(labels % (self.table.num_embeddings - 1))"),
)

answers.edit(
    "3.3",
    "the null label as the average of the classes",
    "'Any class' is learned like the others, in a row of its own. An average shares its numbers "
    "with all classes.",
    (
        "return self.table(labels)",
        "null = (labels == self.table.num_embeddings - 1)[:, None]\n"
        "        mean = self.table.weight[:-1].mean(dim=0)\n"
        "        return torch.where(null, mean, self.table(labels))",
    ),
)

answers.again(
    "3.3",
    "the null label as the average of the classes",
    ("num_classes + 1", "num_classes"),
    (
        "return self.table(labels)",
        "null = (labels == self.table.num_embeddings)[:, None]\n"
        "        mean = self.table.weight.mean(dim=0)\n"
        "        row = labels.clamp(max=self.table.num_embeddings - 1)\n"
        "        return torch.where(null, mean, self.table(row))",
    ),
)

answers.again(
    "3.3",
    "a table that is no parameter",
    (
        "self.table = nn.Embedding(num_classes + 1, cond_dim)",
        'self.register_buffer("table", torch.randn(num_classes + 1, cond_dim))',
    ),
    ("self.table(labels)", "self.table[labels]"),
)

for layers in (
    "nn.Sequential(nn.Linear(cond_dim, cond_dim), nn.SiLU())",
    "nn.Sequential(nn.Linear(cond_dim, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim))",
    "nn.LayerNorm(cond_dim)",
):
    answers.again(
        "3.3",
        "more learned layers after the table",
        (
            "num_classes + 1, cond_dim)",
            f"num_classes + 1, cond_dim)\n        self.after = {layers}",
        ),
        ("self.table(labels)", "self.after(self.table(labels))"),
    )

answers.edit(
    "3.3",
    "dropout on the vectors",
    "Equal labels get equal vectors, in training too. Dropout gives the same label another vector "
    "each time.",
    ("self.table(labels)", "nn.functional.dropout(self.table(labels), 0.1, self.training)"),
)


# 3.4


answers.edit(
    "3.4",
    "keeping with probability p",
    "A uniform number is below p with probability p: those are the labels to drop, not to keep.",
    (
        "torch.full_like(labels, null_label), labels)",
        "labels, torch.full_like(labels, null_label))",
    ),
)

answers.edit(
    "3.4",
    "one decision for the whole batch",
    "Each label needs a uniform number of its own. With one for all, a whole batch is dropped or "
    "kept at a time.",
    ("torch.rand(labels.shape,", "torch.rand(1,"),
)

answers.edit(
    "3.4",
    "one decision per class",
    "Images of the same digit decide separately too: draw a number per label in the batch, not "
    "per class.",
    ("labels.shape,", "null_label + 1,"),
    ("where(dropped,", "where(dropped[labels],"),
)

answers.edit(
    "3.4",
    "the generator is not used",
    "Without generator=generator the draw comes from the global state, and a training run cannot "
    "be repeated.",
    ("generator=generator, ", ""),
)

answers.edit(
    "3.4",
    "the draw of each call from one fixed seed",
    "What is seeded inside begins afresh each time, so the same places are dropped in every batch. "
    "Draw from the generator as it is handed in.",
    ("    uniform", "    torch.manual_seed(0)\n    uniform"),
    ("generator=generator, ", ""),
)

answers.edit(
    "3.4",
    "the generator's seed instead of the generator",
    "A generator is where its last draw left it. Go back to its seed, and you draw the same "
    "numbers again in every batch.",
    ("generator=generator", "generator=torch.Generator().manual_seed(generator.initial_seed())"),
)


answers.edit(
    "3.4",
    "the labels changed in place",
    "labels[mask] = ... changes the caller's tensor, and the digits of that batch are lost. "
    "Work on a copy, or let torch.where make a new tensor.",
    (
        "return torch.where(dropped, torch.full_like(labels, null_label), labels)",
        "labels[dropped] = null_label\n    return labels",
    ),
)

answers.edit(
    "3.4",
    "dropped labels become 0",
    "0 is the digit zero. 'No class' has a label of its own, null_label.",
    ("torch.where(dropped, torch.full_like(labels, null_label), labels)", "labels * ~dropped"),
)

answers.edit(
    "3.4",
    "dropped labels become -1",
    "-1 as 'no class' is a habit from other libraries. Here it is null_label, which has a row in "
    "the table.",
    ("torch.full_like(labels, null_label)", "torch.full_like(labels, -1)"),
)

answers.edit(
    "3.4",
    "the null label is always 10",
    "null_label is an argument: with other classes than ten digits it is another number.",
    ("torch.full_like(labels, null_label)", "torch.full_like(labels, 10)"),
)

answers.edit(
    "3.4",
    "a random class instead of the null label",
    "That teaches the network wrong digits. A dropped label says nothing about the digit.",
    (
        "torch.full_like(labels, null_label)",
        "torch.randint(0, 10, labels.shape, generator=generator, device=labels.device)",
    ),
)

answers.edit(
    "3.4",
    "dropped labels are left out",
    "There is still one image for each label, so the batch keeps its length: replace them.",
    ("torch.where(dropped, torch.full_like(labels, null_label), labels)", "labels[~dropped]"),
)

answers.edit(
    "3.4",
    "the mask instead of the labels",
    "The mask only says where to drop. The result is the labels, with null_label in those places.",
    ("torch.where(dropped, torch.full_like(labels, null_label), labels)", "dropped"),
)


answers.edit(
    "3.4",
    "floating-point labels",
    "Arithmetic with floats turns labels into floats, and a table cannot be indexed by those. "
    "Keep int64.",
    (
        "torch.where(dropped, torch.full_like(labels, null_label), labels)",
        "dropped.float() * null_label + (1 - dropped.float()) * labels",
    ),
)

answers.edit(
    "3.4",
    "dropped labels become 0, the others divided by 1 - p",
    "That is what dropout does to activations: 0 for some, and the rest enlarged. Labels are "
    "names; swap them.",
    (
        "torch.where(dropped, torch.full_like(labels, null_label), labels)",
        "(labels * (1 / max(1 - p, 1e-6)) * ~dropped).long()",
    ),
)

answers.edit(
    "3.4",
    "exactly a share p of each batch",
    "'With probability p' leaves the number to chance: ten coins do not always show five heads. "
    "With small batches a fixed share is also rounded.",
    ("torch.rand(labels.shape,", "torch.randperm(len(labels),"),
    ("uniform < p", "uniform.argsort() < round(p * len(labels))"),
)

answers.edit(
    "3.4",
    "the first labels of each batch",
    "Which labels are dropped is left to chance. Always taking the first ones is not a draw.",
    ("torch.rand(labels.shape, generator=generator,", "torch.arange(len(labels),"),
    ("uniform < p", "uniform < round(p * len(labels))"),
)

answers.edit(
    "3.4",
    "a fair coin whatever p is",
    "randint(0, 2) comes up 1 every other time. A uniform number between 0 and 1, compared with p, "
    "decides with probability p.",
    ("torch.rand(", "torch.randint(0, 2, "),
    ("uniform < p", "uniform == 1"),
)

answers.edit(
    "3.4",
    "<= instead of <",
    "torch.rand draws from [0, 1): never 1, but once in a long while exactly 0. With <= that label "
    "is dropped even when p is 0.",
    ("uniform < p", "uniform <= p"),
)

answers.edit(
    "3.4",
    "above 1 - p instead of at least",
    "torch.rand draws from [0, 1): never 1, but once in a long while exactly 0. With > that label "
    "is kept even when p is 1. Compare uniform < p.",
    ("uniform < p", "uniform > 1 - p"),
)

answers.edit(
    "3.4",
    "random numbers drawn on the CPU",
    "torch.rand makes a tensor on the CPU unless it is told where. Labels on a GPU do not go "
    "together with it: device=labels.device.",
    (", device=labels.device", ""),
)

answers.edit(
    "3.4",
    "normal instead of uniform numbers",
    "torch.randn is below p with another probability, even below 0 every other time. torch.rand is "
    "uniform between 0 and 1.",
    ("torch.rand(", "torch.randn("),
)

answers.edit(
    "3.4",
    "always a tenth",
    "p is an argument: 0.1 is the usual value, but 0 must drop none and 1 must drop all.",
    ("uniform < p", "uniform < 0.1"),
)

answers.edit(
    "3.4",
    "null labels given back a class",
    "Swapping on every hit also swaps labels that were null before. Those stay null.",
    ("torch.full_like(labels, null_label)", "torch.where(labels == null_label, 0, null_label)"),
)

answers.edit(
    "3.4",
    "one draw for two neighbours",
    "Each label draws a number of its own. Shared draws make neighbours drop out together.",
    ("torch.rand(labels.shape,", "torch.rand((len(labels) + 1) // 2,"),
    ("uniform < p", "uniform.repeat_interleave(2)[: len(labels)] < p"),
)


answers.edit(
    "3.4",
    "the chance squared",
    "Dropping only what two draws agree on happens with probability p times p. One draw is enough.",
    (
        "uniform < p",
        "(uniform < p) & (torch.rand(labels.shape, generator=generator, device=labels.device) < p)",
    ),
)

answers.edit(
    "3.4",
    "any p accepted",
    "15 for 15 % would silently drop every label. The first lines of the exercise refuse it; "
    "keep them.",
    ("if not 0 <= p <= 1", "if False"),
)

answers.edit(
    "3.4",
    "nan accepted",
    "nan is neither below 0 nor above 1, so asking for that lets it by, and nothing is ever "
    "dropped. Ask for what is allowed, 0 <= p <= 1, and refuse everything else.",
    ("if not 0 <= p <= 1", "if p < 0 or p > 1"),
)

answers.edit(
    "3.4",
    "p rounded",
    "p may have as many digits as it likes. Rounded to whole per cents or per mille, a small p "
    "becomes 0. Compare with p as it is.",
    ("uniform < p", "uniform < round(p, 2)"),
)

answers.edit(
    "3.4",
    "the same tensor where p is 0",
    "Then the new labels and the old ones are one tensor, and changing the one later changes the "
    "other. Hand out a copy: labels.clone().",
    ("    uniform", "    if p == 0:\n        return labels\n    uniform"),
)

answers.edit(
    "3.4",
    "a null label of 0 taken for none",
    "0 counts as false in Python, so `null_label or 10` turns it into 10. Use null_label as it is.",
    ("torch.full_like(labels, null_label)", "torch.full_like(labels, null_label or 10)"),
)

answers.edit(
    "3.4",
    "torch's own generator seeded on the way",
    "torch.manual_seed changes what the whole program draws afterwards. All that is needed is "
    "generator=generator.",
    ("    uniform", "    torch.manual_seed(0)\n    uniform"),
)


answers.again("3.4", "keeping with probability p", ("uniform < p", "uniform > p"))

for number in ("round(p * len(labels))", "int(p * len(labels))"):
    answers.again(
        "3.4",
        "exactly a share p of each batch",
        ("torch.rand(labels.shape,", "torch.randperm(len(labels),"),
        ("uniform < p", f"uniform < {number}"),
    )

answers.again(
    "3.4",
    "the first labels of each batch",
    ("uniform < p", "torch.arange(len(labels), device=labels.device) < p * len(labels)"),
)

answers.again(
    "3.4",
    "the first labels of each batch",
    ("torch.rand(labels.shape, generator=generator,", "torch.arange(len(labels),"),
    ("uniform < p", "uniform < p * len(labels)"),
)

answers.again(
    "3.4",
    "the generator's seed instead of the generator",
    ("    uniform", "    torch.manual_seed(generator.initial_seed())\n    uniform"),
    ("generator=generator, ", ""),
)

for seed in (0, 42):
    answers.again(
        "3.4",
        "the draw of each call from one fixed seed",
        ("    uniform", f"    generator.manual_seed({seed})\n    uniform"),
    )

answers.again(
    "3.4",
    "a random class instead of the null label",
    (
        "torch.full_like(labels, null_label)",
        "torch.randint(0, null_label, labels.shape, generator=generator, device=labels.device)",
    ),
)
