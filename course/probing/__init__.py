"""Probing: load the code under test, run probes on it, and keep what they saw as plain data.

This room runs beside the learner's code, and it alone enters the sandbox. So nothing in it may
know what is expected, and it imports no other room.
"""
