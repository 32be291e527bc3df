"""Weights of torchvision's models, as files that people have, into compiled networks."""

from __future__ import annotations

import json
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

import archspec
from archspec.cli import main
from archspec.weights import WeightsError, load_weights
from archspec.weights.read import FORMATS, Format

State = dict[str, Tensor]
NAME = "torchvision/mobilenet_v3_small"


@pytest.fixture(scope="module")
def state() -> State:
    """Weights unlike those that any other model starts with."""
    torch.manual_seed(7)
    return torchvision.models.mobilenet_v3_small().state_dict()


@pytest.fixture(scope="module")
def arch() -> archspec.Architecture:
    return archspec.load(NAME, input_shape=(3, 64, 64))


def equal(net: torch.nn.Module, state: State) -> bool:
    own = net.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[k], state[k]) for k in own)


FORMS: dict[str, Callable[[State, Path], object]] = {
    "plain": lambda s, p: torch.save(s, p),
    "legacy": lambda s, p: torch.save(s, p, _use_new_zipfile_serialization=False),
    "state_dict": lambda s, p: torch.save({"state_dict": s, "epoch": 3, "best": Tensor(1)}, p),
    "model": lambda s, p: torch.save({"model": s, "optimizer": {"state": {}}}, p),
    "ddp": lambda s, p: torch.save({"model": {f"module.{k}": v for k, v in s.items()}}, p),
    "compiled": lambda s, p: torch.save({f"module._orig_mod.{k}": v for k, v in s.items()}, p),
    "safetensors": lambda s, p: save_file(s, p),
    "no suffix": lambda s, p: save_file(s, p.with_suffix("")) or p.with_suffix("").rename(p),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_loads(
    form: str, arch: archspec.Architecture, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    FORMS[form](state, path)
    assert equal(arch.build(weights=path), state)


def test_a_wrapper_is_said(arch: archspec.Architecture, state: State, tmp_path: Path) -> None:
    FORMS["ddp"](state, tmp_path / "w.pth")
    report = load_weights(arch.build(device="meta"), tmp_path / "w.pth")
    assert report.notes == [
        "took `model` of the file",
        "took `module.` off every key: the weights of a wrapped model",
    ]
    assert sorted(report.matched) == sorted(state)


def test_a_state_dict_loads_and_keeps_the_network_s_precision(
    arch: archspec.Architecture, state: State
) -> None:
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    net = arch.build(weights=half)
    assert net.features[0][0].weight.dtype == torch.float32
    assert torch.equal(net.features[0][0].weight, half["features.0.0.weight"].float())


def test_a_checkpoint_of_the_trainer_loads_its_average(
    arch: archspec.Architecture, state: State, tmp_path: Path
) -> None:
    tensors = {f"average.{k}": v for k, v in state.items()}
    tensors |= {f"model.{k}": torch.zeros_like(v) for k, v in state.items()}
    save_file(tensors, tmp_path / "best.safetensors", metadata={"tree": "{}"})
    assert equal(arch.build(weights=tmp_path / "best.safetensors"), state)


# --- what does not fit ---------------------------------------------------------------------------


def test_differences_are_listed_and_nothing_is_loaded(
    arch: archspec.Architecture, state: State, tmp_path: Path
) -> None:
    changed = {k: v for k, v in state.items() if k != "classifier.0.bias"}
    changed["classifier.3.weight"] = torch.zeros(10, 1024)
    changed["classifier.9.weight"] = torch.zeros(10)
    changed["features.0.1.running_var"] = torch.zeros(16, dtype=torch.int64)
    torch.save(changed, tmp_path / "w.pth")
    net = arch.build(seed=0)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(net, tmp_path / "w.pth", network="mine")
    assert equal(net, before)
    assert str(caught.value) == (
        f"error AS802: the weights of {tmp_path}/w.pth do not fit mine: nothing is loaded\n"
        f"  expected: the {len(state)} keys of the network\n"
        f"  found:    {len(state) - 3} that match; 1 missing, 1 unexpected, 2 of another shape\n"
        "  note: missing: classifier.0.bias: not in the file: classifier.0 has weight, "
        "and no bias\n"
        "  note: unexpected: classifier.9.weight: not in the network: classifier has 0, 3, "
        "and no 9\n"
        "  note: other shape: features.0.1.running_var: int64 in the file, float32 in the "
        "network\n"
        "  note: other shape: classifier.3.weight: (10, 1024) in the file, (1000, 1024) in the "
        "network\n"
        "  help: load what fits, and leave the rest as it is, with --partial (in Python "
        "partial=True)"
    )


def test_a_new_head_takes_one_flag(state: State) -> None:
    arch = archspec.load(NAME, {"num_classes": 10})
    fresh = arch.build(seed=1).state_dict()
    with pytest.warns(UserWarning, match="other shape  classifier.3.weight") as warned:
        net = arch.build(seed=1, weights=state, partial=True)
    assert len(warned) == 1
    head = ("classifier.3.weight", "classifier.3.bias")
    own = net.state_dict()
    assert all(torch.equal(own[key], fresh[key]) for key in head)
    assert all(torch.equal(own[key], state[key]) for key in own if key not in head)


def test_what_fits_whole_is_loaded_without_a_warning(
    arch: archspec.Architecture, state: State
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arch.build(weights=state, partial=True)


def test_nothing_that_fits_is_an_error_even_in_part(arch: archspec.Architecture) -> None:
    with pytest.raises(WeightsError, match="another network"):
        arch.build(weights={"a.weight": torch.zeros(2)}, partial=True)


def test_files_from_before_the_counter_load_as_in_torch(
    arch: archspec.Architecture, state: State
) -> None:
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    net = arch.build(weights=old)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in old.items())
    some = {k: v for k, v in state.items() if k != "features.0.1.num_batches_tracked"}
    with pytest.raises(WeightsError, match=r"missing: features.0.1.num_batches_tracked"):
        arch.build(weights=some)


def test_a_tap_takes_its_part_of_the_whole_network_s_weights(
    arch: archspec.Architecture, state: State
) -> None:
    net = arch.build(outputs=["features.3"], weights=state)
    own = net.state_dict()
    assert 0 < len(own) < len(state)
    assert all(torch.equal(own[key], state[key]) for key in own)


# --- other names ---------------------------------------------------------------------------------


def test_renames_by_pairs_and_by_file(
    arch: archspec.Architecture, state: State, tmp_path: Path
) -> None:
    def other(key: str) -> str:
        return f"net.{key}".replace("net.classifier.3", "head")

    renamed = {other(k): v for k, v in state.items()}
    pairs = {"net": "", "head": "classifier.3"}
    assert equal(arch.build(weights=renamed, weights_map=pairs), state)
    (tmp_path / "map.json").write_text(json.dumps(pairs))
    (tmp_path / "map.yaml").write_text("net: ''\nhead: classifier.3\n")
    for name in ("map.json", "map.yaml"):
        assert equal(arch.build(weights=renamed, weights_map=tmp_path / name), state)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"feature": "x"}, "names 'feature', and no key of the file begins so"),
        ({"classifier.0": "classifier.3"}, "gives two keys the name"),
    ],
)
def test_a_rename_that_does_nothing_or_too_much_is_refused(
    arch: archspec.Architecture, state: State, pairs: dict[str, str], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        arch.build(weights=state, weights_map=pairs)


def test_a_common_prefix_is_recognised_and_the_rename_proposed(
    arch: archspec.Architecture, state: State
) -> None:
    renamed = {f"backbone.{k}": v for k, v in state.items()}
    with pytest.raises(WeightsError, match=r"--weights-map backbone=$"):
        arch.build(weights=renamed)


def test_old_names_of_densenets_are_known() -> None:
    arch = archspec.load("torchvision/densenet121", input_shape=(3, 64, 64))
    state = torchvision.models.densenet121().state_dict()
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in k else k: v
        for k, v in state.items()
    }
    assert old.keys() != state.keys()
    assert equal(arch.build(weights=old), state)


