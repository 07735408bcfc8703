"""Known wrong answers to chapter NN, each with the misunderstanding behind it."""

from course.grading.answers import Answers

answers = Answers()


# N.1


@answers.wrong(
    "N.1",
    "adding the factor",
    "Adding moves every value by the same amount. Scaling stretches them: 0 stays 0.",
)
def scale_topic(x, factor):
    return x + factor
