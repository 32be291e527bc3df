"""The keys of a spec, in the order in which they are listed. A key is added with one entry here."""

from archspec.language.keys.files import Extends, UsedFiles
from archspec.language.keys.inputs import Input, Inputs
from archspec.language.keys.key import FileKey
from archspec.language.keys.network import Blocks, NetworkLayers, Outputs, Params
from archspec.language.keys.patch import Patch
from archspec.language.keys.statements import Doc, Ignore, Init, NetworkName, Version
from archspec.language.keys.train import Train

KEYS: tuple[FileKey, ...] = (
    Version(),
    NetworkName(),
    Doc(),
    Input(),
    Inputs(),
    Params(),
    NetworkLayers(),
    Blocks(),
    UsedFiles(),
    Extends(),
    Patch(),
    Outputs(),
    Init(),
    Train(),
    Ignore(),
)
SPEC_KEYS = tuple(key.name for key in KEYS)
