"""`use:`: the blocks of other files. `extends:` is read where specs are."""

from __future__ import annotations

from os.path import basename, dirname, join

from archspec.diagnostics.diagnostic import Code, Refusal, Span
from archspec.document.blocks import File, declare_blocks
from archspec.document.keys.key import FileKey
from archspec.document.keys.statements import Version
from archspec.document.schema_words import Schema, listed
from archspec.text.files import stem
from archspec.text.values import Items, Mapping, Scalar, Value, kind, read

BLOCK_FILE_KEYS = ("archspec", "doc", "blocks", "use")


class UsedFiles(FileKey):
    """`use: [blocks.yaml]`."""

    name = "use"
    doc = "Files whose blocks are brought in."
    is_resolved = True

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string"}, listed({"type": "string"})]}


class Extends(FileKey):
    """`extends: resnet18`."""

    name = "extends"
    doc = "A bundled spec, or a path beside this file, to change."
    is_resolved = True

    def schema(self) -> Schema:
        return {"type": "string"}


def read_use(file: File, value: Value | None, chain: tuple[str, ...] = ()) -> None:
    """Brings in the blocks of other files. `chain` holds the files that lead to this one."""
    if value is None:
        return
    for item in value.items if isinstance(value, Items) else (value,):
        name = file.text(item, "use")
        if not name:
            continue
        try:
            path = join(file.folder or "", name)
            resolved = file.reader.inside(path)
            if resolved in chain:
                raise Refusal(
                    f"{name!r} uses, in the end, itself",
                    code=Code.FILE,
                    found=" → ".join(map(basename, (*chain, resolved))),
                    help="put blocks that need each other into one file",
                )
            source = file.reader.open(path)
        except Refusal as refusal:
            file.refuse(refusal, item.span)
            file.lost = True
            continue
        other = File(source, dirname(path), file.reader, file.diagnostics)
        body = read(source, file.reader.limits)
        if not isinstance(body, Mapping):
            file.report(
                Code.STRUCTURE, f"a file of blocks is a mapping, not {kind(body)}", body.span
            )
            continue
        if "layers" in body.entries:
            declare_blocks(other, _as_blocks(stem(path), body))
        else:
            other.check_keys(body, BLOCK_FILE_KEYS, "a file of blocks")
            Version().read(other, body.get("archspec"))
            read_use(other, body.get("use"), (*chain, resolved))
            declare_blocks(other, body.get("blocks"))
        file.lost = file.lost or other.lost
        file.used.append(other)


def _as_blocks(name: str, body: Mapping) -> Mapping:
    """A file that is one block, as a `blocks:` mapping."""
    start = Span(*body.span[:3], body.span.line, body.span.column + 1)
    key = Scalar(name, name, True, start)
    return Mapping({name: (key, body)}, body.span, body.size, False)
