"""The model at work: data, weights, training runs, sampling, digit networks, evaluation.

The chapters' code is handed in, so this room imports no other: training never depends on verdicts.
"""

# Here, where the command line finds them without torch.
SAMPLERS = ("ancestral", "ddim", "2m", "flow-euler", "flow-heun")
PRESET_NAMES = (
    "smoke", "laptop", "seed",
    "prompts", "prompts-pooled", "prompts-bag", "laptop-adamw", "flow", "flow-logit", "pairs",
    "large-pixels", "large-patches", "large-latent",
    "folder", "cifar10", "celeba", "celeba-prompts", "cifar10-gpu", "celeba-prompts-gpu",
)  # fmt: skip
METHODS = ("progressive", "consistency")  # of distilling
