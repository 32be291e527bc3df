"""The keys of a spec, in the order in which they are listed. A key is added with one entry here."""

from archspec.language.keys.files import Extends, Use
from archspec.language.keys.inputs import Input, Inputs
from archspec.language.keys.key import FileKey
from archspec.language.keys.network import Blocks, Layers, Outputs, Params
from archspec.language.keys.patch import Patch
from archspec.language.keys.statements import Doc, Ignore, Init, Name, Train, Version

KEYS: tuple[FileKey, ...] = (
    Version(),
    Name(),
    Doc(),
    Input(),
    Inputs(),
    Params(),
    Layers(),
    Blocks(),
    Use(),
    Extends(),
    Patch(),
    Outputs(),
    Init(),
    Train(),
    Ignore(),
)
SPEC_KEYS = tuple(key.name for key in KEYS)
