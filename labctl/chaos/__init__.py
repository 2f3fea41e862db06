"""Chaos with proof: scenarios run against a lab, and verdicts about what came of them."""
