"""The instructor's side: submissions, the sandbox, batches, results, reports, and Gradescope.

Submissions are strangers' code and text. Nothing here may run them in its own process or show
their words unescaped.
"""
