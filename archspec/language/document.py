"""Values to the checked document: specs, what they extend, the files of blocks they use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from archspec.errors import Code, Diagnostic, Refusal, Source, Span, SpecError, mended
from archspec.language import files, ignores, parameters
from archspec.language.arguments import LocatedError
from archspec.language.blocks import (
    File,
    Reader,
    declare_blocks,
    read_outputs,
    warn_unused,
)
from archspec.language.model import Node, Parameter, PatchItem, Spec
from archspec.language.names import MODULE_ATTRIBUTES, check_identifier, check_node_name
from archspec.language.nodes import NodeParser
from archspec.language.source import Items, Mapping, Scalar, Value, kind, read, shorten

VERSION = 1
SPEC_KEYS = (
    "archspec",
    "name",
    "doc",
    "input",
    "inputs",
    "params",
    "layers",
    "blocks",
    "use",
    "extends",
    "patch",
    "outputs",
    "init",
    "train",
    "ignore",
)
BLOCK_FILE_KEYS = ("archspec", "doc", "blocks", "use")
PATCH_ACTIONS = ("replace", "insert_before", "insert_after", "remove")
IMPORTED = ("torch", "observe")
"""Names that generated code reads, and that no argument of `forward` may hide."""
INIT_SCHEMES = (
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "trunc_normal",
)
"""Schemes of `init:`, by the names of torch.nn.init."""
TRAIN_KEYS = (
    *("dataset", "resize", "augment", "normalize", "validation", "limit_train", "limit_test"),
    *("epochs", "batch_size", "accumulate", "optimizer", "lr", "momentum", "nesterov", "betas"),
    *("eps", "weight_decay", "decay_all", "schedule", "warmup", "step_epochs", "gamma"),
    *("final_lr", "label_smoothing", "loss_weights", "clip_norm", "init", "ema", "patience"),
    *("seed", "deterministic", "device", "precision", "memory_format", "threads", "compile"),
    *("resident", "sync_batch_norm", "fsdp", "log_every", "save_every"),
)
"""Fields of the trainer's recipe, which is too slow to import for a spec without mistakes."""
NORMALIZE_KEYS = ("mean", "std")
"""Fields of its `normalize`."""


# --- specs ---------------------------------------------------------------------------------------


def read_spec(
    source: Source,
    folder: Path | None,
    reader: Reader,
    diagnostics: list[Diagnostic],
    chain: tuple[Path, ...] = (),
) -> Spec:
    """The spec of a text, with the chain of those it extends. Reports into `diagnostics`.

    Raises `SpecError` only where the text is no mapping at all.
    """
    value = read(source, reader.limits)
    if not isinstance(value, Mapping):
        raise SpecError(
            [
                Diagnostic(
                    Code.STRUCTURE,
                    f"a spec is a mapping, not {kind(value)}",
                    value.span,
                    expected="a mapping with at least `input:` and `layers:`",
                )
            ]
        )
    file = File(source, folder, reader, diagnostics)
    file.check_keys(value, SPEC_KEYS, "a spec")
    _check_version(file, value.get("archspec"))
    _use(file, value.get("use"))
    base = _base(file, value.get("extends"), chain)
    params = value.get("params")
    file.params = frozenset(params.entries) if isinstance(params, Mapping) else frozenset()
    declare_blocks(file, value.get("blocks"))
    parser = file.parser({})
    overrides: dict[str, Parameter] = {}
    lost = base is None and "extends" in value.entries
    if base is None and not lost:
        declared = parameters.declare(parser, params, "the spec")
        body = _body(file, parser, value)
    else:
        declared, body = {}, None
    if base is not None:
        _refuse_layers(file, value)
        parser.params = None
        overrides = _overrides(file, params, base, parser.reads)
    outputs = read_outputs(parser, value.get("outputs"))
    for key in ("input", "inputs"):
        if (sizes := value.get(key)) is not None:
            parser.note_reads(sizes)
    start = Span(source, value.span.line, value.span.column, value.span.line, value.span.column + 1)
    spec = Spec(
        name=file.text(value.get("name"), "name") or _stem(source),
        doc=file.text(value.get("doc"), "doc"),
        span=start,
        inputs=_inputs(file, value, base is None and not lost, start),
        params=declared,
        body=body,
        outputs=outputs,
        init=_init(file, value.get("init")),
        train=_train(file, value.get("train")),
        ignore=_ignored(file, value.get("ignore")),
        base=base,
        overrides=overrides,
        patch=() if lost else _patch(file, value.get("patch"), base, parser.reads),
        parse_override=_override_parser(file),
        reads=parser.reads,
    )
    if not chain:  # the spec that was asked for: what it extends is read
        _warn_unused(file, spec)
    return spec


