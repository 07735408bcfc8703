"""Grading: verdicts on what probes saw, known answers, and the recognition of misunderstandings.

The only room that holds what is expected. It never enters the sandbox, and it knows nothing of
notebooks, classes or training.
"""
