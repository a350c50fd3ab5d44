"""The processes of this machine, held by a holder that outlives the daemon."""

from __future__ import annotations

from reconciler.adapters.native.host import NativeHost
from reconciler.adapters.native.start import start_holder

__all__ = ["NativeHost", "start_holder"]
