"""Trees that are written by hand, and the templates that a person would make of them."""

from __future__ import annotations

from archspec.folding.fold import fold
from archspec.folding.template import Call, Entry, Group, Loop, Op, Parameter
from archspec.folding.terms import Binary, Conditional, Constant, Name, Text
from archspec.folding.tree import INPUT, Edge, Leaf, List, Node

DEFAULTS = {"stride": 1, "bias": True}
SOURCE = (Edge(INPUT),)


def conv(channels, *, name=None, reads=SOURCE, given=None, **more):
    leaf = Leaf("conv", {"out_channels": channels, **more}, DEFAULTS)
    return Node(name or "0", name is not None, leaf, reads, given=given or {})


def relu(*reads, name=None):
    return Node(name or "1", name is not None, Leaf("relu", {}), reads)


def call(content, *reads, name=None):
    return Node(name or "2", name is not None, content, reads or SOURCE)


def block(nodes, *, given=0, gives=0, of="block", known=None):
    return List(
        *(of, ("input",), tuple(nodes), (Edge(len(nodes) - 1),)),
        known=known,
        given={"in_channels": given},
        gives={"in_channels": gives},
    )


def chain(*contents):
    """A network of lists, each reading the one before it."""
    nodes = [
        call(each, Edge(i - 1) if i else Edge(INPUT), name=f"x{'abcdefgh'[i]}")
        for i, each in enumerate(contents)
    ]
    return List(None, ("input",), tuple(nodes), (Edge(len(nodes) - 1),))


def template(root, part=0):
    content = root.parts[part].content
    assert isinstance(content, Call)
    return content.template


def test_flat_gives_a_template_for_each_list():
    one, two = block([conv(8)]), block([conv(16)])
    made = fold(chain(one, two, one), flat=True)
    first, second, third = (template(made, i) for i in range(3))
    assert (first.name, second.name) == ("block", "block_2")
    assert third is first
    assert first.parameters == ()
    assert first.parts[0].content == Op("conv", {"out_channels": Constant(8)})


def test_what_differs_becomes_a_parameter():
    made = fold(chain(block([conv(8)]), block([conv(16)]), block([conv(40)])))
    assert template(made).parameters == (Parameter("channels"),)
    assert template(made).parts[0].content == Op("conv", {"out_channels": Name("channels")})
    arguments = [part.content.arguments for part in made.parts]
    assert arguments == [{"channels": Constant(n)} for n in (8, 16, 40)]


def test_equal_numbers_become_one_parameter():
    lists = [block([conv(n), conv(n, reads=(Edge(0),))]) for n in (8, 16, 40)]
    made = template(fold(chain(*lists)))
    assert [each.name for each in made.parameters] == ["channels"]
    assert made.parts[1].content.arguments == {"out_channels": Name("channels")}


def test_multiples_are_derived():
    lists = [block([conv(n), conv(4 * n, reads=(Edge(0),))]) for n in (8, 16, 40)]
    made = template(fold(chain(*lists)))
    assert made.parts[1].content.arguments == {
        "out_channels": Binary("*", Constant(4), Name("channels"))
    }


def test_sizes_of_the_input_go_before_parameters():
    lists = [block([conv(2 * n, given={"in_channels": n})]) for n in (8, 16, 40)]
    made = template(fold(chain(*lists)))
    assert made.parameters == ()
    assert made.parts[0].content.arguments == {
        "out_channels": Binary("*", Constant(2), Name("in_channels"))
    }


def test_the_majority_is_the_default():
    lists = [block([conv(8, stride=s)]) for s in (1, 2, 1)]
    lists += [block([conv(16, stride=1)])]
    made = fold(chain(*lists))
    assert template(made).parameters[1] == Parameter("stride", Constant(1))
    passed = [part.content.arguments.get("stride") for part in made.parts]
    assert passed == [None, Constant(2), None, None]


def test_known_values_name_parameters():
    lists = [block([conv(n)], known={"planes": n}) for n in (8, 16, 40)]
    assert template(fold(chain(*lists))).parameters == (Parameter("planes"),)


def residual(inner, outer, stride):
    """A projection where the shape changes, and the sum."""
    nodes = [conv(outer, stride=stride, name="conv")]
    if stride != 1 or inner != outer:
        nodes.append(conv(outer, stride=stride, name="down"))
    nodes.append(
        Node("add", True, Leaf("add", {}), (Edge(0), Edge(1) if len(nodes) > 1 else Edge(INPUT)))
    )
    return block(nodes, given=inner, gives=outer)


def test_missing_nodes_get_a_condition():
    lists = [residual(8, 8, 1), residual(8, 16, 1), residual(16, 16, 2), residual(16, 32, 2)]
    made = template(fold(chain(*lists)))
    by_name = {each.name: each for each in made.parameters}
    assert by_name["has_down"].default == Binary(
        "or",
        Binary("!=", Name("stride"), Constant(1)),
        Binary("!=", Name("in_channels"), Name("out_channels")),
    )
    down, add = made.parts[1:]
    assert down.when == Name("has_down")
    assert add.reads == (Edge(0), Edge(1))


