"""See that code under development changes: files and folders that services name in `watch`."""

from reconciler.adapters.codewatch.watcher import CodeWatch

__all__ = ["CodeWatch"]
