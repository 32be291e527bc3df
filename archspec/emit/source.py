"""Graph → the source text of its `forward`, as a careful person would have written it.

```python
def forward(self, x):
    x1 = self.conv1(x)
    x1 = self.bn1(x1)
    x = x1 + x
    del x1
    return getattr(self, "3")(x)
```

Values live in variables `x`, `x1`, `x2`, … A variable takes the next value as soon as nobody reads
the old one, or is deleted there, so that a value is freed at its last use. The function's own
inputs are only ever rebound: their caller holds them until the call ends, so `del` frees nothing.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

from archspec.emit import namespace
from archspec.emit.checks import Check, check_lines
from archspec.emit.children import TAKEN, listed, member
from archspec.emit.following import Plan, with_numbers
from archspec.ir.computed import Computed, parts
from archspec.ir.graph import INPUT, Graph, Ref, Step, trained_only
from archspec.ir.op import Op
from archspec.ir.spelling import Sum, source_of
from archspec.sizes.size import known

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_TAKEN = frozenset(
    (*namespace.__all__, *("self", "observe", "getattr", "isinstance", "ValueError"))
)


class StepPart(Enum):
    """What a step is in the module: a child module, a tensor, or only an expression."""

    MODULE = auto()
    TENSOR = auto()
    BUFFER = auto()
    EXPRESSION = auto()


HELD = {
    StepPart.MODULE: "_modules",
    StepPart.TENSOR: "_parameters",
    StepPart.BUFFER: "_buffers",
}
"""Where torch's modules hold them; an expression is no child."""


