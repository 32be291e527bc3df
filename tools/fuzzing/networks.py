"""Small sound networks to start from: bundled specs made smaller, single ops, drawn graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

import archspec
from archspec.diagnostics.diagnostic import SpecError
from archspec.expand.write import scalar
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import N
from fuzzing.trees import slots, tree, write

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Seed: TypeAlias = tuple[str, Callable[[], str | None]]
"""A name, and a function that gives the text; None where the network cannot be made small."""

BUNDLED = (
    *("lenet_bn", "lenet_bn_scratch", "nin", "alexnet", "vgg11_small", "resnet18", "densenet"),
    *("googlenet", "resnet18_group_norm", "torchvision/squeezenet1_1", "torchvision/vit_b_32"),
    *("torchvision/shufflenet_v2_x0_5", "torchvision/mobilenet_v3_small", "torchvision/swin_v2_t"),
    *("torchvision/convnext_tiny", "torchvision/efficientnet_b0", "torchvision/swin_t"),
)

INPUT_SIZES = (16, 32, 64, 96, 224)
"""Heights and widths to try for a bundled spec, the least that fits being the one."""

NARROWER = 8
"""Bundled specs are made so many times narrower where they still fit together."""

WIDTHS = frozenset(("out_channels", "out_features", "linear", "groups", "num_groups"))

MOST_MACS = 10**8
MOST_PARAMETERS = 5 * 10**6
MOST_NODES = 400
"""A network larger than this is not run: it would take the time of a hundred others."""

DRAWN = 150
"""Networks drawn by `archspec.testing.graphs`."""


def seeds(seed: int) -> list[list[Seed]]:
    """Three kinds of networks; those drawn depend on `seed`."""
    return [[(name, partial(_reduced, name)) for name in BUNDLED], list(_examples()), _drawn(seed)]


@cache
def document(text: Callable[[], str | None]) -> Any:
    """The text as a tree, to be copied before it is changed; None where there is none."""
    found = text()
    return None if found is None else tree(yaml.safe_load(found))


def _reduced(name: str) -> str | None:
    """A bundled spec, expanded, at its least input size, and narrower where that fits."""
    shape = archspec.load(name).input_shape
    assert isinstance(shape, tuple)
    for size in INPUT_SIZES:
        try:
            text = archspec.load(name, input_shape=(shape[1], size, size)).expand()
        except SpecError:
            continue
        document = tree(yaml.safe_load(text))
        for slot in slots(document):
            if slot.key in WIDTHS and type(slot.value) is int:
                slot.set(max(2, slot.value // NARROWER) if slot.value > 1 else 1)
        narrow = write(document)
        return narrow if _is_small(narrow) else text if _is_small(text) else None
    return None


def _is_small(text: str) -> bool:
    try:
        arch = archspec.loads(text)
    except SpecError:
        return False
    return not is_large(arch)


def is_large(arch: archspec.Architecture) -> bool:
    """Whether running it takes the time of a hundred others."""
    sizes = (arch.macs / MOST_MACS, arch.num_parameters / MOST_PARAMETERS)
    return max(*sizes, len(arch.nodes) / MOST_NODES) > 1


def _examples() -> Iterator[Seed]:
    """Each op alone on the inputs of its examples."""
    for name, kind in sorted(REGISTRY.items()):
        for number, example in enumerate(kind.examples):
            inputs = [shape for shape in example.inputs if shape[0] == "N"]
            if not inputs or len(inputs) < len(example.inputs):
                continue
            names = [f"x{i}" for i in range(len(inputs))]
            head = {n: list(shape[1:]) for n, shape in zip(names, inputs, strict=True)}
            node: dict[str, Any] = {"name": "op", name: dict(example.args) or None}
            if kind.variadic:
                node[name] = {"inputs": names, **example.args}
            elif len(names) > 1:
                node["from"] = names
            layers: list[Any] = [node]
            if isinstance(_outputs(kind, example), list):
                layers.append({"concat": {"inputs": ["op"], "dim": 1}})
            text = f"inputs: {scalar(head)}\nlayers: {scalar(layers)}\n"
            yield f"{name} {number}", partial(str, text)


def _outputs(kind: type[Op], example: Any) -> Any:
    shapes = [tuple(N if dim == "N" else dim for dim in shape) for shape in example.inputs]
    return kind(**example.args).infer(*shapes)


def _drawn(seed: int) -> list[Seed]:
    from archspec.testing.graphs import specs
    from archspec.testing.loops import loop_specs

    texts = drawn(specs(), seed, DRAWN) + drawn(loop_specs(), seed, DRAWN // 3)
    return [(f"drawn {number}", partial(str, text)) for number, text in enumerate(texts)]


def drawn(specs: SearchStrategy[Any], seed: int, count: int) -> list[str]:
    """Texts of specs that a strategy draws; the same for equal seeds."""
    from hypothesis import Phase, given, settings
    from hypothesis import seed as seeded

    from archspec.testing.graphs import to_text

    found: list[str] = []

    @seeded(seed)
    @settings(max_examples=count, database=None, phases=[Phase.generate], deadline=None)
    @given(specs)
    def collect(spec: Any) -> None:
        found.append(to_text(spec))

    collect()
    return found
