"""The folder of a run: the only place where a run and its judgement meet."""
