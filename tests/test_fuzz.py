"""The fuzzers in short, with fixed seeds; what they found once; and that they can find anything.

`python tools/fuzz.py` runs them for as long as one likes.
"""

from __future__ import annotations

import time
from itertools import cycle
from pathlib import Path

import fuzz
import pytest
from fuzzing import corpus, documents, networks, semantics, sizes, texts
from fuzzing.oracle import diagnostics_findings
from fuzzing.sandbox import Case, Sandbox, Verdict

import archspec
from archspec.diagnostics.diagnostic import Refusal
from archspec.ops.linear import Linear
from archspec.sizes.sets import ALL

FINDINGS = sorted((Path(__file__).parent / "fuzz_findings").glob("*.yaml"))
HEAD = "input: [3, 8, 8]\nlayers:\n"


@pytest.mark.parametrize(
    ("name", "most"), [("bytes", 600), ("document", 120), ("semantic", 50), ("sizes", 40)]
)
def test_nothing_is_found(name, most, monkeypatch):
    monkeypatch.setattr(networks, "DRAWN", 40)  # enough to choose fifty from, and soon drawn
    result = fuzz.fuzz(name, seed=1, most=most)
    assert not result.findings, list(result.findings)
    assert result.cases == most
    assert result.outcomes["accepted"] > 0 and len(result.outcomes) > 2, result
    assert result.outcomes["accepted, too large to run"] <= 0.05 * result.counted, result
    if name == "semantic":  # so few cases say little of their share, which is a third or more
        assert result.outcomes["refused by a shape rule"] > 0.2 * result.counted, result


@pytest.mark.parametrize("text", corpus.EXTRA)
def test_texts_to_start_from_are_sound(text):
    verdict = documents.check(Case(text.encode(), ""))
    assert (verdict.outcome, verdict.findings) == ("accepted", [])


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_what_was_found_once_stays_mended(path):
    case = Case(path.read_bytes(), path.name)
    assert texts.check(case).findings == []
    if path.stem.startswith("document"):
        assert documents.check(case).findings == []
    if path.stem.startswith("semantic"):
        assert semantics.check(case).findings == []
    if path.stem.startswith("sizes"):
        assert sizes.check(case).findings == []


def many(line: str, count: int = 8_000) -> str:
    return HEAD + "".join(f"  - {line.replace('#', str(i))}\n" for i in range(count))


@pytest.mark.parametrize(
    "text",
    [
        many("relu"),
        many("{linear: 3, from: input, name: n#}"),
        many("{fooconv#: 3}"),
        many("{conv2d: {out_channels: 3, kernel_size: 99}, from: input}"),
        many("{relu: , from: nowhere#}", 900) + many("{relu: , name: n#}", 900)[len(HEAD) :],
        "input: [3]\nparams:\n"
        + "".join(f"  p{i}: $(q{i} + 1)\n" for i in range(8_000))
        + "layers: [relu]\n",
        "extends: lenet_bn\npatch:\n" + "".join(f"  - remove: '{i}'\n" for i in range(8_000)),
        "a: b[0" + "a" * 1_000_000 + "\n@",
        "- a: " + "b: " * 30_000,
    ],
    ids=["warnings", "unread", "ops", "shapes", "edges", "params", "patches", "word", "colons"],
)
def test_time_grows_no_faster_than_the_text(text):
    """Each of these took minutes: for each mistake the text was split, or all names compared."""
    started = time.process_time()
    try:
        archspec.loads(text)
    except archspec.SpecError as error:
        assert len(error.diagnostics) <= archspec.Limits().errors + 1
        assert diagnostics_findings(error.diagnostics) == []
    assert time.process_time() - started < 10


# The fuzzers themselves ---------------------------------------------------------------------------


def prepare() -> None:
    """For the sandbox: nothing is needed here."""


def awkward(case: Case) -> Verdict:
    """A check that does what its case says."""
    match case.text:
        case b"sleep":
            time.sleep(60)
        case b"raise":
            raise RecursionError("too deep")
        case b"fill":
            return Verdict("fine", ["filled"] if bytearray(2**30) else [])
        case b"spin":
            end = time.process_time() + 0.3
            while time.process_time() < end:
                pass
    return Verdict("fine")


def test_the_sandbox_sees_hangs_exceptions_and_memory_and_goes_on(monkeypatch):
    monkeypatch.setattr("fuzzing.sandbox.PATIENCE", 2)
    with Sandbox("test_fuzz:awkward", memory=2**28, seconds=0.5) as sandbox:
        found = {text: sandbox.run(Case(text, "")) for text in (b"", b"sleep", b"raise", b"fill")}
        again = sandbox.run(Case(b"", ""))
    assert found[b""] == again == Verdict("fine")
    assert found[b"sleep"].findings == ["hang: no answer in 1 s"]
    assert "RecursionError at test_fuzz.py" in found[b"raise"].findings[0]
    assert "MemoryError" in found[b"fill"].findings[0]


