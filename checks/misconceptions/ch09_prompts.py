"""Known wrong answers to chapter 09, each with the misunderstanding behind it."""

from course.grading.answers import Answers

answers = Answers()


# 9.1


@answers.wrong(
    "9.1",
    "adding the factor",
    "Adding moves every value by the same amount. Scaling stretches them: 0 stays 0.",
)
def scale_prompts(x, factor):
    return x + factor
