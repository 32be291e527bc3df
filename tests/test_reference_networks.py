"""The reference networks: figures and shapes worked out by hand, static and measured."""

from __future__ import annotations

import pytest
import torch
from parity import fill, patterns
from reference_modules import REFERENCES
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import archspec

# Parameters and multiply-accumulates for one sample, computed with plain PyTorch modules.
FIGURES = {
    "lenet_bn": (44_878, 281_640),
    "lenet_bn_scratch": (44_878, 281_640),
    "alexnet": (46_764_746, 938_146_176),
    "vgg11": (128_806_154, 7_547_232_256),
    "vgg11_small": (43_093_322, 512_155_648),
    "nin": (1_992_166, 762_297_352),
    "googlenet": (5_977_530, 276_066_304),
    "resnet18": (11_178_378, 1_734_890_496),
    "densenet": (758_226, 129_077_168),
}

LENET = {
    "": (1, 28, 28),
    "0": (6, 24, 24),
    "1": (6, 24, 24),
    "2": (6, 24, 24),
    "3": (6, 12, 12),
    "4": (16, 8, 8),
    "5": (16, 8, 8),
    "6": (16, 8, 8),
    "7": (16, 4, 4),
    "8": (256,),
    "9": (120,),
    "10": (120,),
    "11": (120,),
    "12": (84,),
    "13": (84,),
    "14": (84,),
    "15": (10,),
}

# Every shape that is stated for a network, without N, by the path of its node; "" is the input.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "lenet_bn": LENET,
    "lenet_bn_scratch": LENET,
    "alexnet": {
        "": (1, 224, 224),
        "0": (96, 54, 54),
        "2": (96, 26, 26),
        "3": (256, 26, 26),
        "5": (256, 12, 12),
        "6": (384, 12, 12),
        "8": (384, 12, 12),
        "10": (256, 12, 12),
        "12": (256, 5, 5),
        "13": (6400,),
        "14": (4096,),
        "17": (4096,),
        "20": (10,),
    },
    "vgg11": {
        "": (1, 224, 224),
        "0": (64, 112, 112),
        "1": (128, 56, 56),
        "2": (256, 28, 28),
        "3": (512, 14, 14),
        "4": (512, 7, 7),
        "5": (25088,),
        "6": (4096,),
        "7": (4096,),
        "8": (4096,),
        "9": (4096,),
        "10": (4096,),
        "11": (4096,),
        "12": (10,),
    },
    "vgg11_small": {
        "": (1, 224, 224),
        "0": (16, 112, 112),
        "1": (32, 56, 56),
        "2": (64, 28, 28),
        "3": (128, 14, 14),
        "4": (128, 7, 7),
        "5": (6272,),
        "6": (4096,),
        "9": (4096,),
        "12": (10,),
    },
    "nin": {
        "": (1, 224, 224),
        "0": (96, 54, 54),
        "1": (96, 26, 26),
        "2": (256, 26, 26),
        "3": (256, 12, 12),
        "4": (384, 12, 12),
        "5": (384, 5, 5),
        "6": (384, 5, 5),
        "7": (10, 5, 5),
        "8": (10, 1, 1),
        "9": (10,),
    },
    "googlenet": {
        "": (1, 96, 96),
        "stage1": (64, 24, 24),
        "stage2": (192, 12, 12),
        "stage3": (480, 6, 6),
        "stage4": (832, 3, 3),
        "stage5": (1024,),
        "fc": (10,),
    },
    "resnet18": {
        "": (1, 224, 224),
        "stem": (64, 56, 56),
        "stage1": (64, 56, 56),
        "stage2": (128, 28, 28),
        "stage3": (256, 14, 14),
        "stage4": (512, 7, 7),
        "5": (512, 1, 1),
        "6": (512,),
        "fc": (10,),
    },
    "densenet": {
        "": (1, 96, 96),
        "0": (64, 48, 48),
        "1": (64, 48, 48),
        "2": (64, 48, 48),
        "3": (64, 24, 24),
        "4": (192, 24, 24),
        "5": (96, 12, 12),
        "6": (224, 12, 12),
        "7": (112, 6, 6),
        "8": (240, 6, 6),
        "9": (120, 3, 3),
        "10": (248, 3, 3),
        "11": (248, 3, 3),
        "12": (248, 3, 3),
        "13": (248, 1, 1),
        "14": (248,),
        "fc": (10,),
    },
}

