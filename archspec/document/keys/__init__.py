"""The keys of a spec, in the order in which they are listed. A key is added with one entry here."""

from archspec.document.keys.files import Extends, UsedFiles
from archspec.document.keys.inputs import Input, Inputs
from archspec.document.keys.key import FileKey, Statement
from archspec.document.keys.network import Blocks, NetworkLayers, Outputs, Params
from archspec.document.keys.patch import Patch
from archspec.document.keys.sizes import SizesKey
from archspec.document.keys.statements import Doc, Ignore, Init, NetworkName, Version
from archspec.document.keys.train import Train

KEYS: tuple[FileKey, ...] = (
    Version(),
    NetworkName(),
    Doc(),
    Input(),
    Inputs(),
    SizesKey(),
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
STATEMENTS = tuple(key for key in KEYS if isinstance(key, Statement))