def check_name(name: str) -> str:
    """The name, if it may stand in generated code. Raises ValueError otherwise.

    The language has checked it; this is the one place where text of a spec's author becomes code,
    so nothing is taken on trust.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a node, an input or an output")
    return name


def check_path(path: str) -> str:
    """As `check_name`, for a path of such names, with `[1]` for one of several outputs."""
    list(map(check_name, re.sub(r"\[[0-9]+\]\Z", "", path).split(".")))
    return path


def is_chain(graph: Graph, kinds: Sequence[StepPart], plan: Plan) -> bool:
    """Whether `nn.Sequential` computes the graph: modules alone, each reading the one before."""
    last = Ref(len(graph.steps) - 1)  # for no step at all it is the input: the identity
    return (
        len(graph.inputs) == 1
        and graph.outputs == (last,)
        and not graph.always_named
        and not plan.numbers
        and all(
            kind is StepPart.MODULE
            and "." not in step.name
            and step.name not in TAKEN
            and (step.op is None or type(step.op).call is Op.call)
            and step.inputs == (Ref(position - 1),)
            and len(step.outputs) == 1
            and step.shares is None
            and not step.idle
            and not step.training_only
            for position, (step, kind) in enumerate(zip(graph.steps, kinds, strict=True))
        )
    )


def owner(graph: Graph, step: Step) -> Step:
    """The step whose module `step` calls: itself, or the one it shares."""
    while step.shares is not None:
        step = graph.steps[step.shares]
    return step


def forward_source(
    graph: Graph,
    kinds: Sequence[StepPart],
    plan: Plan,
    *,
    observe: bool = False,
    checks: Sequence[Check] = (),
) -> str:
    """Source of the method `forward`; `kinds` says what each step is in the module.

    `plan` says how it gets the numbers that follow sizes, and `checks` what it refuses first.

    With `observe`, the code also calls `observe(step, value)` with each step's position and value
    (a tuple where it has several outputs), just after the step.
    """
    return _Writer(graph, kinds, plan, observe).write(checks)


class _Writer:
    def __init__(self, graph: Graph, kinds: Sequence[StepPart], plan: Plan, observe: bool) -> None:
        self.graph, self.kinds, self.plan, self.observe = graph, kinds, plan, observe
        self.lines: list[str] = []
        self.values: dict[Ref, str] = {}
        self.last_use = _last_uses(graph)
        self.lists = _lists(graph, kinds)
        self.arguments: frozenset[str] = frozenset()
        self.held: set[str] = set()  # arguments not yet rebound: the caller's, not ours to free
        self.free: list[int] = []
        self.variables = 0
        self.in_training = False
        self.after_training: list[str] = []
        self.made: list[str] = []  # the variables of numbers, those that it computes first
        self.given: list[str] = []  # and those that its caller gives

    def write(self, checks: Sequence[Check]) -> str:
        parameters = self._parameters()
        for line in check_lines(checks, parameters):
            self._line(line)
        parameters += self._sizes(parameters)
        for position, step in enumerate(self.graph.steps):
            if not step.idle:
                self._step(position, step)
        if not self.lines or not self.lines[-1].startswith("    return "):
            self._return()
        return "\n".join([f"def forward({', '.join(['self', *parameters])}):", *self.lines, ""])

    def _parameters(self) -> list[str]:
        """The arguments of `forward`; a single input without a name of its own is called `x`."""
        names = self.graph.input_names
        alone = len(self.graph.inputs) == 1 and names in ((), ("input",))
        variables = ["x"] if alone else _arguments(names)
        self.arguments = frozenset(variables)
        self.held.update(variables)
        if len(self.held) != len(self.graph.inputs):
            raise ValueError(f"inputs need names of their own, got {names}")
        self.values.update({Ref(INPUT, i): name for i, name in enumerate(variables)})
        return variables

    def _sizes(self, inputs: Sequence[str]) -> list[str]:
        """Computes the first numbers, and gives the arguments for others."""
        count = len(self.plan.made) + len(self.plan.arguments)
        names = (f"size{number}" if number else "size" for number in range(len(inputs) + count))
        free = [name for name in names if name not in self.arguments]
        self.made = free[: len(self.plan.made)]
        self.given = free[len(self.plan.made) : count]
        for name, sum_ in zip(self.made, self.plan.made, strict=True):
            self._line(f"{name} = {source_of(sum_, inputs)}")
        return [f"{name}: int" for name in self.given]

    def _numbers(self, position: int, read: Sequence[str]) -> dict[int, str]:
        """The source of each number that a step needs, by its position."""
        return {
            part: source_of(each, read)
            if isinstance(each, Sum)
            else (self.given if each.is_argument else self.made)[each.position]
            for part, each in self.plan.numbers.get(position, {}).items()
        }

    def _variable(self) -> str:
        if self.free:
            number = min(self.free)
            self.free.remove(number)
            return _spelled(number)
        while (spelled := _spelled(self.variables)) in self.arguments:
            self.variables += 1
        self.variables += 1
        return spelled

    def _step(self, position: int, step: Step) -> None:
        kind = self.kinds[position]
        name = check_path(owner(self.graph, step).name)
        own = member(name, self.lists, HELD[kind]) if kind in HELD else name
        is_value = kind in (StepPart.TENSOR, StepPart.BUFFER)
        is_value = is_value and step.op is not None and step.op.gives_own
        if is_value:
            self.values[Ref(position)] = own
            if not self.observe:
                return
        if step.training_only != self.in_training:
            self._switch(step.training_only)
        if is_value:
            self._line(f"observe({position}, {own})")
            return
        read = [self.values[ref] for ref in step.inputs]
        numbers = self._numbers(position, read)
        if step.op is None:
            call = f"{own}({', '.join([*read, *numbers.values()])})"
        else:
            op = _written(step.op, numbers)
            call = op.source(own, read, step.input_shapes)
        last = position == len(self.graph.steps) - 1
        plain_end = last and self.graph.outputs == (Ref(position),) and len(step.outputs) == 1
        plain_end = plain_end and not self.graph.always_named
        if plain_end and not step.training_only and not self.observe:
            self._line(f"return {call}")
        else:
            self._assign(position, step, call, last)

    def _assign(self, position: int, step: Step, call: str, last: bool) -> None:
        dying = self._dying(position, step)
        spare = sorted(dying)
        targets = []
        for output in range(len(step.outputs)):
            target = _spelled(spare.pop(0)) if spare else self._variable()
            self.values[Ref(position, output)] = target
            self.held.discard(target)
            targets.append(target)
        self._line(f"{', '.join(targets)} = {call}")
        if self.observe:
            value = targets[0] if len(targets) == 1 else f"({', '.join(targets)})"
            self._line(f"observe({position}, {value})")
        unread = [
            _number(target)
            for output, target in enumerate(targets)
            if Ref(position, output) not in self.last_use
        ]
        if not last:
            self._delete([*spare, *unread])

    def _dying(self, position: int, step: Step) -> list[int]:
        """Variables that hold values read here for the last time, free to be bound anew."""
        dying: dict[int, None] = {}
        for ref in step.inputs:
            variable = self.values[ref]
            if self.last_use[ref] != position or not _is_variable(variable):
                continue
            if self.in_training and not trained_only(self.graph, ref):
                # In eval() this line does not run, and the value must go all the same.
                if variable not in self.after_training:
                    self.after_training.append(variable)
            else:
                dying[_number(variable)] = None
        return list(dying)

    def _switch(self, training: bool) -> None:
        self.in_training = training
        if training:
            self.lines.append("    if self.training:")
        else:
            self._delete(map(_number, self.after_training))
            self.after_training.clear()

    def _delete(self, numbers: Iterable[int]) -> None:
        """Ends variables; those that still hold an argument are left as they are."""
        ordered = sorted(numbers)
        self.free += ordered
        gone = [name for name in map(_spelled, ordered) if name not in self.held]
        if gone:
            self._line(f"del {', '.join(gone)}")

    def _return(self) -> None:
        refs = self.graph.outputs
        fixed = [ref for ref in refs if not trained_only(self.graph, ref)]
        if len(fixed) == len(refs):
            self.in_training = False
            self._line(f"return {self._result(refs, refs)}")
            return
        if self.graph.output_names is not None and not fixed:
            raise ValueError("in eval() no output is left")
        if not self.in_training:
            self._switch(True)
        self._line(f"return {self._result(refs, refs)}")
        self.in_training = False
        self._line(f"return {self._result(refs, fixed)}")

    def _result(self, refs: Sequence[Ref], present: Sequence[Ref]) -> str:
        """What is returned where the outputs `present` exist.

        A lone output is a tensor. Named outputs are a dict of those that exist; the unnamed
        ones of a block are a tuple, None standing for those that do not.
        """
        names = self.graph.output_names
        alone = len(refs) == 1 or (names is not None and len(present) == 1)
        if alone and not self.graph.always_named:
            return self.values[present[0]] if present else "None"
        if names is None:
            shown = [self.values[ref] if ref in present else "None" for ref in refs]
            return ", ".join(shown)
        check = check_path if self.graph.always_named else check_name
        pairs = [
            f'"{check(name)}": {self.values[ref]}'
            for name, ref in zip(names, refs, strict=True)
            if ref in present
        ]
        return f"{{{', '.join(pairs)}}}"

    def _line(self, text: str) -> None:
        self.lines.append(("        " if self.in_training else "    ") + text)


def _written(op: Op, sources: Mapping[int, str]) -> Op:
    """The op as its source shows it: with numbers that code computes at these positions."""
    every = dict(enumerate(parts(vars(op)))) if sources else {}
    return with_numbers(op, {i: Computed(known(every[i]), text) for i, text in sources.items()})


def _lists(graph: Graph, kinds: Sequence[StepPart]) -> frozenset[str]:
    """The holders of children that are lists."""
    own = [(s.name, kind) for s, kind in zip(graph.steps, kinds, strict=True) if s.shares is None]
    return listed({name: kind is StepPart.MODULE for name, kind in own if kind in HELD})


def _last_uses(graph: Graph) -> dict[Ref, int]:
    """Position of the last step that reads each value; outputs are read after all steps."""
    last = {ref: position for position, step in enumerate(graph.steps) for ref in step.inputs}
    return last | dict.fromkeys(graph.outputs, len(graph.steps))


def _arguments(names: Sequence[str]) -> list[str]:
    """The names of the inputs as Python variables; two that would be spelled alike differ."""
    spelled = list(map(_argument, names))
    taken = {own for own, name in zip(spelled, names, strict=True) if own == name}
    for position, name in enumerate(names):
        if spelled[position] != name:
            while spelled[position] in taken:
                spelled[position] += "_"
            taken.add(spelled[position])
    return spelled


def _argument(name: str) -> str:
    """The name of an input as a Python variable."""
    spelled = check_name(name).replace("-", "_")
    if not spelled.isidentifier() or keyword.iskeyword(spelled) or spelled.startswith("__"):
        return f"input_{spelled}"
    return f"{spelled}_" if spelled in _TAKEN else spelled


def _spelled(number: int) -> str:
    return f"x{number}" if number else "x"


def _is_variable(text: str) -> bool:
    """Whether it is spelled as `_spelled` does: an argument `x0` or `x01` is not."""
    return re.fullmatch("x(?:[1-9][0-9]*)?", text) is not None


def _number(variable: str) -> int:
    return int(variable[1:] or 0)
