"""The model at work: data, weights, training runs, sampling, digit networks, evaluation.

The chapters' code is handed in, so this room imports no other: training never depends on verdicts.
"""

SAMPLERS = ("ancestral", "ddim", "2m")  # here, where the command line finds them without torch
