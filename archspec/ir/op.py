"""What an op is: one class that holds everything archspec knows about it. The registry lists all.

An op declares its arguments as fields (torch's own names and defaults), its shape rule, what it
owns, what it costs, how its module is made and examples that feed the documentation and the
contract test. Nothing else in archspec knows an op by name.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeAlias,
    dataclass_transform,
)

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.computed import is_computed, parts
from archspec.ir.fields import ArgumentsError, Bounds, Field, Problem, fields_of, taken
from archspec.ir.registry import Registry
from archspec.ir.shape import Dim, Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import BOOL, FLOAT, FLOATS, NUMBERS, ValueType, promoted
from archspec.record import Record

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor
    from torch import nn

MAX_SIZE = 2**31 - 1
"""The largest size, stride or count that an argument may state."""
MAX_FLOAT = 3.4028234663852886e38
"""The largest float32 number: everything is computed in float32."""

PositiveInt: TypeAlias = Annotated[int, Bounds(gt=0, le=MAX_SIZE)]
NonNegativeInt: TypeAlias = Annotated[int, Bounds(ge=0, le=MAX_SIZE)]
Probability: TypeAlias = Annotated[float, Bounds(ge=0, le=1)]
Float: TypeAlias = Annotated[float, Bounds(ge=-MAX_FLOAT, le=MAX_FLOAT)]
NonNegativeFloat: TypeAlias = Annotated[float, Bounds(ge=0, le=MAX_FLOAT)]
PositiveFloat: TypeAlias = Annotated[float, Bounds(gt=0, le=MAX_FLOAT)]


class Weight(Record):
    """A tensor that an op owns: a parameter, or a buffer.

    `name` is its key below the node's path; the empty name means the path itself. Floats have the
    network's precision.
    """

    name: str
    shape: tuple[Dim, ...]
    buffer: bool = False
    type: ValueType = FLOAT
    trainable: bool = True


Weights: TypeAlias = tuple[Weight, ...]


class Made(Record):
    """The call that makes an op's module: the path of what is called, and its arguments.

    What is called is a class of modules, or a function that gives a buffer.
    """

    path: str
    arguments: Mapping[str, Any] = MappingProxyType({})
    positional: Sequence[Any] = ()


class Doubt(Record):
    """Why a call that would run is probably a mistake, and what to do instead."""

    message: str
    help: str


class Example(Record):
    """Arguments and input shapes with which the op is documented and its contract tested.

    Shapes are written with "N" for the batch: `inputs=[("N", 3, 8, 8)]`. Without `types` the inputs
    are floats.
    """

    args: Mapping[str, Any] = MappingProxyType({})
    inputs: Sequence[tuple[Any, ...]] = ()
    types: Sequence[ValueType] = ()

    @property
    def input_types(self) -> tuple[ValueType, ...]:
        """The type of each input."""
        return tuple(self.types) or (FLOAT,) * len(self.inputs)


REGISTRY: Registry[type[Op]] = Registry()
"""Every op by its name in a spec. A subclass of `Op` with a `name` enters itself."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Op:
    """Base of all primitive ops. Instances are immutable and hold validated arguments.

    Subclass with `class Conv2d(Op, name="conv2d")`; without a name it is a family's base. Its
    annotations, but those that are `ClassVar`, declare the arguments, which are given by name:
    strict types, no unknown names, finite numbers.

    A class has the name of torch's module, with `Op` at the end where archspec has another class
    of that name.

    Class facts: `primary` is the argument that may stand alone (`linear: 10`); `variadic` ops read
    two or more inputs, written as their primary argument (`add: [a, b]`); `num_inputs` counts the
    inputs of all others, the last `optional_inputs` of which may be left out, and `input_names`
    names them where `from` may give them by name; `takes_unbatched` ops also read learned tensors,
    which have no batch axis; `takes` names the types of values that it reads; `module` is the path
    of the class that `build` calls; `kernels` names the weights that a network-wide `init:` scheme
    fills; the module of an `any_rank` op is the same for inputs of every rank. Where the arguments
    of an op that `follows` are sizes of values, generated code computes them when it runs: in its
    `expression` or `call`, or by calling the `function` that does what its module would. An op that
    `gives_several` may give another number of outputs than one. `sized_like` is the argument for
    sizes of the axes after the channels, in whose place a spec may name a value that has them with
    `like`. `since` is the version of archspec that an op came with, where files that are older may
    have a block of its name, which hides it there.

    Facts that warnings ask for: `is_activation` ops apply a fixed function to each element; `drops`
    ops zero elements at random in training; `passes_through` ops return their input; outputs of
    ops that `gives_images` are channels of pixels, and `moves_axes` ops give another meaning to the
    axes; those of ops that `gives_probabilities` add up to 1; the argument `bias` of an op adds a
    learned number along `bias_axis`; ops that are `blind_to_offsets` subtract means over each index
    of axis 1, so that such a bias before them changes nothing; merges that `squares` say what is
    meant where they read one value twice. Axis `output_dim` of its weights counts outputs.
    `own_weights` is for ops that can have no weight computed of others, as `parametrize` does.
    An op that `names_its_inputs` takes any names that `from` gives, and is told them by `reading`.
    """

    op_name: ClassVar[str] = ""
    primary: ClassVar[str | None] = None
    variadic: ClassVar[bool] = False
    num_inputs: ClassVar[int] = 1
    input_names: ClassVar[tuple[str, ...]] = ()
    optional_inputs: ClassVar[int] = 0
    takes: ClassVar[frozenset[str]] = FLOATS
    takes_unbatched: ClassVar[bool] = False
    gives_several: ClassVar[bool] = False
    since: ClassVar[str] = ""
    sized_like: ClassVar[str | None] = None
    module: ClassVar[str | None] = None
    kernels: ClassVar[tuple[str, ...]] = ()
    any_rank: ClassVar[bool] = False
    follows: ClassVar[bool] = False
    function: ClassVar[str | None] = None
    is_activation: ClassVar[bool] = False
    drops: ClassVar[bool] = False
    passes_through: ClassVar[bool] = False
    gives_images: ClassVar[bool] = False
    gives_probabilities: ClassVar[bool] = False
    moves_axes: ClassVar[bool] = False
    bias_axis: ClassVar[int | None] = None
    blind_to_offsets: ClassVar[bool] = False
    squares: ClassVar[bool] = False
    output_dim: ClassVar[int] = 0
    own_weights: ClassVar[bool] = False
    names_its_inputs: ClassVar[bool] = False
    examples: ClassVar[tuple[Example, ...]] = ()

    def __init_subclass__(
        cls, *, name: str | None = None, primary: str | None = None, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if primary is not None:
            cls.primary = primary
        if name is not None:
            if REGISTRY.is_taken(name, cls.__module__):
                raise TypeError(f"op {name!r} is defined twice: {REGISTRY[name]} and {cls}")
            cls.op_name = name
            REGISTRY[name] = cls

    def __init__(self, **given: Any) -> None:
        """Raises `ArgumentsError` that lists all mistakes."""
        self.__dict__.update(taken(type(self), given))
        if problems := tuple(self.problems(given)):
            raise ArgumentsError(problems)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        said = ", ".join(f"{key}={value!r}" for key, value in self.arguments().items())
        return f"{type(self).__name__}({said})"

    def changed(self, arguments: Mapping[str, Any]) -> Self:
        """A copy with these values for all arguments. They must be known to fit."""
        made = object.__new__(type(self))
        made.__dict__.update(arguments)
        return made

    @classmethod
    def fields(cls) -> Mapping[str, Field]:
        """The op's arguments in declared order."""
        return fields_of(cls)

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        """Mistakes in values that fit their types. `given` are the arguments that were written."""
        return iter(())

    @classmethod
    def instead(cls, argument: str, word: str, given: Mapping[str, Any]) -> str | None:
        """What to write instead of a word of another library; None for any other word.

        `given` holds the arguments whose values are written out.
        """
        return None

    @property
    def arity(self) -> int | None:
        """How many inputs the op reads; None for two or more."""
        return None if self.variadic else self.num_inputs

    @classmethod
    def names_of(cls, inputs: Sequence[Shape]) -> Sequence[str]:
        """The `input_names` under which the op reads values of these shapes, in their order."""
        return cls.input_names[: len(inputs)]

    @property
    def gives_own(self) -> bool:
        """Whether the op's value is the tensor that it builds, so that no code computes it."""
        return self.arity == 0

    @property
    def keyless(self) -> bool:
        """Whether the tensor that it builds has no key in the state dict."""
        return False

    def own_inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """The inputs that the op reads, without those that replace its weights."""
        return inputs

    @property
    def foreign(self) -> str | None:
        """The path of foreign code that the op runs. It must be allowed before `infer`."""
        return None

    @property
    def given_names(self) -> tuple[str, ...]:
        """The names by which it reads all its inputs; none where it reads them by position."""
        return ()

    def reading(self, types: Sequence[ValueType], names: Sequence[str]) -> Op:
        """The op for inputs of these types, given by these names or by position.

        It is asked of an op that is `foreign`, whose figures depend on them.
        """
        return self

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        """The output's shape, or a list of them for an op with several outputs.

        Raises `Refusal`, without place, where torch would fail.
        """
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def result_type(self, *types: ValueType) -> ValueType | list[ValueType]:
        """The type of the outputs, or a list of types, for input types that the op takes.

        Raises `Refusal`, without place, where torch would fail. An op without inputs makes floats.
        """
        if len(types) == 1:
            return types[0]
        return promoted(types) if types else FLOAT

    def output_types(
        self, inputs: Sequence[Shape], types: Sequence[ValueType]
    ) -> ValueType | list[ValueType]:
        """Like `result_type`, for inputs of these shapes: they may bound the integers it returns.

        Raises `Refusal` where integers that it reads may index past what there is.
        """
        return self.result_type(*types)

    def help_for_type(self, given: ValueType) -> str | None:
        """The help where the op is given a value of a type that it does not take."""
        if given == BOOL and self.takes >= NUMBERS:
            return "put `to: float` or `to: int64` before it"
        return "put `to: float` before it" if "float" in self.takes else None

    def doubt(self, *inputs: Shape) -> Doubt | None:
        """The warning for inputs of these shapes that the op accepts but that are of no use.

        A normalisation of a single value, say, gives the same for any input.
        """
        return None

    def doubt_of_image(self, *inputs: Shape) -> Doubt | None:
        """What is strange about the op where its input is an image: channels of pixels."""
        return None

    def of_one_value(self, count: int, kind: ValueType) -> str | None:
        """For a merge that reads one value `count` times: a node with the same result, if any."""
        return None

    def weights(self, *inputs: Shape) -> Weights:
        """The parameters and buffers that the op owns, in the order of its state dict."""
        return ()

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        """Multiply-accumulates of its convolutions and matrix products, for one sample.

        Work on learned tensors alone is done once for a whole batch, and counts once. Every op
        states its cost, even 0, so that a forgotten one is noticed. None: it is not known.
        """
        raise NotImplementedError(f"{type(self).__name__}.macs")

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        """Replays the op on the tape: what it outputs and allocates, and what autograd saves."""
        raise NotImplementedError(f"{type(self).__name__}.record")

    def build(self, *inputs: Shape) -> nn.Module | TorchTensor | None:
        """The op's module, initialised by torch; None where `expression` is enough.

        An op that owns a single tensor under its own path returns that tensor: an `nn.Parameter` is
        learned, any other becomes a buffer. With `gives_own` the tensor is the op's value.

        By default it makes the call that `made` describes.
        """
        call = self.made(*inputs)
        if call is None:
            return None
        from importlib import import_module

        package, _, name = call.path.rpartition(".")
        function = getattr(import_module(package), name)
        made: nn.Module | TorchTensor = function(*call.positional, **call.arguments)
        return made

    def made(self, *inputs: Shape) -> Made | None:
        """The call that makes the op's module; None where there is none, or no single one.

        By default it is that of the class at `module_path`, with all arguments and those
        `inferred`.
        """
        path = self.module_path(*inputs)
        return None if path is None else Made(path, {**self.inferred(*inputs), **vars(self)})

    def tensor_source(self) -> str | None:
        """Python source of the tensor that `build` returns, where no single call makes it."""
        return None

    def module_path(self, *inputs: Shape) -> str | None:
        """The path of the module's class: `module`, unless the inputs decide it."""
        return self.module

    def inferred(self, *inputs: Shape) -> Mapping[str, Any]:
        """More arguments for the module's class, such as `in_channels`, from the input shapes."""
        return {}

    def module_key(self, *inputs: Shape) -> Hashable:
        """What the module depends on in its inputs, beside its weights: `share` needs it equal.

        By default these are the ranks of the inputs, or nothing for an `any_rank` op.
        """
        return () if self.any_rank else tuple(map(len, inputs))

    def source(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        """Python source that applies the op: a `call` if it builds something, or an `expression`.

        Where code computes an argument, the op's `function` is called instead of its module.
        """
        if self.function is not None and any(map(is_computed, parts(vars(self)))):
            return self.functional(values)
        if type(self).expression is Op.expression:
            return self.call(own, values, inputs)
        return self.expression(values, inputs)

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        """Python source that applies what `build` returned, held in the variable `own`.

        Define it where that is more than a call with `values`. The rules of `expression` hold.
        """
        return f"{own}({', '.join(values)})"

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        """Python source over the variables `values`. Only an op that builds nothing defines it.

        May use `torch`, the values and literals made of validated numbers; never a user's text.
        """
        raise NotImplementedError(f"{type(self).__name__}.expression")

    def with_weights(
        self, values: Sequence[str], weights: Mapping[str, str], inputs: Sequence[Shape]
    ) -> str:
        """Python source that applies the op with tensors in place of some of its weights.

        `weights` are the variables of all weights, by name. An op that does not define this raises
        `Refusal`.
        """
        raise Refusal(
            f"{self.op_name} takes no other tensors in the place of its weights",
            code=Code.STRUCTURE,
            expected="an op that does, such as linear, conv2d, embedding or layer_norm",
            help="a parameter of another node may stand there: `weights: {weight: other.weight}`",
        )

    def functional(self, values: Sequence[str]) -> str:
        """Python source that calls the op's `function`."""
        defaults = {key: field.default for key, field in self.fields().items()}
        arguments = [
            f"{key}={value!r}"
            for key, value in vars(self).items()
            if value != defaults[key] or any(map(is_computed, parts(value)))
        ]
        return f"{self.function}({', '.join([*values, *arguments])})"

    def arguments(self) -> dict[str, Any]:
        """The arguments that differ from their defaults, in declared order."""
        return {
            key: value
            for key, field in self.fields().items()
            if (value := getattr(self, key)) != field.default
        }


class ProductFree(Op):
    """Base of ops without matrix products, which cost no multiply-accumulates."""

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        return 0


class ShapeKeeping(ProductFree):
    """Base of ops without products whose output has the shape of their one input."""

    def infer(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return x
