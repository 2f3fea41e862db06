"""Renders templates to text, as pure functions: the only module that uses Jinja2."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import jinja2

from labctl.errors import InputError

_MARKS = ("{{", "{%", "{#")


def is_template(source: str) -> bool:
    """Whether there is anything to render: most strings of a catalogue are plain."""
    return "{" in source and any(mark in source for mark in _MARKS)


def render_text(
    source: str, name: str, context: Mapping[str, object], parts: Path | None = None
) -> str:
    """Render a template; InputError with the template's name and line when it is wrong.

    ``parts`` is the directory in which imports and includes are looked up. In a shell script
    (recognised by its first line) every expression is quoted as one shell word, whatever a
    topology put into it, so expressions must be outside of quotes there.
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
    # Copied for each rendering: a dict takes a tenth of the time of Jinja2's own ChainMap.
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
    """A value quoted as one shell word."""
    return shlex.quote(str(value))


def _line(error: Exception) -> int:
    """The line being rendered: that of the innermost template frame."""
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
