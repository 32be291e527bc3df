"""Adding to archspec touches one place, and one list where CONTRIBUTING.md says so: done here.

Each addition is made in a copy of the package, or through the door that other packages have, and
all that is made of declarations then knows it: the command line, the schema, `expand`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import archspec
from archspec.cli import expand, main, parser
from archspec.cli.command import Command, Option
from archspec.cli.output import write

PACKAGE = Path(archspec.__file__).parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A folder with a copy of the package, to which the tests of this module add."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "archspec")
    return folder


SCRIPT = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from archspec.cli import main
said = []
for argv in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = main(argv)
    said.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(said))
"""


def run(folder: Path, *lines: str, **specs: str) -> list[tuple[int, str, str]]:
    """Status, output and errors of each command line of the copy; the specs are files there."""
    for name, text in specs.items():
        (folder / f"{name}.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([line.split() for line in lines])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def printed(folder: Path, *lines: str, **specs: str) -> list[str]:
    """The outputs of command lines of which none may go wrong."""
    said = run(folder, *lines, **specs)
    assert [(status, err) for status, _, err in said] == [(0, "")] * len(lines)
    return [out for _, out, _ in said]


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def enter(path: Path, entry: str, before: str) -> None:
    """Adds an entry to a list: the one line that is changed."""
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, entry + before))


OP = '''

class Halve(Activation, name="halve"):
    """Half of the element."""

    module = "Identity"
'''


def test_an_op_is_a_class_in_a_file_of_ops(copy):
    append(copy / "archspec" / "ops" / "activation.py", OP)
    listed, schema, written, said = printed(
        copy,
        *("list --ops", "schema", "expand halved.yaml", "compile halved.yaml"),
        halved="input: [4]\nlayers: [halve]\n",
    )
    assert "  halve " in listed
    assert "Half of the element." in schema
    assert "- halve\n" in written
    assert "N×4 → N×4, 0 parameters" in said


def test_a_block_is_a_file(copy):
    path = copy / "archspec" / "blocks" / "twin.yaml"
    path.write_text("doc: Two equal layers.\nparams: {n: int}\nlayers: [{repeat: 2, linear: n}]")
    listed, schema, said = printed(
        copy,
        *("list --ops", "schema", "compile twins.yaml"),
        twins="input: [4]\nlayers: [{twin: {n: 4}}]\n",
    )
    assert "Two equal layers." in listed
    assert '"twin"' in schema
    assert "40 parameters" in said


STATEMENT = '''

class Author(Statement):
    """`author: …`."""

    name = "author"
    doc = "Who wrote it."

    def schema(self) -> Schema:
        return {"type": "string"}

    def read(self, file: File, value: Value | None) -> str:
        return file.text(value, self.name)
'''


def test_a_key_of_a_spec_is_a_class_and_an_entry(copy):
    keys = copy / "archspec" / "document" / "keys"
    append(keys / "statements.py", STATEMENT)
    enter(keys / "__init__.py", "Author, ", "Doc, Ignore")
    enter(keys / "__init__.py", "    Author(),\n", "    Doc(),\n")
    spec = "author: Ada\ninput: [4]\nlayers: [relu]\n"
    written, schema, refused, near = run(
        copy,
        *("expand by.yaml", "schema", "check list.yaml", "check slip.yaml"),
        by=spec,
        list=spec.replace("Ada", "[Ada]"),
        slip=spec.replace("author", "auther"),
    )
    assert "\nauthor: Ada\n" in written[1]
    assert json.loads(schema[1])["properties"]["author"]["description"] == "Who wrote it."
    assert "`author` must be text, not a list" in refused[2]
    assert "did you mean 'author'?" in near[2]


NODE_KEY = '''

class NodeNote(NodeKey):
    """`note: …`."""

    name = "note"
    doc = "A remark."

    def schema(self) -> Schema:
        return {"type": "string"}

    def read(self, scope: Scope, node: Node, key: Scalar, value: Value) -> None:
        if not isinstance(value, Scalar):
            scope.report(Code.STRUCTURE, "`note` must be text", value.span)

'''


def test_a_key_of_a_node_is_a_class_and_an_entry(copy):
    path = copy / "archspec" / "document" / "node_keys.py"
    enter(path, NODE_KEY, "\nREPEAT = NodeRepeat()")
    enter(path, "    NodeNote(),\n", "    NodeShare(),\n")
    spec = "input: [4]\nlayers: [{relu: , note: first}]\n"
    right, schema, refused = run(
        copy,
        *("check noted.yaml", "schema", "check wrong.yaml"),
        noted=spec,
        wrong=spec.replace("first", "[1]"),
    )
    assert (right[0], right[2]) == (0, "")
    note = json.loads(schema[1])["$defs"]["node"]["anyOf"][-1]["properties"]["note"]
    assert note == {"type": "string", "description": "A remark."}
    assert "wrong.yaml:2:25: error AS201: `note` must be text" in refused[2]


