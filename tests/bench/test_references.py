"""A reference that used our code would be held against itself."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OURS = {path.name for path in REPOSITORY.iterdir() if path.is_dir()}
REFERENCES = sorted((REPOSITORY / "bench" / "references").glob("*.py"))


def test_references_import_nothing_of_ours() -> None:
    assert len(REFERENCES) >= 4
    for path in REFERENCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path.name}:{node.lineno}"
                modules = [node.module or ""]
            for module in modules:
                assert module.partition(".")[0] not in OURS, f"{path.name}: {module}"
