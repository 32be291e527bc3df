"""Batches on a GPU against those of the CPU."""

from __future__ import annotations

import pytest
import torch

from archspec.data import open_dataset

pytestmark = pytest.mark.cuda


def batches(device, resident, **options):
    data = open_dataset(
        "digits", device=device, resident=resident, limit_train=200, limit_test=50, **options
    )
    generator = torch.Generator().manual_seed(3)
    found = data.train.batches(64, device=device, training=True, generator=generator)
    return [(images.cpu(), labels.cpu()) for images, labels in found]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(
    "augment", [(), ("random_crop:2", "random_horizontal_flip", "random_erasing")]
)
def test_a_gpu_gives_the_pixels_of_the_cpu(augment, resident):
    wanted = batches("cpu", True, resize=28, augment=augment)
    found = batches("cuda", resident, resize=28, augment=augment)
    assert len(found) == len(wanted) == 3
    for (images, labels), (expected, numbers) in zip(found, wanted, strict=True):
        assert torch.equal(labels, numbers)
        assert torch.allclose(images, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("augment", ["random_rotation", "random_resized_crop", "random_contrast"])
def test_warped_pixels_differ_by_a_grey_level_at_most(augment):
    wanted = batches("cpu", True, resize=28, augment=(augment,))
    found = batches("cuda", True, resize=28, augment=(augment,))
    for (images, _), (expected, _) in zip(found, wanted, strict=True):
        assert (images - expected).abs().max() <= 1.01 / 255
