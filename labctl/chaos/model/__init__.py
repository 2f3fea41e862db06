"""The words that all of chaos shares, as plain data: findings, spans of time, timers. Pure."""
