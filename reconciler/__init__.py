"""GitOps for plain long-running processes."""

__version__ = "0.1.0"
