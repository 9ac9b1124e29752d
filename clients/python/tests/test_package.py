"""The wheel has what the package is, and says what it needs."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.requirements import Requirement

import gapless

PLACE = Path(gapless.__file__).parent
HERE = Path(__file__).resolve().parent.parent


def test_it_is_the_installed_wheel() -> None:
    assert Path(sys.prefix) in PLACE.parents
    assert {path.name for path in PLACE.iterdir()} - {"__pycache__"} == {
        path.name for path in (HERE / "src/gapless").iterdir()
    } - {"__pycache__"}
    assert (PLACE / "py.typed").exists()


def test_it_requires_what_it_imports() -> None:
    required = [Requirement(text) for text in distribution("gapless").requires or []]
    for requirement in required:
        assert requirement.specifier.contains(version(requirement.name)), requirement
    imported: set[str] = set()
    for path in PLACE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {requirement.name for requirement in required}


def test_the_rules_do_no_input_or_output() -> None:
    """Neither module that drives them is in them, nor what it needs for it."""
    drivers = {"_io.py", "_aio.py", "_client.py", "aio.py", "__init__.py"}
    for path in PLACE.glob("*.py"):
        if path.name in drivers:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [name.name for name in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            for name in [module, *names]:
                assert name not in {"httpx", "asyncio", "socket", "threading", "_io", "_aio", "sleep"}, path.name
