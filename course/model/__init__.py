"""The model at work: data, weights, training runs, sampling, digit networks, evaluation.

The chapters' code is handed in, so this room imports no other: training never depends on verdicts.
"""

# Here, where the command line finds them without torch.
SAMPLERS = ("ancestral", "ddim", "2m")
PRESET_NAMES = ("smoke", "laptop", "seed", "prompts", "prompts-pooled", "prompts-bag", "pairs")
METHODS = ("progressive", "consistency")  # of distilling