def test_a_sum_may_hand_on_its_second_value():
    def unit(inner, outer):
        nodes = [conv(outer, name="conv")]
        if inner == outer:
            nodes.append(Node("add", True, Leaf("add", {}), (Edge(INPUT), Edge(0))))
        return block(nodes, given=inner, gives=outer)

    made = template(fold(chain(unit(8, 8), unit(8, 16), unit(16, 16), unit(16, 32))))
    _, add = made.parts
    assert add.passes == 1
    assert made.parameters[-1].default == Binary("==", Name("in_channels"), Name("out_channels"))


def test_a_coincidence_of_sizes_is_no_condition():
    """All lists with the node have 16 channels: that says nothing of other networks."""
    lists = [
        block([conv(n, name="a"), *([relu(Edge(0), name="b")] if n == 16 else [])])
        for n in (8, 16, 24)
    ]
    made = fold(chain(*lists))
    parameters = {each.name: each.default for each in template(made).parameters}
    assert parameters == {"channels": None, "has_b": Constant(False)}


def test_a_node_that_some_lack_has_the_parameters_of_the_others():
    """The projection always has the stride 2 here: it is the stride of the list."""
    lists = [residual(8, 8, 1), residual(8, 16, 2), residual(16, 40, 2)]
    down = template(fold(chain(*lists))).parts[1]
    assert down.content.arguments["stride"] == Name("stride")


def run(*lists):
    nodes = [call(each, Edge(i - 1) if i else Edge(INPUT)) for i, each in enumerate(lists)]
    return List(None, ("input",), tuple(nodes), (Edge(len(nodes) - 1),))


def test_runs_become_loops_over_lists():
    made = fold(run(*[block([conv(n), relu(Edge(0))]) for n in (8, 16, 40, 24, 48)]))
    (loop,) = made.parts
    assert isinstance(loop, Loop)
    assert loop.lists == {"channels": Constant((8, 16, 40, 24, 48))}
    assert loop.reads == SOURCE
    (entry,) = loop.parts
    assert entry.content.arguments == {"channels": Name("channels")}


def test_the_first_iteration_may_differ():
    one, other = block([conv(8, stride=2)]), block([conv(8, stride=1)])
    made = fold(run(one, other, other, other))
    (loop,) = made.parts
    assert loop.times == Constant(4)
    assert loop.parts[0].content.arguments == {
        "stride": Conditional(Binary("==", Name("index"), Constant(0)), Constant(2), Constant(1))
    }


def test_names_count_with_the_iterations():
    blocks = [block([conv(n)]) for n in (8, 16, 40, 24, 48)]
    nodes = [
        call(each, Edge(i - 1) if i else Edge(INPUT), name=f"layer{i + 1}")
        for i, each in enumerate(blocks)
    ]
    (loop,) = fold(List(None, ("input",), tuple(nodes), (Edge(4),))).parts
    assert loop.parts[0].name == Text(("layer", Binary("+", Name("index"), Constant(1))))


def test_stages_are_loops_of_loops():
    stages = []
    for channels, stride, depth in ((8, 1, 2), (16, 2, 4), (32, 2, 3), (64, 2, 2)):
        first, more = block([conv(channels, stride=stride)]), block([conv(channels)])
        stages.append(run(first, *[more] * (depth - 1)))
    nodes = [
        Node(f"stage{i}", True, each, (Edge(i - 1) if i else Edge(INPUT),))
        for i, each in enumerate(stages)
    ]
    (outer,) = fold(List(None, ("input",), tuple(nodes), (Edge(3),))).parts
    assert outer.lists["channels"] == Constant((8, 16, 32, 64))
    assert outer.lists["depth"] == Constant((2, 4, 3, 2))
    (stage,) = outer.parts
    assert isinstance(stage.content, Group)
    (inner,) = stage.content.parts
    assert inner.times == Name("depth")


def test_what_is_read_from_outside_is_no_loop():
    """The second of three is read behind them."""
    blocks = [block([conv(8)]), block([conv(16)]), block([conv(40)])]
    nodes = [call(each, Edge(i - 1) if i else Edge(INPUT)) for i, each in enumerate(blocks)]
    nodes.append(Node("add", True, Leaf("add", {}), (Edge(1), Edge(2))))
    parts = fold(List(None, ("input",), tuple(nodes), (Edge(3),))).parts
    assert all(isinstance(part, Entry) for part in parts)


def test_different_kinds_are_not_one_class():
    made = fold(chain(block([conv(8), relu(Edge(0))]), block([relu(*SOURCE)], of="other")))
    assert [template(made, i).name for i in range(2)] == ["block", "other"]


def test_numbers_of_different_types_stay_apart():
    made = fold(chain(*[block([conv(8, scale=value)]) for value in (1, 1.0, True)]))
    passed = [part.content.arguments.get("scale") for part in made.parts]
    assert [type(each.value) for each in passed[:2]] == [int, float]
    assert template(made, 2) is not template(made)
