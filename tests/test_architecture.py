"""The door and the arrows: what is public, what imports what, and what nobody may call."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import segrank
from segrank.cli import app
from segrank.record import Record
from segrank.spec import RunSpec

SOURCE = Path(segrank.__file__).parent
WAIST = {
    f"segrank.{name}"
    for name in (
        "errors", "files", "spec", "record", "store", "read_once", "attempt", "predictions", "claims", "counts",
        "metrics", "robustness", "cards",
    )
}  # fmt: skip
RIGHT = ("segrank.ranking", "segrank.report")
LEFT_LIBRARIES = {"torch", "torchvision", "timm", "lightning_fabric", "safetensors", "numba"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
WAIST |= {module for module in TREES if module.startswith("segrank.cards.")}


def imports(tree: ast.AST, *, for_types: bool = True) -> Iterator[str]:
    """Modules imported anywhere in it, inside functions too; `from segrank.x import y` is segrank.x.y if that is
    a module. `for_types`: also where only a type checker looks."""
    left_out = {
        id(inner)
        for node in ast.walk(tree)
        if not for_types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                inner_module = f"{node.module}.{alias.name}"
                yield inner_module if inner_module in TREES else node.module


def of_segrank(tree: ast.AST, *, for_types: bool = True) -> set[str]:
    return {name for name in imports(tree, for_types=for_types) if name.split(".")[0] == "segrank"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls with the names that they go by where they come from: `from torch import load as l; l(x)` is torch.load."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            yield known.get(first, first) + dot + rest, node


def keywords(call: ast.Call) -> dict[str, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}


# ---------------------------------------------------------------- without torch


def loaded_by(code: str) -> set[str]:
    """Libraries of the left half that a fresh process has loaded after running `code`."""
    watch = f"import sys\n{code}\nprint(*{LEFT_LIBRARIES} & {{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


LOOKING_PARTS = ("segrank.cli", "segrank.console", "segrank.study.", "segrank.stores.", *RIGHT)


def test_planning_and_looking_need_no_torch() -> None:
    modules = [
        "segrank",
        *sorted(WAIST & TREES.keys()),
        "segrank.inputs",
        "segrank.data",
        *(name for name in TREES if name.startswith(LOOKING_PARTS)),
    ]
    # in one process, since starting one for each takes a second; the first that brings a library is the one to look at
    code = f"""
import importlib
for module in {modules}:
    importlib.import_module(module)
    brought = {LEFT_LIBRARIES} & {{name.split(".")[0] for name in sys.modules}}
    assert not brought, f"{{module}} brings {{brought}}"
"""
    assert loaded_by(code) == set()


LOOKING = [
    ["--help"], ["run", "--help"], ["fields"], ["datasets"], ["datasets", "gta5"], ["show", "--store", "nowhere"],
    ["rank", "results.csv"], ["compare", "a", "b", "results.csv"], ["place", "a", "results.csv"],
    ["agree", "results.csv", "--metrics", "miou,f1"], ["effects", "results.csv"], ["diagnose", "results.csv"],
    ["recommend", "results.csv", "--metrics", "miou,f1", "--target", "f1"], ["gc", "--store", "."],
    ["plan", "recommended"],
]  # fmt: skip
"""Calls of verbs that only look."""


def test_verbs_that_only_look_need_no_torch(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("encoder,miou,f1\na,1,2\nb,2,3\n")
    code = f"""
import os
os.chdir({str(tmp_path)!r})
from segrank.cli import app
for arguments in {LOOKING}:
    try:
        app(arguments)
    except SystemExit as end:
        assert not end.code, arguments
    brought = {LEFT_LIBRARIES} & {{name.split(".")[0] for name in sys.modules}}
    assert not brought, f"{{arguments}} brings {{brought}}"
