"""Files while they are read, and their blocks; the library's blocks, read when first named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from os.path import dirname, join

from archspec.diagnostics.diagnostic import (
    Code,
    Diagnostic,
    Refusal,
    Source,
    Span,
    SpecError,
)
from archspec.document import parameters, plugins, wording
from archspec.document.forms import FIXED
from archspec.document.node_keys import NODE_KEYS
from archspec.document.nodes import NodeParser
from archspec.document.records import Block, Inputs, Output, Parameter
from archspec.document.reporting import Reporter
from archspec.document.schema_words import IDENTIFIER, Schema, ref
from archspec.document.validate import Ops
from archspec.expressions.evaluate import Budget
from archspec.expressions.names import check_identifier, check_input_name
from archspec.ir.op import REGISTRY
from archspec.text import files
from archspec.text.limits import Limits
from archspec.text.values import Items, Mapping, Scalar, Value, kind, read, shorten

BLOCK_KEYS: dict[str, Schema] = {
    "doc": {"type": "string"},
    "params": {
        "type": "object",
        "propertyNames": {"pattern": IDENTIFIER},
        "description": "name: default, or a required parameter as name: int, float, bool, "
        "str, list or layers.",
    },
    "inputs": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    "layers": ref("nodes"),
    "outputs": ref("outputs"),
}
"""The keys of a block, and what may stand there."""


class Reader:
    """Reads the files of one compilation; library blocks are kept for the whole process."""

    def __init__(self, limits: Limits, root: str | None, anywhere: bool = False) -> None:
        self.limits, self.root, self.anywhere = limits, root, anywhere
        self.opened = 0
        self.ops = Ops(Budget(limits))

    def inside(self, path: str) -> str:
        """The path, resolved. Raises `Refusal` where the text may not read it."""
        return files.inside(path, self.root, self.anywhere)

    def open(self, path: str, library: bool = False) -> Source:
        """A file's text. Raises `Refusal`."""
        self.opened += 1
        self.limits.check("files", self.opened, "the number of files")
        shown = files.shown(path)
        return files.read_text(self.inside(path), self.limits, shown, library)


class File(Reporter):
    """One file while it is read: what its nodes may name.

    `keys` are those of the whole file, to recognise one that stands in a node by mistake.
    """

    def __init__(
        self,
        source: Source,
        folder: str | None,
        reader: Reader,
        diagnostics: list[Diagnostic],
        *,
        in_library: bool = False,
        keys: tuple[str, ...] = (),
    ) -> None:
        self.source, self.folder, self.reader = source, folder, reader
        self.diagnostics, self.in_library, self.keys = diagnostics, in_library, keys
        self.blocks: dict[str, Block] = {}
        self.used: list[File] = []
        # Blocks whose parameters are not read yet: a call that stands before one reads them first.
        self.undeclared: dict[str, Block] = {}
        # Set while only the names of blocks are needed, and not their parameters.
        self.foreseeing = False
        # For each block, the scope in which its body is read: it holds the parameters.
        self.parsers: dict[str, NodeParser] = {}
        # Names of blocks that were refused. A call of one is not reported again.
        self.broken: set[str] = set()
        # Names of the spec's own parameters, which its blocks do not see.
        self.params: frozenset[str] = frozenset()
        # Set where a file of blocks could not be read: an unknown name may be one of its blocks.
        self.lost = False

    @property
    def stem(self) -> str:
        """The name of a network whose text gives none."""
        name = self.source.name
        return files.stem(name) if name.endswith(files.SUFFIX) else "network"

    def find(self, name: str) -> Block | None:
        """A block by name: the file's own, then those of `use:`, then the standard ones.

        An op goes before a standard block; it hides none that the file brings itself.
        """
        if name in self.blocks:
            if name in self.undeclared and not self.foreseeing:
                _declare(self, self.undeclared[name])
            return self.blocks[name]
        for other in self.used:
            if name in other.blocks:
                return other.blocks[name]
        return None if name in REGISTRY else library_block(name)

    def known_blocks(self) -> Iterable[str]:
        names = {*self.blocks, *files.library_blocks()}
        for other in self.used:
            names.update(other.blocks)
        return names

    def parser(self, params: dict[str, Parameter] | None) -> NodeParser:
        reader = self.reader
        blocks = (self.find, self.known_blocks)
        parser = NodeParser(self.diagnostics, reader.limits, params, *blocks, set(), reader.ops)
        parser.broken, parser.lost, parser.file_keys = self.broken, self.lost, self.keys
        return parser

    def check_keys(self, value: Mapping, known: tuple[str, ...], what: str) -> None:
        """Reports unknown keys. One that is a slip of a known key is then read as that one."""
        for text in [text for text in value.entries if text not in known]:
            key, item = value.entries[text]
            near = wording.near_key(text, known, key.span, value.entries)
            if not near.edits and "layers" in known:
                near = near._replace(text=_moved(text, item, known) or near.text)
            self.report(
                Code.UNKNOWN_KEY,
                f"{shorten(text)!r} is not a key of {what}",
                key.span,
                expected=f"one of {', '.join(known)}",
                help=near,
            )
            for edit in near.edits:
                value.entries[edit.replacement] = value.entries.pop(text)

    def text(self, value: Value | None, what: str) -> str:
        """A plain text value, or the empty text (reported) for anything else."""
        if value is None:
            return ""
        if isinstance(value, Scalar) and value.value is not None:
            return value.text
        self.report(Code.STRUCTURE, f"`{what}` must be text, not {kind(value)}", value.span)
        return ""


