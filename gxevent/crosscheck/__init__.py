"""Cross-checks: independent evaluations of one graph that must give the same integers."""

from gxevent.crosscheck.oracles import check_compiled, crosscheck_reference
from gxevent.crosscheck.report import CrosscheckReport, compare

__all__ = ["CrosscheckReport", "check_compiled", "compare", "crosscheck_reference"]
