"""The script for a GPU: a cell that hangs or breaks costs only itself."""

from __future__ import annotations

import json
import os
import time

import bench_gpu
import pytest
from gpu.supervise import Cell, Findings, failures, run
from gpu.table import table


def hang():
    time.sleep(60)


def broken():
    raise RuntimeError("planted")


def test_each_cell_has_its_finding_and_the_file_all_of_them(tmp_path, capfd):
    findings = Findings(tmp_path / "found.json", {"torch": "2"})
    cells = [
        Cell("net", "late", 0.3, hang),
        Cell("net", "broken", 5, broken),
        Cell("net", "dead", 5, lambda: os._exit(3)),
        Cell("net", "bare", 5, lambda: {"images_per_second": 100.0}),
        Cell("net", "trainer fp32", 5, lambda: {"images_per_second": 125.0}),
    ]
    started = time.monotonic()
    run([cells, [Cell("checks", "bits", 5, lambda: {"holds": False})]], findings, started + 20)
    assert time.monotonic() - started < 10
    written = json.loads((tmp_path / "found.json").read_text())
    found = written["cells"]["net"]
    assert written["torch"] == "2"
    assert found["late"] == {"error": "took over 0.3 s"}
    assert found["broken"]["error"] == "RuntimeError: planted"
    assert found["dead"] == {"error": "the process ended with 3"}
    assert found["bare"]["images_per_second"] == 100.0
    assert sorted(failures(written["cells"])) == [
        "checks bits: does not hold",
        "net broken: RuntimeError: planted",
        "net dead: the process ended with 3",
        "net late: took over 0.3 s",
    ]
    head, _, row, *_ = table(written["cells"])
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["trainer fp32"] == "125" and cells["fp32/bare"] == "1.25"


def test_at_the_deadline_everything_ends(tmp_path, capfd):
    findings = Findings(tmp_path / "found.json", {})
    chains = [[Cell("a", "first", 60, hang), Cell("a", "second", 60, hang)]]
    started = time.monotonic()
    run(chains, findings, started + 0.3)
    assert time.monotonic() - started < 5
    assert findings.found["a"]["first"] == {"error": "no time was left"}
    assert findings.found["a"]["second"] == {"error": "no time was left"}


def test_an_unknown_network_is_answered_with_the_nine(capsys):
    with pytest.raises(SystemExit):
        bench_gpu.main(["--out", "x.json", "--only", "lenet"])
    assert "no reference network: lenet; there are lenet_bn," in capsys.readouterr().err
