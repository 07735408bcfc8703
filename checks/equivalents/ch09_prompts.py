"""Right answers to chapter 09 in other styles. Every check must accept them."""

import torch

from course.grading.answers import Answers

answers = Answers()


# 9.1


@answers.right("9.1", "torch.mul")
def scale_prompts(x, factor):
    return torch.mul(x, factor)
