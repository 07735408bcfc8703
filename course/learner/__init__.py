"""The learner's side: exercises, skeletons, progress, hints, the scoreboard, a check at every save,
five minutes of review, a certificate.

Whatever a learner wrote is kept. Nothing here may overwrite it without a backup.
"""
