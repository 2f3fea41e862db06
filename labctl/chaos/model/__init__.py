"""The data types that all of chaos shares: findings, verdicts, durations, timers.

Pure: what may enter is data and arithmetic on it. Nothing here reads a file or asks a lab.
"""
