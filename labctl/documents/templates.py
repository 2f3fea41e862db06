"""Templates to text, purely: the only place with Jinja2."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import jinja2

from labctl.errors import InputError

_MARKS = ("{{", "{%", "{#")


def is_template(source: str) -> bool:
    """Whether there is anything to render: most of a catalogue's words are plain."""
    return "{" in source and any(mark in source for mark in _MARKS)


def render_text(
    source: str, name: str, context: Mapping[str, object], parts: Path | None = None
) -> str:
    """Render one template; InputError with the template's name and line when it is wrong.

    ``parts`` is the directory in which what the template imports or includes is looked up. In a
    shell script (its first line says so) every expression becomes one word of the shell, whatever
    a topology put into it, so expressions stand there outside of quotes.
    """
    if not is_template(source):
        return source
    try:
        return _template(source, parts).render(context)
    except jinja2.TemplateNotFound as error:
        raise InputError(f"{name}: template error: there is no {error.name}") from None
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"{name}:{error.lineno}: template error: {error.message}") from None
    except jinja2.UndefinedError as error:
        raise InputError(f"{name}:{_line(error)}: template error: {error.message}") from None
    except (TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise InputError(f"{name}:{_line(error)}: template error: {error}") from None


@lru_cache(maxsize=1024)
def _template(source: str, parts: Path | None) -> jinja2.Template:
    """Compiled once: the same file is rendered for every node."""
    template = _environment(parts, shell=source.startswith("#!/bin/sh")).from_string(source)
    # Copied at each rendering, which takes a dict a tenth of the time of Jinja2's own chain.
    template.globals = dict(template.globals)
    return template


@lru_cache(maxsize=8)
def _environment(parts: Path | None, *, shell: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(parts) if parts else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
        finalize=_word if shell else None,
    )


def _word(value: object) -> str:
    """A value as one word of the shell."""
    return shlex.quote(str(value))


def _line(error: Exception) -> int:
    """Line of the template that was being rendered: the innermost template frame."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
