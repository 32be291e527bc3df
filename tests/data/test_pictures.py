"""Pictures in every form that a data set may give them in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from samples import from_pil, noise, to_pil

from archspec.data import DataError, names, register, registry
from archspec.data.pictures import Pictures, as_pil, from_torchvision

GREY, COLOUR = noise(1, 5, 7), noise(3, 5, 7, seed=1)


@pytest.mark.parametrize(
    ("given", "pixels"),
    [
        (GREY[0].numpy(), GREY),
        (GREY[0].numpy()[:, :, None], GREY),
        (GREY, GREY),
        (GREY[0], GREY),
        (COLOUR, COLOUR),
        (COLOUR.permute(1, 2, 0).numpy(), COLOUR),
        (to_pil(COLOUR), COLOUR),
    ],
)
def test_arrays_tensors_and_images_are_the_same_pixels(given, pixels) -> None:
    pictures = Pictures(torch.zeros(1, dtype=torch.int64), read=lambda row: given)
    assert torch.equal(from_pil(as_pil(given)), pixels)
    assert tuple(pictures.form(0)) == tuple(pixels.shape)
    grey, colour = (pictures.load([0], channels, None).images[0] for channels in (1, 3))
    if len(pixels) == 1:
        assert torch.equal(grey, pixels) and torch.equal(colour, pixels.expand(3, -1, -1))
    else:
        by_pil = Image.fromarray(pixels.permute(1, 2, 0).numpy()).convert("L")
        assert torch.equal(grey, from_pil(by_pil)) and torch.equal(colour, pixels)


def test_pictures_are_given_in_one_way() -> None:
    labels = torch.zeros(1, dtype=torch.int64)
    for more in ({}, {"array": GREY[None], "read": lambda i: GREY}):
        with pytest.raises(ValueError, match="by `array` or by `read`"):
            Pictures(labels, **more)


@pytest.mark.parametrize("shape", [(4, 5, 5, 2), (4, 5), (4, 1, 1, 5, 5)])
def test_an_array_of_another_form_is_read_picture_by_picture(shape) -> None:
    class Odd(SimpleNamespace):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int):
            return to_pil(COLOUR), index % 2

    odd = Odd(data=torch.zeros(shape, dtype=torch.uint8), targets=[0, 1, 0, 1])
    sets = from_torchvision(odd)
    assert sets.train.array is None and tuple(sets.train.form(0)) == (3, 5, 7)


def test_sets_of_other_packages_are_among_the_names(monkeypatch) -> None:
    names()  # the bundled ones are registered for good
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    point = SimpleNamespace(load=lambda: register("foreign")(lambda root: None))
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    registry._load_plugins.cache_clear()
    assert "foreign" in names()


def test_an_error_without_words_goes_by_its_kind(tmp_path, monkeypatch) -> None:
    from archspec.data import open_dataset

    for error, said in ((OSError("disk: full\nand more"), "disk: full"), (EOFError(), "EOFError")):

        def fails(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("torchvision.datasets.MNIST.__init__", fails)
        with pytest.raises(DataError) as caught:
            open_dataset("mnist", tmp_path)
        assert caught.value.message.endswith(f"nor downloaded: {said}")
