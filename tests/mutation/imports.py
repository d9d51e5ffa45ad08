"""Which files of the checkout some files import, directly and through others.

Read from the sources, wherever in a file the import stands, without importing anything.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path


def find_imported(files: Iterable[Path], root: Path) -> set[Path]:
    """Return the given files and all that they import from below `root`."""
    found: set[Path] = set()
    left = list(files)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            names = _list_names(ast.parse(path.read_text(), str(path)))
            left += [file for name in names for file in find_files(name, root)]
    return found


def find_files(name: str, root: Path) -> Iterator[Path]:
    """Yield the file of a module below `root` and those of the packages around it.

    Nothing for what is installed elsewhere; for a name in a module, that module.
    """
    place = root
    for part in name.split("."):
        place = place / part
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path


def _list_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str() as module, level=0):
                # What is taken from a package may be a module of it.
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case _:
                pass