"""
    assert loaded_by(code) == set()


# ---------------------------------------------------------------- arrows


@pytest.mark.parametrize("module", sorted(WAIST & TREES.keys()))
def test_the_waist_imports_nothing_outside_it(module: str) -> None:
    assert of_segrank(TREES[module]) <= WAIST
    assert not {name.split(".")[0] for name in imports(TREES[module])} & LEFT_LIBRARIES


def test_the_right_half_imports_the_waist_and_itself() -> None:
    for module in (name for name in TREES if name.startswith(RIGHT)):
        strangers = {name for name in of_segrank(TREES[module]) - WAIST if not name.startswith(RIGHT)}
        assert strangers == set(), module


def test_the_left_half_does_not_import_the_right() -> None:
    doors = ("segrank.cli", "segrank.console")
    for module, tree in TREES.items():
        if not module.startswith((*doors, *RIGHT)):
            assert not [name for name in of_segrank(tree) if name.startswith(RIGHT)], module


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    arrows = {module: of_segrank(tree, for_types=False) & TREES.keys() - {module} for module, tree in TREES.items()}
    arrows["segrank"] = set()  # the door opens onto everything, and nobody behind it comes back through it
    while arrows:
        free = [module for module, targets in arrows.items() if not targets & arrows.keys()]
        assert free, f"a circle among {sorted(arrows)}"
        for module in free:
            del arrows[module]


# ---------------------------------------------------------------- what nobody may call


def test_nothing_runs_code_from_a_file_or_a_shell() -> None:
    forbidden = (
        "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "eval", "exec", "os.system",
        "os.popen", "subprocess.getoutput", "joblib.load", "pandas.read_pickle",
    )  # fmt: skip
    for module, tree in TREES.items():
        for name, call in calls(tree):
            place, given = f"{module}:{call.lineno} {name}", keywords(call)
            assert name not in forbidden, place
            assert name.rsplit(".", 1)[-1] not in ("extractall", "unpack_archive"), place
            assert given.get("shell", "False") == "False", place
            assert given.get("allow_pickle", "False") == "False", place
            if name == "torch.load":
                assert given.get("weights_only") == "True", place
            if name.endswith(".YAML"):
                assert given.get("typ") == "'safe'", place


def test_yaml_is_read_in_one_place_and_not_by_pyyaml() -> None:
    readers = {m for m, tree in TREES.items() for name in imports(tree) if name.split(".")[0] in ("yaml", "ruamel")}
    assert readers == {"segrank.files"}
    assert not any(name.split(".")[0] == "yaml" for tree in TREES.values() for name in imports(tree))


# ---------------------------------------------------------------- the door


def test_all_is_what_is_public_and_importable() -> None:
    assert list(segrank.__all__) == sorted(segrank.__all__)
    found: dict[str, Any] = {name: getattr(segrank, name) for name in segrank.__all__}
    assert all(callable(value) and value.__doc__ for value in found.values())
    submodules = {module.name for module in pkgutil.iter_modules(segrank.__path__)}
    public = {
        name
        for name, value in vars(segrank).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("segrank.")
    }
    assert public == set(segrank.__all__)
    assert not set(segrank.__all__) & submodules, "importing the module would hide the name"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(segrank, "nothing")  # noqa: B009


def test_segrank_run_is_the_function_even_after_its_module_was_imported() -> None:
    module = segrank.run.__module__
    loaded_by(f"import {module}\nimport segrank\nassert segrank.run.__module__ == {module!r}")


# ---------------------------------------------------------------- the command line


def test_every_option_of_run_is_a_field_or_a_parameter_and_every_parameter_has_one() -> None:
    command: Any = get_command(app)
    options = {parameter.name for parameter in command.commands["run"].params}
    function = inspect.signature(segrank.run).parameters
    renamed = {"checkpoint_every": "checkpoint_every_s"}
    settings = {renamed.get(name, name) for name in options} - {"file", "assignments", "help"}
    assert settings <= RunSpec.model_fields.keys() | function.keys()
    assert function.keys() - {"spec", "reporter", "key"} <= settings  # a key is what a study expects of its workers


def test_every_option_of_run_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def fake(spec: RunSpec, **options: Any) -> Record:
        seen.update(spec=spec, **options)
        return Record(
            key="0" * 16, status="interrupted", spec=spec, identity={}, precision="fp32", attempt="0" * 12
        )  # fmt: skip

    monkeypatch.setattr(sys.modules[segrank.run.__module__], "run", fake)
    file = tmp_path / "spec.yaml"
    file.write_text("encoder: small:rope\ndataset: scenes?train=9\nsteps: 3\nlr: 0.5\n")
    arguments = [
        "run", str(file), "--encoder", "small:plain", "--weights", "random", "--dataset", "scenes", "--set", "steps=7",
        "--set", "crop=32x48", "--store", str(tmp_path / "s"), "--root", str(tmp_path), "--device", "cpu",
        "--devices", "2", "--workers", "3", "--micro-batch", "5", "--checkpoint-every", "1.5", "--no-keep-weights",
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 130, done.output
    assert seen.pop("reporter") is not None
    assert seen == {
        "spec": RunSpec(
            encoder="small:plain", weights="random", dataset="scenes", steps=7, lr=0.5, crop=(32, 48)
        ),
        "store": tmp_path / "s",
        "root": tmp_path,
        "device": "cpu",
        "devices": 2,
        "workers": 3,
        "micro_batch": 5,
        "checkpoint_every_s": 1.5,
        "keep_weights": False,
    }  # fmt: skip