def _warn_unused(file: File, spec: Spec) -> None:
    """Warn of the parameters of the chain that no file of it uses."""
    reads: set[str] = set()
    each: Spec | None = spec
    while each is not None:
        reads |= each.reads
        each = each.base
    warn_unused(file, reads, root_of(spec).params, "the spec")


def root_of(spec: Spec) -> Spec:
    """The spec at the end of the `extends` chain, which has the layers."""
    while spec.base is not None:
        spec = spec.base
    return spec


def _stem(source: Source) -> str:
    return Path(source.name).stem if source.name.endswith(files.SUFFIX) else "network"


def _check_version(file: File, value: Value | None) -> None:
    if value is None or (isinstance(value, Scalar) and value.value == VERSION):
        return
    file.report(
        Code.VERSION,
        f"this archspec reads version {VERSION} of the language",
        value.span,
        expected=f"archspec: {VERSION}",
        found=kind(value),
    )


def _body(file: File, parser: NodeParser, value: Mapping) -> tuple[Node, ...]:
    layers = value.get("layers")
    if layers is None:
        file.report(
            Code.MISSING_KEY,
            "the spec has no `layers`",
            Span(*value.span[:3], value.span.line, value.span.column + 1),
            expected="a list of nodes, or `extends:`",
        )
        return ()
    if isinstance(layers, Items) and not layers.items:
        file.report(
            Code.STRUCTURE, "`layers` is empty", layers.span, expected="a list of one node or more"
        )
        return ()
    return parser.nodes(layers)


def _refuse_layers(file: File, value: Mapping) -> None:
    if "layers" in value.entries:
        file.report(
            Code.EXTENDS,
            "a spec that extends another has no `layers` of its own",
            value.key("layers").span,
            help="change the base with `params:` and `patch:`, or remove `extends:`",
        )


def _inputs(file: File, value: Mapping, required: bool, start: Span) -> dict[str, tuple[Any, Span]]:
    """Named inputs as compiled lists of sizes; empty where the base's are kept."""
    one, several = value.get("input"), value.get("inputs")
    if one is not None and several is not None:
        file.report(
            Code.STRUCTURE, "`input` and `inputs` exclude each other", value.key("inputs").span
        )
    if several is not None:
        if isinstance(several, Mapping) and several.entries:
            found = {}
            for name, key, item in several.items():
                try:
                    check_identifier(name, "an input")
                    if name not in MODULE_ATTRIBUTES:  # an argument of forward() hides none
                        check_node_name(name)
                    if name in IMPORTED or name.startswith("__"):
                        raise Refusal(
                            f"{name!r} means something else in the code of the network",
                            code=Code.NAME,
                            help=f"call it {name.strip('_')}_in",
                        )
                except Refusal as refusal:
                    file.diagnostics.append(Diagnostic.of(refusal, key.span))
                found[name] = (item, item.span)
            return found
        file.report(
            Code.STRUCTURE,
            f"`inputs` must be a mapping of names to sizes, not {kind(several)}",
            several.span,
            expected="{image: [3, 224, 224], meta: [16]}",
        )
        return {}
    if one is not None:
        return {"input": (one, one.span)}
    if required:
        file.report(
            Code.MISSING_KEY,
            "the spec has no `input`",
            start,
            expected="input: [channels, height, width]",
        )
    return {}


