"""Values of a config as text: how they are typed on a command line, and parsed to the type of their key."""

from __future__ import annotations

import ast
import types
from typing import Any, Literal, Union, get_args, get_origin

from lumbar.cli import UserError

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def parse_value(text: str, annotation: Any, name: str) -> Any:
    """Parse a command-line value to the type of its key.

    Parameters
    ----------
    text : str
        ``none``, ``true``/``false``, a number, ``a,b,c`` or a Python tuple or list for several values.
    annotation : type
        What the key accepts: bool, int, float, str, None, Literal, tuple, or a union of these.
    name : str
        The key, for the message.

    Raises
    ------
    UserError
        If the text fits no type that the key accepts.
    """
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    for option in sorted(options, key=lambda option: option is str):  # any text is a str
        try:
            return _parse_as(text.strip(), option)
        except ValueError:
            continue
    expected = " or ".join(_type_name(option) for option in options)
    raise UserError(f"option --{name}: expected {expected}, got {text!r}", status=2)


def as_text(value: Any) -> str:
    """Write a value as it is typed on the command line, so that `parse_value` reads it back: ``[1, 2]`` as ``1,2``."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _parse_as(text: str, annotation: Any) -> Any:
    """Parse to one type; ValueError if the text is none of it."""
    if annotation is type(None):
        if text.lower() in ("none", "null"):
            return None
        raise ValueError(text)
    if annotation is bool:
        if text.lower() in TRUE + FALSE:
            return text.lower() in TRUE
        raise ValueError(text)
    if get_origin(annotation) is Literal:
        choices = {str(choice): choice for choice in get_args(annotation)}
        if text in choices:
            return choices[text]
        raise ValueError(text)
    if get_origin(annotation) is tuple:
        return _parse_tuple(text, get_args(annotation))
    return annotation(text)


def _parse_tuple(text: str, element_types: tuple[Any, ...]) -> tuple[Any, ...]:
    """Parse ``a,b`` or ``('a', 'b')`` or ``[1, 2]``; an ellipsis as second type means any length."""
    if text[:1] in ("(", "["):
        try:
            literal = ast.literal_eval(text)
        except SyntaxError as error:
            raise ValueError(text) from error
        parts = [str(part) for part in literal]
    else:
        parts = [part.strip() for part in text.split(",") if part.strip()]
    if element_types[-1] is Ellipsis:
        element_types = (element_types[0],) * len(parts)
    if len(parts) != len(element_types):
        raise ValueError(text)
    return tuple(_parse_as(part, option) for part, option in zip(parts, element_types, strict=True))


def _type_name(annotation: Any) -> str:
    """Say in words what a key accepts."""
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        element_types = get_args(annotation)
        if element_types[-1] is Ellipsis:
            return f"a comma-separated list of {_type_name(element_types[0])}"
        return f"{len(element_types)} comma-separated values"
    names = {type(None): "None", bool: "True or False", int: "a whole number", float: "a number", str: "text"}
    return names.get(annotation, str(annotation))
