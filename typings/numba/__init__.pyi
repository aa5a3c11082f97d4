# The part of numba that the project uses; the library ships no types.
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

class _Config:
    CACHE_DIR: str

config: _Config

def njit(*, cache: bool = ..., nogil: bool = ..., error_model: str = ..., inline: str = ...) -> Callable[[_F], _F]: ...
