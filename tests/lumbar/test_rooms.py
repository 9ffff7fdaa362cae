"""The rooms of the library stand in an order, and no room uses a later one."""

import ast
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path(__file__).parents[2] / "lumbar"
TOP = ("anatomy", "tables", "table_checks", "cli", "config", "files", "parallel", "roles", "values")
ORDER = ("images", "labels", "phantom", "items", "nets", "engine", "localise", "grades", "predict", "html", "report",
         "audit")  # fmt: skip


def room(module: str) -> str:
    """The room of ``lumbar.<room>.<module>``; nothing for the top."""
    name = module.split(".")[1] if "." in module else ""
    return "" if name in TOP else name


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "lumbar":
            yield from (f"lumbar.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_module_has_a_room() -> None:
    assert {path.stem for path in LIBRARY.glob("*.py")} == {"__init__", *TOP}
    assert {path.parent.name for path in LIBRARY.glob("*/__init__.py")} == set(ORDER)
    about = LIBRARY.joinpath("__init__.py").read_text()
    assert all(f"`{name}`" in about for name in (*TOP, *ORDER))


def test_no_room_uses_a_later_one() -> None:
    places = {name: number for number, name in enumerate(("", *ORDER))}
    for path in LIBRARY.rglob("*.py"):
        here = room(".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__"))
        for module in imports(path):
            if module.split(".")[0] == "lumbar":
                assert places[room(module)] <= places[here], f"{path}: {here or 'the top'} uses {module}"


def test_the_library_knows_no_config_dataset_or_model_by_name() -> None:
    for path in LIBRARY.rglob("*.py"):
        for module in imports(path):
            assert module.split(".")[0] not in ("configs", "data", "models", "postprocess", "metrics", "scripts"), path


def test_no_file_name_stands_twice() -> None:
    names = [path.name for path in LIBRARY.rglob("*.py") if path.name != "__init__.py"]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)
