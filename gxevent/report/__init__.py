"""Reports: what runs, mappings and simulations gave, as a page people can open."""

from gxevent.report.inputs import Inputs, read_inputs
from gxevent.report.page import report_page, run_page

__all__ = ["Inputs", "read_inputs", "report_page", "run_page"]
