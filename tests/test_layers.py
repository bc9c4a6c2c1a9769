"""The house's layout: folders in the order of the data, no circles, names that mean one thing. Read by `ast` alone, so
lazy and type-only imports count."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HALVES = ("scaling", "analysis")
ORDER = {  # a folder imports only folders before it (and commands, which lie beside the folders, may import all)
    "scaling": "config records data models tracking compose training sweep study".split(),
    "scaling.data": "errors sources pixels subsets batches features".split(),
    "analysis": (
        "arguments estimator design figures report advise pilot calibrate benchmark public_curves repeats".split()
    ),
    "analysis.estimator": "arrays rows audit curve crossover".split(),
}
# What the analysis may import of the other half: all of it without torch.
_DATA = tuple(f"data.{name}" for name in ("errors", "look", "sources", "pixels", "subsets"))
FREE = {"scaling": ("config", "records", "tracking", *_DATA)}
SHARED = {"main", "run", "USAGE"}  # every command has them
MOST_ENTRIES, MOST_AT_TOP, MOST_PARAMETERS = 14, 16, 7
# ViT mirrors its published settings; minimise states a batch of problems, array by array; the others are calls of the
# contract.
MANY_PARAMETERS = {"ViT.__init__", "minimise", "fit_curve", "find_crossover"}


def _files(half: str) -> dict[str, Path]:
    """Every module of a half by its dotted name; packages that hold code count by their own name."""
    found = {}
    for path in sorted((ROOT / half).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _files("scaling") | _files("analysis")
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
OURS = [name for name in MODULES if name.split(".")[0] in HALVES]


def _imports(name: str) -> Iterator[str]:
    """The project's modules that a module imports, anywhere in its text."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in MODULES else node.module
                        for a in node.names)  # fmt: skip


EDGES = {name: {to for to in _imports(name) if to in MODULES and to != name} for name in OURS}


def circles(edges: dict[str, set[str]]) -> list[str]:
    """What is left when everything that imports nothing left, or is imported by nothing left, is taken away."""
    left = {name: set(to) for name, to in edges.items()}
    while True:
        inner = set(left)
        used = {to for targets in left.values() for to in targets & inner}
        kept = {name: targets & inner for name, targets in left.items() if targets & inner and name in used}
        if len(kept) == len(left):
            return sorted(kept)
        left = kept


def _at(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circles(EDGES) == []


@pytest.mark.parametrize("parent", [parent for parent in ORDER if parent.split(".")[0] in HALVES])
def test_a_folder_imports_only_folders_before_it(parent: str) -> None:
    order, depth = ORDER[parent], parent.count(".") + 2
    wrong = []
    for name in (name for name in OURS if name.startswith(parent + ".")):
        mine = name.split(".")[depth - 1]
        for to in (to for to in EDGES[name] if to.startswith(parent + ".")):
            theirs = to.split(".")[depth - 1]
            later = theirs not in order or (mine in order and order.index(theirs) > order.index(mine))
            if mine in order and theirs != mine and later:
                wrong.append(f"{name} imports {to}")
    assert wrong == []
    folders = {path.name for path in (ROOT / parent.replace(".", "/")).iterdir() if list(path.glob("*.py"))}
    assert folders <= set(order)  # a new folder gets its place in the order


def test_the_halves_import_each_other_only_where_that_is_allowed() -> None:
    wrong = [f"{name} imports {to}" for name in TREES for to in _imports(name)
             if (name.startswith("scaling") and to.split(".")[0] == "analysis")
             or (name.startswith("analysis") and to.split(".")[0] == "torch")
             or (name.startswith("analysis") and to.startswith("scaling.")
                 and not to.removeprefix("scaling.").startswith(FREE["scaling"]))]  # fmt: skip
    assert wrong == []


def test_the_estimator_draws_nothing() -> None:
    drawn = {name: {to.split(".")[0] for to in _imports(name)} & {"matplotlib", "jinja2"} for name in TREES}
    assert [name for name, used in drawn.items() if name.startswith("analysis.estimator") and used] == []


def test_no_folder_has_more_entries_than_one_can_overlook() -> None:
    folders = {path.parent for name in OURS for path in [MODULES[name]]}
    for folder in folders:
        entries = [p for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
        count = len([p for p in entries if p.name not in ("__init__.py", "__main__.py")])
        assert count <= (MOST_AT_TOP if folder.name in HALVES else MOST_ENTRIES), folder


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def test_a_public_name_is_defined_in_one_file() -> None:
    places = defaultdict(list)
    for name in OURS:
        for word in set(_defined(TREES[name])):
            if not word.startswith("_") and word not in SHARED:
                places[word].append(name)
    assert {word: files for word, files in places.items() if len(files) > 1} == {}


def _functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, int]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            args = node.args
            own = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
            yield inside + node.name, len([a for a in own if a not in ("self", "cls")])
        name = f"{inside}{node.name}." if isinstance(node, ast.ClassDef | ast.FunctionDef) else inside
        yield from _functions(node, name)


def test_no_function_takes_more_than_seven_parameters() -> None:
    many = Counter(dict(entry for name in OURS for entry in _functions(TREES[name])))
    assert {k: v for k, v in many.items() if v > MOST_PARAMETERS and k not in MANY_PARAMETERS} == {}
