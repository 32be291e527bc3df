"""Networks as files for other programs: ONNX, and torch's own exported programs."""

from archspec.exporting.errors import ExportError
from archspec.exporting.network import Network
from archspec.exporting.writing import FORMATS, Exported, export

__all__ = ["FORMATS", "ExportError", "Exported", "Network", "export"]
