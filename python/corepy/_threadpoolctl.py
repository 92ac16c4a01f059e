"""corepy's threads under threadpoolctl; imported when that package is, and never before."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

from corepy import __version__, _native, get_num_threads


class _Registering(Loader):
    """The module's own loader, and the registration after it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        register(module)


def find_spec(watch: object) -> ModuleSpec | None:
    """threadpoolctl's spec as the other finders have it, with a loader that registers corepy."""
    sys.meta_path.remove(watch)  # type: ignore[arg-type]
    spec = importlib.util.find_spec("threadpoolctl")
    if spec is None or spec.loader is None:
        sys.meta_path.insert(0, watch)  # type: ignore[arg-type]
        return spec
    spec.loader = _Registering(spec.loader)
    return spec


def register(threadpoolctl: ModuleType) -> None:
    """Makes threadpoolctl know corepy; releases before 3.2, which cannot be told, stay as they are."""
    if not hasattr(threadpoolctl, "register"):
        return

    class CorepyController(threadpoolctl.LibController):  # type: ignore[misc, name-defined]
        """Limits hold for the calling thread, as those of `corepy.threads`."""

        user_api = "corepy"
        internal_api = "corepy"
        filename_prefixes = ("_native",)
        check_symbols = ("corepy_get_num_threads",)

        def get_num_threads(self) -> int:
            return get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _native._set_own_threads(num_threads)

        def get_version(self) -> str:
            return __version__

    threadpoolctl.register(CorepyController)