FORM = '''"""`twice: [...]`: nodes that run two times, one after the other."""

from archspec.document.forms.group import Group


class Twice(Group):
    """A list of nodes, and the same list behind it."""

    own_word = "twice"

    def step(self, place):
        return place.group(self.body + self.body)

    @classmethod
    def schema(cls):
        return {cls.own_word: (super().schema()[cls.own_word][0], "Nodes that run twice.")}
'''


def test_a_form_of_node_is_a_class_and_an_entry(copy):
    forms = copy / "archspec" / "document" / "forms"
    (forms / "twice.py").write_text(FORM)
    init = forms / "__init__.py"
    enter(init, "from archspec.document.forms.twice import Twice\n", "\nFIXED:")
    enter(init, "Twice, ", "Group, Branches)")
    said, schema = printed(
        copy,
        *("compile two.yaml", "schema"),
        two="input: [4]\nlayers: [{twice: [{linear: 4}]}]\n",
    )
    assert "40 parameters" in said
    node = json.loads(schema)["$defs"]["node"]["anyOf"][-1]["properties"]
    assert node["twice"]["description"] == "Nodes that run twice."


def test_an_option_is_one_entry(monkeypatch, capsys):
    loud = Option("--loud", "say more", metavar="LEVEL", choices=("a", "b"))
    command = expand.COMMAND._replace(options=(*expand.COMMAND.options, loud))
    monkeypatch.setattr(expand, "COMMAND", command)
    assert parser.parse(["expand", "x", "--loud", "b"]).loud == "b"
    with pytest.raises(SystemExit):
        main(["expand", "--help"])
    assert "--loud LEVEL" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["expand", "x", "--lod", "b"])
    assert "(did you mean '--loud'?)" in capsys.readouterr().err
    for shell, shown in (
        ("bash", "'expand --loud') words='a b'"),
        ("zsh", "'--loud[say more]:LEVEL:(a b)'"),
        ("fish", "-l loud -x -a 'a b' -d 'say more'"),
    ):
        assert main(["completion", shell]) == 0
        assert shown in capsys.readouterr().out


def test_a_command_is_a_module_and_its_name_in_the_list(monkeypatch, capsys):
    hello = ModuleType("archspec.cli.hello")
    hello.COMMAND = Command("greet", "Greet somebody.", "archspec hello", (Option("name", "who"),))
    hello.run = lambda args: write(f"hello, {args.name}") or 0
    monkeypatch.setitem(sys.modules, "archspec.cli.hello", hello)
    monkeypatch.setattr(parser, "COMMANDS", (*parser.COMMANDS, "hello"))
    assert main(["hello", "you"]) == 0
    assert capsys.readouterr().out == "hello, you\n"
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "    hello     greet" in capsys.readouterr().out
    assert main(["completion", "bash"]) == 0
    assert "hello) words=" in capsys.readouterr().out


PLUGIN = '''
from archspec.ops.activation import Activation


class Third(Activation, name="third"):
    """A third of the element."""

    module = "Identity"
'''


def test_another_package_brings_ops_and_blocks(copy):
    """Through entry points, as installed packages have them (test_registry.py: data sets too)."""
    (copy / "shapes").mkdir()
    (copy / "shapes" / "__init__.py").write_text(PLUGIN)
    (copy / "shapes" / "wave.yaml").write_text("layers: [third, {linear: 2}]\n")
    info = copy / "shapes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes\nVersion: 1.0\n")
    points = "[archspec.ops]\nshapes = shapes\n[archspec.blocks]\nshapes = shapes\n"
    (info / "entry_points.txt").write_text(points)
    waves = "input: [4]\nlayers: [wave]\n"
    (table,) = printed(copy, "compile waves.yaml --summary", waves=waves)
    assert "0.0   third" in table


def test_contributing_has_every_place():
    table = (PACKAGE.parent / "CONTRIBUTING.md").read_text().partition("| to add |")[2]
    for what in ("an op", "a block", "a key of a spec", "a key of a node", "a form of node"):
        assert f"\n| {what} |" in table
    for what in ("an option", "a command", "a diagnostic", "a data set", "a field of the recipe"):
        assert f"\n| {what} |" in table
