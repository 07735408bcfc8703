"""Right answers to chapter 10 in other styles. Every check must accept them."""

import torch

from course.grading.answers import Answers

answers = Answers()


# 10.1


@answers.right("10.1", "torch.mul")
def scale_colour_and_size(x, factor):
    return torch.mul(x, factor)
