"""The registry of ops: a family is imported when one of its ops is asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from archspec.ir.op import REGISTRY, Op
from archspec.ir.registry import Registry
from archspec.ops.names import MODULES

LOADED = """
import json, sys, archspec
{code}
print(json.dumps([name for name in sys.modules if name.startswith("archspec.ops.")]))
"""


def families(code: str) -> set[str]:
    """The modules of ops that a fresh process has imported after the code."""
    run = [sys.executable, "-c", LOADED.format(code=code)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    return {name.rpartition(".")[2] for name in said} - {"names"}


def test_a_spec_imports_the_families_of_its_ops():
    nodes = "archspec.loads('input: [3]\\nlayers: [{linear: 2}, relu]').summary()"
    assert families(nodes) == {"linear", "activation"}


def test_what_lists_ops_imports_all():
    assert families("from archspec.cli import main; main(['list', '--ops'])") >= {
        module.rpartition(".")[2] for module in MODULES.values()
    }


def test_each_op_is_in_the_module_that_is_named():
    own = {name: op for name, op in REGISTRY.items() if op.__module__.startswith("archspec.")}
    assert {name: op.__module__ for name, op in own.items()} == MODULES


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A registry of a package with two modules, of which one name is expected."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "__init__.py").write_text("from archspec.ir.registry import Registry\nB = Registry()")
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(f"from shelf import B\nB['{name}'] = '{name.upper()}'")
    monkeypatch.syspath_prepend(tmp_path)
    import shelf

    books: Registry[str] = shelf.B
    books.expect("shelf", {"one": "shelf.one"})
    yield books
    for name in [name for name in sys.modules if name.partition(".")[0] == "shelf"]:
        del sys.modules[name]


def test_a_name_that_is_expected_imports_its_module_alone(shelf):
    assert "one" in shelf and "shelf.one" not in sys.modules
    assert shelf["one"] == "ONE"
    assert "two" not in shelf and "shelf.two" not in sys.modules
    with pytest.raises(KeyError):
        shelf["two"]


def test_iteration_finds_names_that_were_not_expected(shelf):
    assert list(shelf.items()) == [("one", "ONE"), ("two", "TWO")]
    assert "two" in shelf and len(shelf) == 2


def test_a_name_is_taken_before_its_module_is_imported(shelf):
    assert shelf.is_taken("one", "another.package")
    assert not shelf.is_taken("one", "shelf.one")
    assert not shelf.is_taken("three", "another.package")
    shelf["three"] = "THREE"
    assert shelf.is_taken("three", "shelf.one")


def test_an_op_of_another_package_may_not_take_a_name():
    with pytest.raises(TypeError, match=r"op 'gelu' is defined twice: <class 'archspec\.ops\."):

        class Gelu(Op, name="gelu"):
            pass
