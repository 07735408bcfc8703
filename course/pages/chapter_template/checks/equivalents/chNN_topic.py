"""Right answers to chapter NN in other styles. Every check must accept them."""

import torch

from course.grading.answers import Answers

answers = Answers()


# N.1


@answers.right("N.1", "torch.mul")
def scale_topic(x, factor):
    return torch.mul(x, factor)
