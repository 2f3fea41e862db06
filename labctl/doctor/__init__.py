"""Check whether the machine has what labs need, and fix what can be fixed."""
