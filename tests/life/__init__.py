"""What a lab lives through: losses of every kind, growth, checkpoints (``make test-life``)."""