def test_the_sandbox_counts_processor_time(monkeypatch):
    monkeypatch.setattr("fuzzing.sandbox.PATIENCE", 1000)
    with Sandbox("test_fuzz:awkward", seconds=0.1) as sandbox:
        assert sandbox.run(Case(b"spin", "")).findings == ["slow: more than 0.1 s of computing"]


def test_a_rule_that_refuses_too_much_is_found(monkeypatch):
    def refuse(self, x):
        raise Refusal("not today")

    case = Case((HEAD + "  - linear: 3\n").encode(), "")
    assert semantics.check(case) == Verdict("accepted")
    monkeypatch.setattr(Linear, "infer", refuse)
    (finding,) = semantics.check(case).findings
    assert finding == "refused, and torch runs it: AS401 linear: not today"


def test_a_rule_that_accepts_too_much_is_found(monkeypatch):
    case = Case((HEAD + "  - conv2d: {out_channels: 4, kernel_size: 9}\n  - relu\n").encode(), "")
    assert semantics.check(case) == Verdict("refused by a shape rule")
    from archspec.ops.conv import Conv2d

    monkeypatch.setattr(Conv2d, "infer", lambda self, x: (x[0], 4, 8, 8))
    found = semantics.check(case).findings
    assert any("run at N=2 in train()" in each for each in found), found


def test_torch_is_not_asked_about_the_trials_of_a_help(monkeypatch):
    """The nearest input that fits is found by trials, and each would be a real run."""
    from archspec.testing import contract  # imports torch, which the sandbox's tests do not need

    nodes = "[{max_pool2d: 2}, {upsample: {scale_factor: 2}}, {add: [input, '1']}]"
    text = f"input: [3, 9, 9]\nlayers: {nodes}\n"
    with pytest.raises(archspec.SpecError, match=r"help: .*\[3, 8, 8\]"):
        archspec.loads(text)
    real, seen = contract.real_call, []

    def counted(case, *how, **more):
        seen.append(case.inputs[0])
        return real(case, *how, **more)

    monkeypatch.setattr(contract, "real_call", counted)
    assert semantics.check(Case(text.encode(), "")) == Verdict("refused by a shape rule")
    assert {shape[2] for shape in seen} == {9, 4}  # and not 8


def test_a_wrong_contract_and_a_module_that_does_not_follow_are_found(monkeypatch):
    case = Case((HEAD + "  - {slice: {dim: 2, end: in_height // 2}}\n").encode(), "")
    assert sizes.check(case) == Verdict("accepted")
    monkeypatch.setattr("archspec.contracts.followed.is_needed", lambda graph: False)
    assert "in eval()" in str(sizes.check(case).findings)
    case = Case((HEAD + "  - {max_pool2d: 4}\n").encode(), "")
    monkeypatch.setattr("archspec.sizes.solve.where", lambda formula, relation: ALL)
    assert "S = 1: it does not compile" in sizes.check(case).findings


def test_a_diagnostic_without_a_place_is_found(monkeypatch):
    from archspec.diagnostics.diagnostic import Code, Diagnostic

    def refuse(text):
        raise archspec.SpecError([Diagnostic(Code.STRUCTURE, "somewhere")])

    monkeypatch.setattr(archspec, "loads", refuse)
    found = documents.check(Case(b"input: [3]", "")).findings
    assert found == ["diagnostics: no place: AS201 'somewhere'"]


def test_the_command_saves_what_it_finds_and_fails(tmp_path, monkeypatch, capsys):
    made = cycle([Case(b"raise", "a case"), Case(b"", "another")])
    monkeypatch.setattr(fuzz, "FUZZERS", {"bytes": fuzz.Fuzzer("test_fuzz", 5.0, 2**30)})
    monkeypatch.setattr("test_fuzz.check", awkward, raising=False)
    monkeypatch.setattr("test_fuzz.cases", lambda rng: made, raising=False)
    monkeypatch.setattr(Sandbox, "run", lambda self, case: _judged(case))
    assert fuzz.main(["bytes", "--minutes", "0.00001", "--out", str(tmp_path)]) == 1
    saved = {path.suffix: path.read_text() for path in tmp_path.iterdir()}
    assert saved[".yaml"] == "raise" and "too deep" in saved[".txt"]
    assert "1 findings" in capsys.readouterr().out


def _judged(case: Case) -> Verdict:
    try:
        return awkward(case)
    except RecursionError as error:
        return Verdict("traceback", [str(error)])
