"""Losses of every kind on real labs, and `labctl recover` (``make test-recover``)."""
