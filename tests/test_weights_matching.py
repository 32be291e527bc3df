"""Which key of a file goes to which key of a network, and what is said of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from archspec.diagnostics.diagnostic import SpecError
from archspec.weights import WeightsError, load_weights
from archspec.weights.report import Difference, LoadReport


class Named(nn.Module):
    """A network of the given keys: `Named(a=[2])` has a parameter `a` of shape (2,)."""

    def __init__(self, keys: dict[str, list[int]]) -> None:
        super().__init__()
        for key, shape in keys.items():
            *path, last = key.split(".")
            module: nn.Module = self
            for name in path:
                if name not in module._modules:
                    module.add_module(name, nn.Module())
                module = module.get_submodule(name)
            module.register_parameter(last, nn.Parameter(torch.zeros(shape)))


def sized(keys: dict[str, list[int]], start: int = 1) -> dict[str, Tensor]:
    """Tensors that tell their keys apart."""
    return {k: torch.full(shape, float(i)) for i, (k, shape) in enumerate(keys.items(), start)}


def refused(net: nn.Module, tensors: Any, **more: Any) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        load_weights(net, tensors, network="net", **more)
    return caught.value


def values(net: nn.Module) -> dict[str, float]:
    return {key: float(value.flatten()[0]) for key, value in net.state_dict().items()}


# --- renames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_paths_that_apply_the_longer_counts(swapped: bool):
    pairs = {"net": "body", "net.head": "fc"}
    pairs = dict(reversed(pairs.items())) if swapped else pairs
    file = sized({"net.stem.weight": [2], "net.head.weight": [2], "net.header.weight": [2]})
    net = Named({"body.stem.weight": [2], "fc.weight": [2], "body.header.weight": [2]})
    load_weights(net, file, renames=pairs)
    assert values(net) == {"body.stem.weight": 1, "fc.weight": 2, "body.header.weight": 3}


def test_a_path_may_be_a_whole_key_and_dots_at_its_ends_are_none():
    net = Named({"a.scale": [2], "b.weight": [2]})
    file = sized({"gamma": [2], "deep.b.weight": [2]})
    load_weights(net, file, renames={"gamma.": ".a.scale", "deep": ""})
    assert values(net) == {"a.scale": 1, "b.weight": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read the weights map"),
        ("[a, b]", "is no weights map"),
        ("{a: b, c: [d]}", "is no weights map"),
        ("{}", "is no weights map"),
    ],
)
def test_a_file_that_is_no_map_is_refused(text: str | None, said: str, tmp_path: Path):
    path = tmp_path / "map.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=said):
        load_weights(Named({"a": [1]}), sized({"a": [1]}), renames=path)


def test_a_map_s_numbers_are_names(tmp_path: Path):
    (tmp_path / "map.yaml").write_text("body: 7\n")
    net = Named({"7.weight": [2]})
    load_weights(net, sized({"body.weight": [2]}), renames=tmp_path / "map.yaml")
    assert values(net) == {"7.weight": 1}


# --- what wrapping modules put before keys -------------------------------------------------------


@pytest.mark.parametrize("prefix", ["module._orig_mod.", "_orig_mod.module.", "module.module."])
def test_wrappers_are_taken_off_in_any_order(prefix: str):
    net = Named({"a": [2], "b": [2]})
    report = load_weights(net, sized({f"{prefix}a": [2], f"{prefix}b": [2]}))
    assert values(net) == {"a": 1, "b": 2} and len(report.notes) == 2


def test_a_network_s_own_module_is_no_wrapper():
    keys = {"module.a": [2], "module.b": [2]}
    net = Named(keys)
    report = load_weights(net, sized(keys))
    assert values(net) == {"module.a": 1, "module.b": 2} and report.notes == []


def test_a_prefix_that_some_keys_lack_is_kept():
    error = refused(Named({"a": [2], "b": [2]}), sized({"module.a": [2], "b": [2]}))
    assert error.report is not None and error.report.matched == ["b"]


def test_an_old_name_beside_the_new_one_is_not_taken_for_it():
    new, old = "denselayer1.norm1.weight", "denselayer1.norm.1.weight"
    net = Named({new: [2]})
    report = load_weights(net, sized({new: [2], old: [2]}), partial=True)
    assert values(net) == {new: 1} and [each.key for each in report.unexpected] == [old]
    assert load_weights(net, sized({old: [2]}, start=5)).notes == [
        "renamed 1 keys from before torchvision 0.3 (`norm.1` to `norm1`)"
    ]
    assert values(net) == {new: 5}
    keeps = Named({old: [2]})  # a network that has such a name itself
    assert load_weights(keeps, sized({old: [2]})).notes == []


# --- kinds of numbers ----------------------------------------------------------------------------


def test_complex_numbers_fit_nothing_that_has_none():
    net = nn.BatchNorm1d(2)
    for key in ("num_batches_tracked", "running_mean"):
        tensors = {k: v.clone() for k, v in net.state_dict().items()}
        kind = str(tensors[key].dtype).removeprefix("torch.")
        tensors[key] = tensors[key].to(torch.complex64)
        error = refused(net, tensors)
        assert error.report is not None
        why = f"complex64 in the file, {kind} in the network"
        assert error.report.other_shape == [Difference(key, why)]


def test_other_precisions_are_counted_and_converted():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    tensors = {k: torch.ones_like(v) for k, v in net.state_dict().items()}
    tensors |= {k: tensors[k].half() for k in ("0.weight", "0.bias")}
    tensors["1.weight"] = tensors["1.weight"].double()
    report = load_weights(net, tensors)
    assert report.notes == [
        "converted 2 keys from float16 to float32",
        "converted 1 keys from float64 to float32",
    ]


# --- what is said of the rest --------------------------------------------------------------------


def test_a_rename_is_proposed_where_it_explains_most_of_what_is_missing():
    net = Named({"new.a.weight": [2], "new.b.weight": [3], "x": [4]})
    file = sized({"old.a.weight": [2], "old.b.weight": [3]})
    assert "--weights-map old=new" in str(refused(net, file))  # two of three
    net = Named({"new.a.weight": [2], "x": [4]})
    error = str(refused(net, sized({"old.a.weight": [2]})))  # one of two
    assert "--weights-map" not in error and "another network" in error


def test_of_keys_that_fit_alike_none_is_named():
    net = Named({"new.fc.weight": [2, 2]})
    alone = refused(net, sized({"old.fc.weight": [2, 2]}))
    assert alone.report is not None
    assert alone.report.missing[0].why == "not in the file, which has old.fc.weight of this shape"
    two = refused(net, sized({"encoder_one.fc.weight": [2, 2], "decoder_two.fc.weight": [2, 2]}))
    assert two.report is not None
    assert two.report.missing[0].why == (
        "not in the file: at its top it has encoder_one, decoder_two, and no new"
    )
    deeper = refused(net, sized({"a.decoder.fc.weight": [2, 2], "encoder.fc.weight": [2, 2]}))
    assert deeper.report is not None  # the shorter of two such keys
    assert "which has encoder.fc.weight of this shape" in deeper.report.missing[0].why


def test_a_key_of_another_shape_is_not_near():
    error = refused(Named({"new.fc.weight": [2, 2]}), sized({"old.fc.weight": [2, 3]}))
    assert error.report is not None
    assert error.report.missing[0].why == "not in the file: at its top it has old, and no new"


def test_alike_names_are_near_without_a_common_end():
    error = refused(Named({"features.conv1": [7]}), sized({"features.conv_1": [7]}))
    assert error.report is not None and "has features.conv_1 of" in error.report.missing[0].why


def test_what_is_there_instead_is_listed_up_to_five():
    net = Named({"fc.weight": [9]})
    file = sized({f"fc.{letter}": [2] for letter in "abcdef"})
    error = refused(net, file)
    assert error.report is not None
    assert error.report.missing[0].why == (
        "not in the file: fc has a, b, c, d, e, …, and no weight"
    )


def test_a_report_has_the_numbers_and_a_table():
    report = LoadReport(
        "w.pth", "net", matched=["a"], kept=["n"], notes=["took `model` of the file"]
    )
    report.missing.append(Difference("bb", "not in the file"))
    report.unexpected.append(Difference("c", "not in the network"))
    report.other_shape.append(Difference("dddd", "(2,) in the file, (3,) in the network"))
    assert (report.total, report.fits) == (4, False)
    assert str(report).splitlines() == [
        "weights w.pth: 1 of 4 keys match",
        "  took `model` of the file",
        "  missing      bb    not in the file",
        "  unexpected   c     not in the network",
        "  other shape  dddd  (2,) in the file, (3,) in the network",
    ]
    assert report.as_dict() == {
        "source": "w.pth",
        "network": "net",
        "matched": ["a"],
        "missing": [{"key": "bb", "why": "not in the file"}],
        "unexpected": [{"key": "c", "why": "not in the network"}],
        "other_shape": [{"key": "dddd", "why": "(2,) in the file, (3,) in the network"}],
        "kept": ["n"],
        "notes": ["took `model` of the file"],
    }
    assert LoadReport("w.pth", "net", matched=["a"]).fits


def test_forty_differences_are_shown_and_the_rest_is_counted():
    net = Named({"a": [1]})
    error = refused(net, {**sized({"a": [1]}), **sized({f"x{i}": [2] for i in range(43)})})
    notes = [str(note.message) for note in error.diagnostics[0].notes]
    assert len(notes) == 41 and notes[-1] == "and 3 more"
    assert error.report is not None and len(error.report.unexpected) == 43


# --- files ---------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"cannot read .*none.pth: No such file"):
        load_weights(Named({"a": [1]}), tmp_path / "none.pth")


def test_a_damaged_file_says_what_its_reader_found(tmp_path: Path):
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 and no archive")
    error = refused(Named({"a": [1]}), tmp_path / "w.pth")
    assert error.diagnostics[0].found


def test_another_program_s_tree_is_a_state_dict(tmp_path: Path):
    save_file(sized({"a": [1], "b": [1]}), tmp_path / "w.safetensors", metadata={"tree": "oak"})
    net = Named({"a": [1], "b": [1]})
    assert load_weights(net, tmp_path / "w.safetensors").notes == []
    assert values(net) == {"a": 1, "b": 2}


def test_ten_wrappers_are_opened_and_no_more():
    content: Any = sized({"a": [1]})
    for _ in range(10):
        content = {"model": content, "epoch": 3, "lr": 0.1}
    net = Named({"a": [1]})
    note = "took `model` of the file, and left epoch, lr aside"
    assert load_weights(net, content).notes == [note] * 10
    assert "holds no state dict" in str(refused(net, {"model": content}))


def test_what_a_file_holds_instead_is_said():
    for content, found in (({"a": 1, "b": 2}, "a dict with a, b"), ({}, "a dict with nothing")):
        assert refused(Named({"a": [1]}), content).diagnostics[0].found == found


def test_a_stranger_among_the_tensors_is_told_by_its_key():
    error = refused(Named({"a": [1]}), {**sized({"a": [1]}), "epoch": 3})
    assert error.report is not None
    assert error.report.unexpected == [Difference("epoch", "holds no tensor, but int")]


def test_a_published_member_is_never_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    member = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
    monkeypatch.chdir(tmp_path)
    torch.save(sized({"file": [1]}), str(member))
    monkeypatch.setattr(type(member), "get_state_dict", lambda self, **_: sized({"hub": [1]}))
    load_weights(Named({"hub": [1]}), member)
    load_weights(Named({"file": [1]}), str(member))  # a name is a file's where there is one
