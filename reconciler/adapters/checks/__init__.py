"""Ask processes whether they are ready, and whether they are well."""

from reconciler.adapters.checks.checks import Checks
from reconciler.adapters.checks.names import Names
from reconciler.adapters.checks.net import Network
from reconciler.adapters.checks.place import Place
from reconciler.adapters.checks.probes import Intruder, Probes

__all__ = ["Checks", "Intruder", "Names", "Network", "Place", "Probes"]
