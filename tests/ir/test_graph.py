"""Walking graphs, and what an op is until it says otherwise."""

from __future__ import annotations

import pytest
from drafts import Draft, image

from archspec.ir.graph import INPUT, Graph, Ref, count_runs, trained_only, walk
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import N


def nested() -> Graph:
    """Two uses of a block with a training-only head, and a layer of training alone."""
    block = Draft(image(4), block="heads")
    main = block.op("linear", name="main", out_features=4)
    aux = block.op("linear", name="aux", out_features=2, reads=(Ref(INPUT),), training_only=True)
    heads = block.graph(main, aux)
    draft = Draft(image(4), image(7), names=("a", "b"))
    first = draft.body(heads, name="first", reads=(Ref(INPUT, 0),))
    draft.body(heads, name="second", reads=(first,), shares=first)
    extra = draft.body(heads, name="extra", reads=(first,), training_only=True)
    return draft.graph(first, Ref(first.step, 1), extra, Ref(INPUT, 1))


def test_values_have_their_step_s_shapes_and_inputs_their_own():
    graph = nested()
    assert graph.shape(Ref(INPUT, 1)) == (N, 7) and graph.shape(Ref(0, 1)) == (N, 2)
    assert graph.output_shapes == ((N, 4), (N, 2), (N, 4), (N, 7))


def test_what_exists_in_training_alone_is_found_through_blocks():
    graph = nested()
    assert [trained_only(graph, ref) for ref in graph.outputs] == [False, True, True, False]


def test_ops_that_run_are_counted_with_every_use():
    assert count_runs(nested()) == 3 * 2
    draft = Draft(image(4))
    draft.op("relu")
    draft.body(nested().steps[0].body)  # type: ignore[arg-type]
    assert count_runs(draft.graph()) == 1 + 2


def test_a_walk_tells_paths_depths_and_who_owns():
    rows = [(v.path, v.depth, v.shared, v.training_only, v.module_path) for v in walk(nested())]
    assert rows == [
        ("first", 0, False, False, "first"),
        ("first.main", 1, False, False, "first.main"),
        ("first.aux", 1, False, True, "first.aux"),
        ("second", 0, True, False, "first"),
        ("second.main", 1, True, False, "first.main"),
        ("second.aux", 1, True, True, "first.aux"),
        ("extra", 0, False, True, "extra"),
        ("extra.main", 1, False, True, "extra.main"),
        ("extra.aux", 1, False, True, "extra.aux"),
    ]
    assert [step.kind for step in nested().steps] == ["heads"] * 3
    draft = Draft(image(4))
    group = Draft(image(4))
    group.op("relu")
    draft.body(group.graph())
    assert draft.graph().steps[0].kind == "group" and group.graph().steps[0].kind == "relu"


def test_an_op_must_state_its_shape_cost_and_memory():
    class Bare(Op):
        pass

    op = Bare()
    for what in ("infer", "macs", "record", "expression"):
        arguments = {"macs": ((), ()), "expression": ((), ()), "record": (None,)}.get(what, ())
        with pytest.raises(NotImplementedError, match=f"Bare.{what}"):
            getattr(op, what)(*arguments)
    assert (op.weights(), op.build(), op.foreign) == ((), None, None)
    assert (op.num_inputs, op.variadic, op.takes_unbatched, op.kernels) == (1, False, False, ())
    assert op.primary is None and op.op_name == "" and "" not in REGISTRY
    facts = ("is_activation", "drops", "passes_through", "gives_images", "gives_probabilities")
    facts += ("moves_axes", "blind_to_offsets", "squares", "any_rank")
    assert not any(getattr(op, fact) for fact in facts) and op.bias_axis is None
    assert op.call("self.a", ["x", "y"], []) == "self.a(x, y)"


def test_a_module_depends_on_ranks_unless_the_op_says_not():
    class Ranked(Op):
        pass

    class Free(Op):
        any_rank = True

    assert Ranked().module_key((N, 3), (N, 3, 4)) == (2, 3)
    assert Free().module_key((N, 3), (N, 3, 4)) == ()


def test_names_of_ops_are_taken_once_and_inherited_by_none():
    with pytest.raises(TypeError, match="op 'relu' is defined twice"):

        class Again(Op, name="relu"):
            pass

    class Child(REGISTRY["linear"]):  # type: ignore[misc]
        pass

    assert REGISTRY["linear"] is not Child and Child.primary == "out_features"
