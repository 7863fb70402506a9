"""All suites: every `suite.py` in a folder beside the harness."""

import importlib.util

from .tools import ROOT


def load():
    """The suites by name, in the order of their folders."""
    found = {}
    for file in sorted(set(ROOT.glob("*/suite.py")) - {ROOT / "harness/suite.py"}):
        spec = importlib.util.spec_from_file_location(f"suite_{file.parent.name.replace('-', '_')}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.update({one.name: one for one in module.SUITES})
    return found
