from course.grading.answers import Answers
answers = Answers()
