"""How a config is found, overridden from the command line and checked; how the modules that it names are found.

A config is one frozen dataclass instance (`configs/default_config.py` lists every key): plain values that nothing can
change behind another config's back. This module knows no key by name: it works from the annotations of the dataclass.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import pkgutil
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lumbar.cli import UserError, nearest

Value = TypeVar("Value")

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def key(default: Value, description: str) -> Value:
    """Declare one key of a config: its default, and what it means with its unit (shown by ``train.py --help``)."""
    return dataclasses.field(default=default, metadata={"help": description})


def module_names(package: str) -> list[str]:
    """List the modules of a package, sorted (``configs`` -> ``['cfg_dh_05b5_loc', ...]``)."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))


def find_module(package: str, name: str, needs: Sequence[str], asked_by: str) -> types.ModuleType:
    """Import ``<package>.<name>`` and check that it offers what it must.

    Parameters
    ----------
    package, name : str
        For example ``data`` and ``ds_dh_4a2``.
    needs : sequence of str
        Names that the module must define.
    asked_by : str
        Who names the module, for the message: ``config key 'dataset'``.

    Raises
    ------
    UserError
        If there is no such module (says where it looked and which name is nearest), or it lacks one of `needs`.
    """
    known = module_names(package)
    if name not in known:
        where = ", ".join(str(path) for path in importlib.import_module(package).__path__)
        raise UserError(f"{asked_by}: no module {name!r} in {where}{nearest(name, known)}", status=2)
    module = importlib.import_module(f"{package}.{name}")
    missing = [need for need in needs if not hasattr(module, need)]
    if missing:
        raise UserError(f"{asked_by}: {module.__file__} does not define {', '.join(missing)}", status=2)
    return module


def load_config(name: str, overrides: Mapping[str, str] | None = None) -> Any:
    """Load a config by name and apply ``--key value`` overrides.

    Parameters
    ----------
    name : str
        Module in ``configs/``; becomes ``cfg.name`` and with it the folder under ``weights/``.
    overrides : mapping of str to str
        Values as typed on the command line; each is parsed to its key's type.

    Returns
    -------
    Config
        A fresh instance.

    Raises
    ------
    UserError
        If the config, a key or a value is unknown; names the nearest match or the type that was expected.
    """
    module = find_module("configs", name.removesuffix(".py").removeprefix("configs/"), ["cfg"], "option -C")
    name = module.__name__.rpartition(".")[2]
    types_by_key = get_type_hints(type(module.cfg))
    values: dict[str, Any] = {"name": name}
    for override, text in (overrides or {}).items():
        if override not in types_by_key:
            raise UserError(
                f"option --{override}: config {name} has no such key{nearest(override, list(types_by_key))}; "
                "configs/default_config.py lists all",
                status=2,
            )
        values[override] = parse_value(text, types_by_key[override], override)
    return dataclasses.replace(module.cfg, **values)


def describe(cfg: Any) -> list[tuple[str, str, Any, str]]:
    """List a config's keys: (name, type, value, description)."""
    return [
        (field.name, str(field.type), getattr(cfg, field.name), field.metadata.get("help", ""))
        for field in dataclasses.fields(cfg)
    ]


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


def overrides_of(name: str, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Collect what a table of overrides says of one config, and check it.

    Parameters
    ----------
    name : str
        The config.
    overrides : mapping of str to mapping
        Values by key, under ``all`` for every config and under a config's name for it alone, which counts more.

    Returns
    -------
    dict of str to str
        Values as they are typed on the command line, by key.

    Raises
    ------
    UserError
        If a table is none, or names a config, a key or a value that does not exist.
    """
    known = ["all", *module_names("configs")]
    for table, values in overrides.items():
        if table not in known:
            raise UserError(f"overrides: no config {table!r}{nearest(table, known)}", status=2)
        if not isinstance(values, Mapping):
            raise UserError(f"overrides of {table}: expected key: value pairs, got {values!r}", status=2)
    chosen = {**overrides.get("all", {}), **overrides.get(name, {})}
    text = {str(key): as_text(value) for key, value in chosen.items()}
    load_config(name, text)
    return text


def _parse_as(text: str, annotation: Any) -> Any:
    """Parse to one type; ValueError if the text is none of it. The choices of a Literal are texts."""
    if annotation is type(None):
        if text.lower() in ("none", "null"):
            return None
        raise ValueError(text)
    if annotation is bool:
        if text.lower() in TRUE + FALSE:
            return text.lower() in TRUE
        raise ValueError(text)
    if get_origin(annotation) is Literal:
        if text in get_args(annotation):
            return text
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
        return " or ".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        element_types = get_args(annotation)
        if element_types[-1] is Ellipsis:
            return f"a comma-separated list of {_type_name(element_types[0])}"
        return f"{len(element_types)} comma-separated values"
    names = {type(None): "None", bool: "True or False", int: "a whole number", float: "a number", str: "text"}
    return names.get(annotation, str(annotation))
