"""Known wrong answers to chapter 10, each with the misunderstanding behind it."""

from course.grading.answers import Answers

answers = Answers()


# 10.1


@answers.wrong(
    "10.1",
    "adding the factor",
    "Adding moves every value by the same amount. Scaling stretches them: 0 stays 0.",
)
def scale_colour_and_size(x, factor):
    return x + factor
