"""The instructor's side: collecting, the sandbox, batches, results, reports, export.

Submissions are strangers' code and text. Nothing here may run them in its own process or show
their words unescaped.
"""