def _are_numbers(value: Items) -> bool:
    """Whether it lists numbers, as sizes are, and no nodes."""
    return any(isinstance(item, Scalar) and type(item.value) is int for item in value)


def _moved(key: str, value: Value, known: Collection[str]) -> str | None:
    """The help for a part of a network under a key of its own."""
    if isinstance(value, Items) and not _are_numbers(value):
        return (
            f"move its nodes into `layers:`; a part with a name is `- {{name: {key}, layers: […]}}`"
        )
    if isinstance(value, Mapping) and any(word in known for word in value.entries):
        return "move what stands below it to the left: these are keys of the file itself"
    return None


# --- the library ---------------------------------------------------------------------------------

_LIBRARY: dict[str, Block] = {}


def library_block(name: str) -> Block | None:
    """A standard block (or one that an installed package brings), read when first named."""
    if name in _LIBRARY:
        return _LIBRARY[name]
    if name in files.library_blocks():
        path = join(files.BLOCKS, name + files.SUFFIX)
    else:
        found = plugins.block(name) if name.isidentifier() else None
        if found is None:
            return None
        path = found
    limits = Limits()
    reader = Reader(limits, None, anywhere=True)
    file = File(reader.open(path, library=True), dirname(path), reader, [], in_library=True)
    value = read(file.source, limits)
    assert isinstance(value, Mapping), path
    block = Block(name, value.span, value, True)
    _LIBRARY[name] = block  # before its body: a block that names itself must be found
    fill_block(file, block)
    if file.diagnostics:
        del _LIBRARY[name]
        raise SpecError(file.diagnostics)
    return block


# --- blocks --------------------------------------------------------------------------------------


def declare_blocks(file: File, value: Value | None) -> None:
    """The blocks of a `blocks:` mapping: first their names, so that bodies may name each other."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        file.report(
            Code.STRUCTURE,
            f"`blocks` must be a mapping, not {kind(value)}",
            value.span,
            expected="block name: {params: …, layers: …}",
        )
        return
    for name, key, body in value.items():
        if not isinstance(body, Mapping):
            file.broken.add(name)
            file.report(
                Code.STRUCTURE,
                f"the block {shorten(name)!r} must be a mapping, not {kind(body)}",
                body.span if not (isinstance(body, Scalar) and body.is_absent) else key.span,
                expected="a mapping with `layers:`",
                help=f"write `{name}: {{layers: […]}}`" if isinstance(body, Items) else None,
            )
            continue
        try:
            check_identifier(name, "a block")
            if name in FIXED or (name in REGISTRY and not REGISTRY[name].since):
                raise Refusal(
                    f"{name!r} is a primitive op and cannot name a block",
                    code=Code.NAME,
                    help=f"call it my_{name}",
                )
            if name in NODE_KEYS:
                raise Refusal(
                    f"{name!r} is a key of nodes and cannot name a block",
                    code=Code.NAME,
                    help=f"call it my_{name}",
                )
        except Refusal as refusal:
            if signature := _SIGNATURE.fullmatch(name):
                refusal = refusal.but(help=_declared(*signature.groups()))
                file.broken.add(signature[1])
            file.diagnostics.append(Diagnostic.of(refusal, key.span))
            file.broken.add(name)
            continue
        file.blocks[name] = Block(name, key.span, body, file.in_library)
        if name in REGISTRY:
            _warn_hidden(file, name, key.span)
    file.undeclared = dict(file.blocks)
    for block in file.blocks.values():
        fill_block(file, block)


def _warn_hidden(file: File, name: str, at: Span) -> None:
    file.report(
        Code.HIDDEN_OP,
        f"the block {name!r} hides the op of that name, which came with archspec "
        f"{REGISTRY[name].since}",
        at,
        severity="warning",
        help=f"call it my_{name}, and both can be used",
    )


_SIGNATURE = re.compile(r"(\w+)\s*\(([\w\s,]*)\)")


def _declared(name: str, params: str) -> str:
    """The help for a block that is written as Python defines a function."""
    declared = ", ".join(f"{each.strip()}: int" for each in params.split(",") if each.strip())
    return f"declare its parameters: `{name}: {{params: {{{declared}}}, layers: […]}}`"


def _declare(file: File, block: Block) -> None:
    """What a call of a block must know of it: its parameters and inputs."""
    file.undeclared.pop(block.name, None)
    raw, what = block.raw, f"the block {block.name!r}"
    file.check_keys(raw, tuple(BLOCK_KEYS), what)
    block.doc = file.text(raw.get("doc"), "doc")
    block.inputs = _block_inputs(file, raw.get("inputs"))
    parser = file.parser({})
    parser.hidden, parser.around = file.params, raw.get("layers")
    parser.rest = block.inputs.rest
    # A default may call this very block, and needs its names.
    file.foreseeing = True
    block.params = parameters.foreseen(parser, raw.get("params"))
    file.foreseeing = False
    block.params = parameters.declare(parser, raw.get("params"), what)
    file.parsers[block.name] = parser


def fill_block(file: File, block: Block) -> None:
    """A block's parameters, inputs, body and outputs."""
    if block.name not in file.parsers:
        _declare(file, block)
    raw, what, parser = block.raw, f"the block {block.name!r}", file.parsers[block.name]
    layers = raw.get("layers")
    if layers is None:
        file.report(
            Code.MISSING_KEY, f"{what} has no `layers`", block.span, expected="a list of nodes"
        )
        return
    block.body = parser.nodes(layers)
    block.outputs = read_outputs(parser, raw.get("outputs"))
    warn_unused(file, parser.reads, block.params, what)


