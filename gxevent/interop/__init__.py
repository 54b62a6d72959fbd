"""Other programs' formats: networks from PyTorch, ONNX and NIR; event graphs to ONNX, NIR, GraphML, DOT and JSON."""

from gxevent.interop.export import export_graph
from gxevent.interop.importing import Imported, import_network

__all__ = ["Imported", "export_graph", "import_network"]