def _init(file: File, value: Value | None) -> str | None:
    if value is None:
        return None
    name = file.text(value, "init")
    if name and name not in INIT_SCHEMES:
        file.report(
            Code.ARGUMENT,
            f"{shorten(name)!r} is not an initialisation scheme",
            value.span,
            expected=f"one of {', '.join(INIT_SCHEMES)}",
            **mended(name, INIT_SCHEMES, value.span),
        )
    return name or None


def _train(file: File, value: Value | None) -> dict[str, Any]:
    """The default recipe as plain data; what its values may be, the trainer and `check` know.

    A key that it does not have is an error here.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        file.report(Code.STRUCTURE, f"`train` must be a mapping, not {kind(value)}", value.span)
        return {}
    _check_train_keys(file, value, TRAIN_KEYS, "a recipe has no")
    normalize = value.get("normalize")
    if isinstance(normalize, Mapping):
        _check_train_keys(file, normalize, NORMALIZE_KEYS, "`normalize` has no")
    return {key: _plain(item) for key, _, item in value.items()}


def _check_train_keys(file: File, value: Mapping, known: tuple[str, ...], what: str) -> None:
    for text, key, _ in value.items():
        if text not in known:
            near = mended(text, known, key.span, value.entries)
            near["help"] = near["help"] or f"it has {', '.join(known)}"
            file.report(Code.UNKNOWN_KEY, f"{what} {shorten(text)!r}", key.span, **near)


def _ignored(file: File, value: Value | None) -> tuple[str, ...]:
    """The warnings that `ignore:` silences for the whole file."""
    if value is None:
        return ()
    codes = []
    for item in value.items if isinstance(value, Items) else (value,):
        code = file.text(item, "ignore")
        try:
            codes.append(ignores.check_code(code))
        except Refusal as refusal:
            if code:
                file.diagnostics.append(Diagnostic.of(refusal, item.span))
    return tuple(codes)


def _plain(value: Value) -> Any:
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Items):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, _, item in value.items()}


# --- other files ---------------------------------------------------------------------------------


def _use(file: File, value: Value | None, chain: tuple[Path, ...] = ()) -> None:
    if value is None:
        return
    for item in value.items if isinstance(value, Items) else (value,):
        name = file.text(item, "use")
        if not name:
            continue
        try:
            path = (file.folder or Path()) / name
            resolved = file.reader.inside(path)
            if resolved in chain:
                raise Refusal(
                    f"{name!r} uses, in the end, itself",
                    code=Code.FILE,
                    found=" → ".join(p.name for p in (*chain, resolved)),
                    help="put blocks that need each other into one file",
                )
            source = file.reader.open(path)
        except Refusal as refusal:
            file.diagnostics.append(Diagnostic.of(refusal, item.span))
            file.lost = True
            continue
        other = File(source, path.parent, file.reader, file.diagnostics)
        body = read(source, file.reader.limits)
        if not isinstance(body, Mapping):
            file.report(
                Code.STRUCTURE, f"a file of blocks is a mapping, not {kind(body)}", body.span
            )
            continue
        if "layers" in body.entries:
            declare_blocks(other, _as_blocks(path.stem, body))
        else:
            other.check_keys(body, BLOCK_FILE_KEYS, "a file of blocks")
            _check_version(other, body.get("archspec"))
            _use(other, body.get("use"), (*chain, resolved))
            declare_blocks(other, body.get("blocks"))
        file.lost = file.lost or other.lost
        file.used.append(other)


def _as_blocks(name: str, body: Mapping) -> Mapping:
    """A file that is one block, as the `blocks:` mapping it stands for."""
    start = Span(*body.span[:3], body.span.line, body.span.column + 1)
    key = Scalar(name, name, True, start)
    return Mapping({name: (key, body)}, body.span, body.size, False)


def _base(file: File, value: Value | None, chain: tuple[Path, ...]) -> Spec | None:
    if value is None:
        return None
    name = file.text(value, "extends")
    if not isinstance(value, Scalar) or value.value is None:
        return None  # which `text` has reported
    try:
        path = files.find_spec(name, file.folder)
        resolved = file.reader.inside(path)
        if resolved in chain:
            raise Refusal(
                f"{name!r} extends, in the end, itself",
                code=Code.EXTENDS,
                found=" → ".join(p.name for p in (*chain, resolved)),
            )
        source = file.reader.open(path)
    except Refusal as refusal:
        file.diagnostics.append(Diagnostic.of(refusal, value.span))
        return None
    return read_spec(source, path.parent, file.reader, file.diagnostics, (*chain, resolved))


def _override_parser(file: File) -> Callable[[str, Value, bool], Parameter]:
    def parse(name: str, value: Value, layers: bool) -> Parameter:
        return parameters.given(file.parser({}), name, value, layers)

    return parse


def _overrides(
    file: File, value: Value | None, base: Spec, reads: set[str]
) -> dict[str, Parameter]:
    """The values given for the base's parameters; adds the names that they read."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        file.report(Code.STRUCTURE, f"`params` must be a mapping, not {kind(value)}", value.span)
        return {}
    declared, found = root_of(base).params, {}
    parser = file.parser(declared)
    for name, key, item in value.items():
        parameter = declared.get(name)
        if parameter is None:
            file.diagnostics.append(unknown_parameter(name, declared, key.span))
            continue
        with parser.reporting(item.span):
            found[name] = parameters.given(parser, name, item, parameter.type == "layers")
    reads |= parser.reads
    return found


