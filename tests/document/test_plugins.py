"""Blocks and ops that an installed package brings, by its entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import archspec
text = "input: [4, 8, 8]\\nlayers: [{widen: {by: 3}}, doubled]\\n"
print(archspec.loads(text).output_shape)
for _ in range(2):
    try:
        archspec.loads("input: [4]\\nlayers: [broken]\\n")
    except archspec.SpecError as error:
        print(str(error).splitlines()[0])
"""
OP = """
from archspec.ops.activation import ReLU

class Doubled(ReLU, name="doubled"):
    pass
"""


def test_a_package_brings_blocks_and_ops(tmp_path):
    package, info = tmp_path / "more", tmp_path / "more-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "ops.py").write_text(OP)
    (package / "widen.yaml").write_text(
        "doc: Wider.\nparams: {by: int}\nlayers:\n- linear: in_features * by\n"
    )
    (package / "broken.yaml").write_text("doc: No node.\nlayers: [nonsense]\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[archspec.blocks]\nmore = more\n[archspec.ops]\nmore = more.ops\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    said = done.stdout.splitlines()
    assert said[:1] == ["('N', 4, 8, 24)"], done.stderr
    # A block with a mistake is read, and refused, as often as it is called.
    assert len(said) == 3 and said[1] == said[2]
    assert "error AS204: 'nonsense' is not an op" in said[1]
