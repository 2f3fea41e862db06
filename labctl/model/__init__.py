"""What documents may say, and what they come to: typed, frozen, no engine."""