RECIPES = {
    "lenet_bn": ("adam", 0.001, 5, 256, None),
    "lenet_bn_scratch": ("adam", 0.001, 5, 256, None),
    "alexnet": ("sgd", 0.01, 10, 128, 224),
    "vgg11_small": ("sgd", 0.05, 10, 128, 224),
    "nin": ("sgd", 0.1, 10, 128, 224),
    "googlenet": ("sgd", 0.1, 10, 128, 96),
    "resnet18": ("sgd", 0.05, 10, 256, 96),
    "densenet": ("sgd", 0.1, 10, 256, 96),
}

BATCH = 2


def measured(name: str) -> tuple[dict[str, tuple[int, ...]], int, int]:
    """Shapes by module path, parameters and MACs of the built network, from a forward pass."""
    # The meta device carries the one network that would take seconds on a CPU.
    device = "meta" if name == "vgg11" else "cpu"
    net = archspec.compile(name, device=device).eval()
    shapes: dict[str, tuple[int, ...]] = {}
    for path, module in net.named_modules():

        def note(module: nn.Module, inputs: object, output: torch.Tensor, path: str = path) -> None:
            shapes[path] = tuple(output.shape)

        module.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(BATCH, *SHAPES[name][""], device=device))
    parameters = sum(p.numel() for p in net.parameters())
    return shapes, parameters, counter.get_total_flops() // (2 * BATCH)


@pytest.mark.parametrize("name", FIGURES)
def test_static_figures_and_shapes(name: str) -> None:
    arch = archspec.load(name)
    assert (arch.num_parameters, arch.macs) == FIGURES[name]
    assert arch.input_shape == ("N", *SHAPES[name][""])
    assert arch.output_shape == ("N", 10)
    found = {layer.path: layer.output_shape for layer in arch.nodes}
    expected = {path: ("N", *shape) for path, shape in SHAPES[name].items() if path}
    assert {path: found.get(path) for path in expected} == expected


@pytest.mark.parametrize("name", FIGURES)
def test_measured_figures_and_shapes(name: str) -> None:
    shapes, parameters, macs = measured(name)
    assert (parameters, macs) == FIGURES[name]
    assert shapes[""] == (BATCH, 10)
    expected = {path: (BATCH, *shape) for path, shape in SHAPES[name].items() if path}
    # A step without a module of its own cannot be hooked; only flattening may be one here.
    missing = [expected.pop(path) for path in list(expected) if path not in shapes]
    assert all(len(shape) == 2 for shape in missing) and len(missing) <= 1
    assert {path: shapes[path] for path in expected} == expected


@pytest.mark.parametrize("name", REFERENCES)
def test_equals_the_network_written_by_hand(name: str) -> None:
    reference = REFERENCES[name]()
    fill(reference, torch.Generator().manual_seed(1))
    net = archspec.compile(name)
    theirs, ours = reference.state_dict(), net.state_dict()
    assert [tuple(t.shape) for t in ours.values()] == [tuple(t.shape) for t in theirs.values()]
    net.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))

    # Sigmoids flatten differences, so the images have much contrast.
    images = 8 * patterns((BATCH, *SHAPES[name][""]))
    with torch.no_grad():
        expected = reference.eval()(images)
        assert (expected[0] - expected[1]).abs().max() > 0.05 * expected.std()
        assert torch.equal(net.eval()(images), expected)
        # In train() batch statistics and dropout take part; one seed makes both draw alike.
        torch.manual_seed(2)
        expected = reference.train()(images)
        torch.manual_seed(2)
        assert torch.equal(net.train()(images), expected)


@pytest.mark.parametrize("name", RECIPES)
def test_training_recipe(name: str) -> None:
    optimizer, lr, epochs, batch_size, resize = RECIPES[name]
    recipe = archspec.load(name).recipe
    assert recipe["dataset"] == "fashion_mnist"
    assert (recipe["optimizer"], recipe["lr"]) == (optimizer, lr)
    assert (recipe["epochs"], recipe["batch_size"]) == (epochs, batch_size)
    assert recipe.get("resize") == resize


@pytest.mark.parametrize("name", sorted(name for name in RECIPES if RECIPES[name][0] == "sgd"))
def test_sgd_recipes_start_from_xavier_uniform(name: str) -> None:
    net = archspec.load(name).build(seed=3)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.numel() > 1000:
            weight = module.weight.detach()
            area = weight[0, 0].numel()
            bound = (6 / (area * (weight.shape[0] + weight.shape[1]))) ** 0.5
            # Far over a thousand uniform draws come within two percent of the bound.
            assert 0.98 * bound < weight.abs().max() <= bound