def unknown_parameter(name: str, declared: Iterable[str], span: Span) -> Diagnostic:
    """The diagnostic of a value for a parameter that the spec does not have."""
    names = list(declared)
    return Diagnostic(
        Code.UNKNOWN_PARAMETER,
        f"the spec has no parameter {shorten(name)!r}",
        span,
        expected=f"one of {', '.join(names)}" if names else "a spec with parameters",
        **mended(name, names, span),
    )


def _patch(
    file: File, value: Value | None, base: Spec | None, reads: set[str]
) -> tuple[PatchItem, ...]:
    """The changes to a base; adds the names that their nodes read."""
    if value is None:
        return ()
    if base is None:
        file.report(Code.PATCH, "`patch` changes a base, and this spec extends none", value.span)
        return ()
    if not isinstance(value, Items):
        file.report(
            Code.STRUCTURE,
            f"`patch` must be a list, not {kind(value)}",
            value.span,
            expected=f"a list of {', '.join(PATCH_ACTIONS)}",
        )
        return ()
    parser = file.parser(None)
    items = tuple(found for item in value if (found := _patch_item(file, parser, item)))
    reads |= parser.reads
    return items


def _patch_item(file: File, parser: NodeParser, value: Value) -> PatchItem | None:
    actions = (
        [key for key in value.entries if key in PATCH_ACTIONS] if isinstance(value, Mapping) else []
    )
    if not isinstance(value, Mapping) or len(actions) != 1:
        file.report(
            Code.PATCH,
            "a patch is a mapping with one of " + ", ".join(PATCH_ACTIONS),
            value.span,
            expected="{replace: PATH, with: NODE}, {remove: PATH}, …",
        )
        return None
    action = actions[0]
    file.check_keys(value, (action, "with"), "a patch")
    at = value.get(action)
    assert at is not None
    path = file.text(at, action)
    nodes = value.get("with")
    if (nodes is None) != (action == "remove"):
        needs = "takes no `with`" if action == "remove" else "needs `with: NODE`"
        file.report(Code.PATCH, f"`{action}` {needs}", value.key(action).span)
        return None
    parsed = parser.node_or_list(nodes, "with") if nodes is not None else ()
    return PatchItem(action, path, at.span, parsed)


def override(spec: Spec, name: str, value: Value, key: Span) -> Parameter:
    """A value given from outside for one of the spec's parameters. Raises `LocatedError`.

    `key` is the place of the name, for one that the spec does not have.
    """
    declared = root_of(spec).params
    if name not in declared:
        raise LocatedError(unknown_parameter(name, declared, key))
    return spec.parse_override(name, value, declared[name].type == "layers")
