"""JSON Schema of the documents that people write, for editors and other tools."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema


def json_schema(kind: str, model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of document: closed, with descriptions."""
    schema = model.model_json_schema(schema_generator=_Generator)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": f"labctl {kind}"}


class _Generator(GenerateJsonSchema):
    """Pydantic's schema without generated titles, with field docstrings as descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: ``Timeout Server`` adds nothing to ``timeout_server``."""
        del schema
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """A model, each field described by the docstring below it."""
        made = super().model_schema(schema)
        made.pop("title", None)
        for name, text in _field_docstrings(schema["cls"]).items():
            if name in made["properties"]:
                made["properties"][name]["description"] = text
        return made

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """A mapping; names that do not match its pattern are refused, as labctl does."""
        made = super().dict_schema(schema)
        if "patternProperties" in made:
            made["additionalProperties"] = False
        return made


def _field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """key → docstring, from the source code, which is read only to make a schema."""
    found = {}
    for each in reversed([base for base in model.__mro__ if issubclass(base, BaseModel)][:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        except OSError:
            continue  # created at run time: its fields have descriptions already
        for pair in pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
            match pair:
                case (ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text)))):
                    field = model.model_fields.get(name)
                    found[(field and field.alias) or name] = " ".join(text.split())
    return found
