"""Where the contract's files are, for who has installed the package as for who works on it."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_PACKAGE = files("sojourn_contracts")

FOLDER: Traversable = _PACKAGE if (_PACKAGE / "published").is_dir() else Path(__file__).parents[1]
"""With ``asyncapi.yaml``, ``index.html``, ``published/`` and ``examples/``: in the package once it is built, beside it before."""
