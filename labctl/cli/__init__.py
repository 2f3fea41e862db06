"""The command line: a file for each group of commands; the only place with typer and rich."""
