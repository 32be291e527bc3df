from __future__ import annotations

import os
import resource

import pytest
import torch

from archspec.training.errors import TrainingError
from archspec.training.store import checkpoint
from archspec.training.store.checkpoint import DamagedError
from archspec.training.store.files import remove_leftovers, write_whole

TREE = {
    "model": {"conv.weight": torch.arange(6.0).reshape(2, 3).t(), "n": torch.tensor(3)},
    "half": torch.tensor([1.5, float("inf")], dtype=torch.bfloat16),
    "random": {"torch": torch.get_rng_state(), "python": [3, [1, 2], None]},
    "empty": torch.empty(0),
    "history": [{"loss": 0.1, "accuracy": None}],
    "none": None,
}


def test_a_tree_comes_back_bit_for_bit(tmp_path):
    checkpoint.save(tmp_path / "a", TREE)
    tree = checkpoint.load(tmp_path / "a")
    assert torch.equal(tree["model"]["conv.weight"], TREE["model"]["conv.weight"])
    assert torch.equal(tree["half"], TREE["half"]) and tree["half"].dtype == torch.bfloat16
    assert torch.equal(tree["random"]["torch"], TREE["random"]["torch"])
    assert tree["model"]["n"].shape == () and tree["model"]["n"].dtype == torch.int64
    assert (tree["history"], tree["none"]) == (TREE["history"], None)


def test_other_programs_can_read_the_weights(tmp_path):
    from safetensors.torch import load_file

    checkpoint.save(tmp_path / "a", TREE)
    assert torch.equal(load_file(tmp_path / "a")["model.conv.weight"][0], torch.tensor([0.0, 3.0]))


def test_tensors_that_share_memory_are_kept_apart(tmp_path):
    shared = torch.zeros(3)
    checkpoint.save(tmp_path / "a", {"a": shared, "b": shared, "c": shared[:2]})
    tree = checkpoint.load(tmp_path / "a")
    tree["a"] += 1
    assert tree["b"].tolist() == [0, 0, 0] and tree["c"].tolist() == [0, 0]


def test_any_altered_byte_and_any_cut_is_noticed(tmp_path):
    path = tmp_path / "a"
    checkpoint.save(path, {"w": torch.arange(4.0), "n": 1})
    data = path.read_bytes()
    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 0x04
        path.write_bytes(altered)
        with pytest.raises(DamagedError):
            checkpoint.load(path)
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedError):
            checkpoint.load(path)


def test_a_pickle_is_refused_unread(tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "a")
    with pytest.raises(DamagedError, match="damaged or no checkpoint"):
        checkpoint.load(tmp_path / "a")


def test_without_any_sound_checkpoint_the_error_names_all(tmp_path):
    assert checkpoint.load_newest(tmp_path) is None
    checkpoint.save_last(tmp_path, {"n": 1})
    checkpoint.save_last(tmp_path, {"n": 2})
    (tmp_path / checkpoint.LAST).write_bytes(b"")
    found, wrong = checkpoint.load_newest(tmp_path)
    assert found["n"] == 1 and len(wrong) == 1 and "last.safetensors is damaged" in wrong[0]
    (tmp_path / checkpoint.PREVIOUS).write_bytes(b"x" * 100)
    with pytest.raises(DamagedError, match="No sound checkpoint is left"):
        checkpoint.load_newest(tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    """A limit on the size of files stands in for the disk: writing fails in the same place."""
    checkpoint.save_last(tmp_path, {"n": 1, "w": torch.zeros(10)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(TrainingError, match=r"cannot write .*last.safetensors \(4.*bytes\)"):
            checkpoint.save_last(tmp_path, {"n": 2, "w": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    found, wrong = checkpoint.load_newest(tmp_path)
    assert (found["n"], wrong) == (1, [])
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.LAST]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    from archspec.training.store.files import remove_leftovers

    for name in (".last.safetensors.4711", "last.safetensors", ".best.safetensors.x", ".other"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("last.safetensors", ".best.safetensors.x", ".other")
    }


@pytest.mark.parametrize(
    "read_as",
    [lambda w: w.view(torch.int32), lambda w: w.reshape(3, 2), lambda w: w.reshape(6)],
    ids=["dtype", "transposed", "flat"],
)
def test_the_same_bytes_as_another_tensor_are_noticed(read_as, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "a"
    checkpoint.save(path, {"w": torch.arange(6.0).reshape(2, 3)})
    with safe_open(path, framework="pt") as file:
        metadata, weight = file.metadata(), file.get_tensor("w")
    save_file({"w": weight}, path, metadata)
    assert torch.equal(checkpoint.load(path)["w"], weight)  # written over, and still the same
    save_file({"w": read_as(weight)}, path, metadata)
    with pytest.raises(DamagedError, match="do not match its checksum"):
        checkpoint.load(path)


def test_each_process_writes_to_a_file_of_its_own_first(tmp_path, monkeypatch):
    seen, sync = [], os.fsync

    def watched(descriptor):
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    path = tmp_path / "last.safetensors"
    path.write_bytes(b"old")
    write_whole(path, b"new", keep=tmp_path / "previous.safetensors")
    own = f".last.safetensors.{os.getpid()}"
    assert seen == [[own, "last.safetensors"], ["last.safetensors", "previous.safetensors"]]
    assert path.read_bytes() == b"new"
    assert (tmp_path / "previous.safetensors").read_bytes() == b"old"


def test_leftovers_of_writers_are_removed_and_nothing_else(tmp_path):
    kept = (".last.safetensors.mine", "last.safetensors", ".config.yaml.12")
    for name in (".last.safetensors.12", ".best.safetensors.7", *kept):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