REST = "..."
"""Behind the name of a block's last input: it takes all values that are left, or none."""


def _block_inputs(file: File, value: Value | None) -> Inputs:
    if value is None:
        return Inputs(("input",))
    names: list[str] = []
    rest: str | None = None
    if isinstance(value, Items) and value.items:
        for item in value:
            text = file.text(item, "inputs")
            name = text.removesuffix(REST).rstrip()
            try:
                if rest is not None:
                    raise Refusal(
                        f"`{rest}{REST}` takes all values that are left, and {name!r} follows it",
                        code=Code.STRUCTURE,
                        help=f"put `{rest}{REST}` last",
                    )
                check_input_name(name)
                if name in names:
                    raise Refusal(f"the input {name!r} stands twice", code=Code.DUPLICATE_NAME)
                _check_input_order(name, names)
            except Refusal as refusal:
                file.diagnostics.append(Diagnostic.of(refusal, item.span))
            names.append(name)
            rest = name if text.endswith(REST) else rest
        return Inputs(tuple(names[:-1] if rest else names), rest)
    file.report(
        Code.STRUCTURE,
        f"`inputs` of a block must be a list of names, not {kind(value)}",
        value.span,
        expected="[x, skip]",
    )
    return Inputs(("input",))


def _check_input_order(name: str, before: Collection[str]) -> None:
    """Raises `Refusal` for an input called `input` that is not the first."""
    if name == "input" and before:
        raise Refusal(
            "`input` means the first input everywhere, and this is another one",
            code=Code.NAME,
            expected="`input` as the first of them",
            help="give it a name of its own, or put it first",
        )


def read_outputs(parser: NodeParser, value: Value | None) -> tuple[Output, ...] | None:
    """The `outputs:` of a block or spec; None where it has none."""
    if value is None:
        return None
    found: list[Output] = []
    if isinstance(value, Mapping):
        for name, key, item in value.items():
            with parser.reporting(key.span):
                check_identifier(name, "an output")
            references = parser.references(item, name)
            if isinstance(item, Items):
                parser.report(
                    Code.OUTPUTS,
                    f"the output {name!r} is one value, not a list",
                    item.span,
                    help="give each output a name of its own",
                )
            found.extend(Output(name, ref) for ref in references)
    else:
        found = [Output(None, ref) for ref in parser.references(value, "outputs")]
    if not found:
        parser.report(Code.OUTPUTS, "`outputs` names no node", value.span)
    return tuple(found)


def warn_unused(
    file: File, reads: Collection[str], params: dict[str, Parameter], what: str
) -> None:
    """Warn of each parameter that is not among the names that are read."""
    for parameter in params.values():
        if parameter.name not in reads:
            file.report(
                Code.UNUSED_PARAMETER,
                f"nothing in {what} uses the parameter {parameter.name!r}",
                parameter.span,
                severity="warning",
                help="remove it, or use it",
            )