# --- files that hold no weights ------------------------------------------------------------------


class Intruder:
    """Pickled, it would make a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_code_in_a_file_never_runs(arch: archspec.Architecture, tmp_path: Path) -> None:
    torch.save({"a": Intruder(tmp_path / "ran")}, tmp_path / "w.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Intruder(tmp_path / "ran")))
    for name in ("w.pth", "plain.pth"):
        with pytest.raises(WeightsError, match=r"never run|cannot be read"):
            arch.build(weights=tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_pickled_module_is_refused_with_a_way_out(
    arch: archspec.Architecture, tmp_path: Path
) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"save `model.state_dict\(\)` alone"):
        arch.build(weights=tmp_path / "w.pth")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", b"hello", b"\x80" * 99])
def test_foreign_files_give_one_diagnostic(
    arch: archspec.Architecture, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        arch.build(device="meta", weights=tmp_path / "w.pth")
    assert [d.code for d in caught.value.diagnostics] == ["AS802"]


def test_a_format_is_one_entry(
    arch: archspec.Architecture, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> tuple[object, tuple[str, ...]]:
        torch.save(state, tmp_path / "inner.pth")
        return torch.load(tmp_path / "inner.pth"), (f"took {path.read_bytes()[4:].decode()}",)

    toy = Format("toy", "a toy file", lambda head: head.startswith(b"TOY "), read)
    monkeypatch.setattr("archspec.weights.read.FORMATS", [*FORMATS, toy])
    path = tmp_path / "weights.toy"
    path.write_bytes(b"TOY all of it")
    net = arch.build()
    report = load_weights(net, path)
    assert equal(net, state)
    assert report.notes == ["took all of it"]
    path.write_bytes(b"TAY")
    with pytest.raises(WeightsError, match=r"torch.save wrote .*, or a toy file"):
        load_weights(net, path)


def test_the_page_on_weights_names_every_format() -> None:
    page = Path(__file__).parent.parent / "docs" / "zoo.md"
    text = page.read_text(encoding="utf-8")
    assert all(known.name in text for known in FORMATS)


def test_a_file_is_known_by_what_it_holds_and_not_by_its_ending(tmp_path):
    arch = archspec.load("lenet_bn")
    state = arch.build(seed=1).state_dict()
    torch.save(state, tmp_path / "zip.safetensors")
    save_file(state, tmp_path / "other.pt")
    assert equal(arch.build(weights=tmp_path / "zip.safetensors"), state)
    assert equal(arch.build(weights=tmp_path / "other.pt"), state)


@pytest.mark.parametrize("name", ["plain", "legacy", "safetensors"])
def test_damaged_files_give_one_diagnostic(name: str, tmp_path: Path) -> None:
    small = archspec.loads("input: [4]\nlayers:\n  - {name: fc, linear: 2}\n")
    state = {"fc.weight": torch.ones(2, 4), "fc.bias": torch.ones(2)}
    path = tmp_path / "w"
    FORMS[name](state, path)
    data = path.read_bytes()
    generator = torch.Generator().manual_seed(1)
    for length in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            small.build(device="meta", weights=path)
    for position in torch.randint(len(data), (150,), generator=generator).tolist():
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:  # a changed value of a weight is none that could be seen
            small.build(device="meta", weights=path)
        except WeightsError as error:
            assert len(error.diagnostics) == 1


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {"state_dict": {}}, torch.ones(2)])
def test_a_file_without_a_state_dict_is_refused(
    arch: archspec.Architecture, tmp_path: Path, value: object
) -> None:
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        arch.build(weights=tmp_path / "w.pth")


def test_a_file_that_holds_itself_is_refused(arch: archspec.Architecture, tmp_path: Path) -> None:
    circle: dict[str, object] = {}
    circle["state_dict"] = circle
    torch.save(circle, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        arch.build(weights=tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda x: x.to_sparse(), "sparse_coo Tensor"),
        (lambda x: x.to("meta"), "Tensor without data"),
        (lambda x: torch.nested.nested_tensor([x, x]), "nested Tensor"),
    ],
)
def test_a_tensor_that_cannot_be_copied_is_told_like_any_other_stranger(
    state: State, arch: archspec.Architecture, make: Any, kind: str
) -> None:
    key = next(iter(state))
    with pytest.raises(WeightsError, match=f"holds no tensor, but {kind}"):
        arch.build(weights={**state, key: make(torch.ones_like(state[key]))})


# --- names that torchvision publishes ------------------------------------------------------------


PUBLISHED = "MobileNet_V3_Small_Weights.IMAGENET1K_V1"


@pytest.mark.parametrize("given", [PUBLISHED, torchvision.models.get_weight(PUBLISHED)])
def test_published_weights_come_through_torchvision_s_cache(
    arch: archspec.Architecture,
    state: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: object,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    url = torchvision.models.get_weight(PUBLISHED).url
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / os.path.basename(url))
    assert equal(arch.build(weights=given), state)


def test_without_a_network_the_message_is_clear(
    arch: archspec.Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(WeightsError, match=r"cannot be downloaded from https:.*\n.*no route"):
        arch.build(weights=PUBLISHED)


def test_unknown_names_and_a_missing_torchvision(
    arch: archspec.Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"did you mean 'MobileNet_V3_Small_Weights.IMAGENET1K"):
        arch.build(weights="MobileNet_V3_Small_Weights.IMAGENET1K_V7")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(WeightsError, match="torchvision, which is not installed"):
        arch.build(weights=PUBLISHED)


# --- the command line ----------------------------------------------------------------------------


def test_compile_reports_the_keys(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "w.pth")
    torch.save({f"net.{k}": v for k, v in state.items()}, path)
    assert main(["compile", NAME, "--weights", path]) == 1
    assert "--weights-map net=" in capsys.readouterr().err
    options = ["compile", NAME, "--weights", path, "--weights-map", "net="]
    assert main(options) == 0
    assert f"weights {path}: {len(state)} of {len(state)} keys match" in capsys.readouterr().out
    head = [*options, "--set", "num_classes=10"]
    assert main(head) == 1
    capsys.readouterr()
    assert main([*head, "--partial", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["weights"]
    assert [each["key"] for each in found["other_shape"]] == [
        "classifier.3.weight",
        "classifier.3.bias",
    ]
    assert len(found["matched"]) == len(state) - 2


@pytest.mark.parametrize("option", [["--partial"], ["--weights-map", "a=b"]])
def test_options_of_weights_need_weights(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compile", "lenet_bn", *option])
    assert stop.value.code == 2
    assert "needs --weights" in capsys.readouterr().err
