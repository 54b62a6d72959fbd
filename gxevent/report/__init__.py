"""Reports: what a run gave, as a page people can open."""

from gxevent.report.page import run_page

__all__ = ["run_page"]
