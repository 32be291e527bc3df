"""Templates with parameters, conditions and loops as classes."""

from __future__ import annotations

import pytest

from archspec.ejecting.classes import Classes
from archspec.ejecting.constructors import Constructors
from archspec.ejecting.renaming import Renamer
from archspec.ejecting.terms import source
from archspec.folding.template import Call, Entry, Group, Loop, Op, Parameter, Template
from archspec.folding.terms import Binary, Conditional, Constant, Name, Text
from archspec.folding.tree import INPUT, Edge

X = (Edge(INPUT),)


def conv(inside, outside, size=3):
    arguments = {"in_channels": inside, "out_channels": outside, "kernel_size": Constant(size)}
    return Op("torch.nn.Conv2d||{own}({0})", arguments)


def norm(channels):
    return Op("torch.nn.BatchNorm2d||{own}({0})", {"num_features": channels})


RELU = Op("torch.nn.ReLU||{own}({0})", {"inplace": Constant(False)})
ADD = Op("||{0} + {1}", {})
INSIDE, WIDTH = Name("in_channels"), Name("width")
NODE = {"marks": {"weightless": True}}


def block():
    differs = Binary("!=", INSIDE, WIDTH)
    parts = (
        Entry(Constant("conv"), conv(INSIDE, WIDTH), X),
        Entry(None, RELU, (Edge(0),), **NODE),
        Entry(Constant("project"), conv(INSIDE, WIDTH, 1), X, when=differs),
        Entry(None, ADD, (Edge(1), Edge(2))),
        Entry(None, RELU, (Edge(3),), **NODE),
    )
    parameters = (Parameter("width", Constant(8)), Parameter("in_channels"))
    return Template("my_block", parameters, (), ("input",), parts, (Edge(4),), None, ("Adds.",))


def written(template):
    classes = Classes(Constructors(False), {})
    classes.name(Renamer().template(template))
    return "\n\n\n".join(classes.sources)


def test_a_class_with_parameters_and_a_condition():
    assert (
        written(block())
        == '''\
class MyBlock(nn.Module):
    """Adds."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3)
        self.relu = nn.ReLU()
        self.project = None
        if in_channels != width:
            self.project = nn.Conv2d(in_channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y = self.relu(y)
        if self.project is not None:
            x = self.project(x)
        y = y + x
        return self.relu(y)'''
    )


def network(*parts, outputs=None):
    count = len(parts) - 1
    return Template("net", (), (), ("input",), parts, outputs or (Edge(count),), None)


def test_loops_are_chains_and_numbered_children():
    called, counter = block(), Name("index")
    first = Conditional(Binary("==", counter, Constant(0)), Constant(3), Constant(8))
    call = Entry(None, Call(called, {"in_channels": first}), X)
    named = Loop(Constant("body"), Constant(4), {}, "index", (call,), (Edge(0),), X)
    numbered = Loop(
        Text(("layer", Binary("+", counter, Constant(1)))),
        None,
        {"width": Constant((8, 16))},
        "index",
        (Entry(None, Call(called, {"in_channels": Constant(8), "width": Name("width")}), X),),
        (Edge(0),),
        (Edge(0),),
    )
    text = written(network(named, numbered))
    assert (
        """\
        self.body = nn.Sequential(*[MyBlock(3 if index == 0 else 8) for index in range(4)])
        for index, width in enumerate((8, 16)):
            self.add_module(f"layer{index + 1}", MyBlock(8, width=width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        for index in range(2):
            x = getattr(self, f"layer{index + 1}")(x)
        return x"""
        in text
    )


def test_a_chain_with_a_condition_is_a_list():
    parts = (
        Entry(None, conv(INSIDE, WIDTH), X),
        Entry(None, norm(WIDTH), (Edge(0),), when=Binary(">", WIDTH, Constant(4))),
        Entry(None, RELU, (Edge(1),)),
    )
    parameters = (Parameter("in_channels"), Parameter("width"))
    chain = Template("chain", parameters, (), ("input",), parts, (Edge(2),), None)
    assert """\
        layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 3)]
        if width > 4:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU())
        super().__init__(*layers)""" in written(chain)


@pytest.mark.parametrize(("passes", "given"), [(0, "y"), (1, "x")])
def test_a_node_that_is_left_out_hands_on_what_it_says(passes, given):
    wide = Binary(">", WIDTH, Constant(4))
    parts = (
        Entry(Constant("conv"), conv(INSIDE, WIDTH), X),
        Entry(None, ADD, (Edge(0), Edge(INPUT)), when=wide, passes=passes),
        Entry(Constant("last"), conv(WIDTH, WIDTH), (Edge(1),)),
        Entry(None, ADD, (Edge(2), Edge(0))),
        Entry(None, ADD, (Edge(3), Edge(INPUT))),
    )
    parameters = (Parameter("in_channels"), Parameter("width"))
    text = written(Template("own", parameters, (), ("input",), parts, (Edge(4),), None))
    values = {"x": "x", "y": "conv"}
    assert f"= conv + x if self.width > 4 else {values[given]}\n" in text


def test_a_group_is_a_chain_with_its_keys():
    inner = (
        Entry(Constant("conv"), conv(Constant(3), Constant(4)), X),
        Entry(None, RELU, (Edge(0),), **NODE),
    )
    group = Entry(Constant("stem"), Group(inner, (Edge(1),)), X)
    text = written(network(group, Entry(None, RELU, (Edge(0),), **NODE)))
    assert "nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), relu=nn.ReLU()))" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Binary("*", Constant(4), Binary("+", WIDTH, Constant(1))), "4 * (width + 1)"),
        (Binary("-", WIDTH, Binary("-", WIDTH, Constant(1))), "width - (width - 1)"),
        (
            Conditional(Binary(">", WIDTH, Constant(1)), Constant(True), Constant(False)),
            "width > 1",
        ),
        (Conditional(WIDTH, Constant(1), Constant(0)), "1 if width else 0"),
        (Conditional(WIDTH, Constant(False), Constant(True)), "not width"),
        (Constant(("a'b", (1,), None)), '("a\'b", (1,), None)'),
        (Text(("a{", WIDTH)), 'f"a{{{width}"'),
    ],
)
def test_terms_bind_as_in_python(value, expected):
    assert source(value) == expected
