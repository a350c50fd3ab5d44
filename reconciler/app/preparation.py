"""Resolve what is executed for a slot, with the surroundings of this host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler.adapters.accounts import account_of, own_variables, owners_of, wanted
from reconciler.adapters.checks import Place
from reconciler.core.launch import Launch, Surroundings, beneath, expand, launch
from reconciler.manifest.envfile import read_env_file
from reconciler.model.event import Errand
from reconciler.model.observed import Slot
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import RunId
from reconciler.ports import ManifestError
from reconciler.runtime.paths import StatePaths

_INHERITED = ("PATH", "LANG", "TZ", "TMPDIR")
"""What services see of the daemon's environment."""


class Preparation:
    """Resolves what is executed for a slot, with the surroundings of this host."""

    def __init__(self, paths: StatePaths) -> None:
        self._root = str(paths.root)
        self._log_dir = str(paths.logs)
        self.base_env = _base_environment()

    def __call__(
        self, spec: ServiceSpec, slot: Slot, run: RunId, errand: Errand | None = None
    ) -> Launch:
        """Give one start, with nothing left to resolve.

        Raises ManifestError for an env file, HostError for a user.
        """
        around = Surroundings(
            root=self._root,
            log_dir=self._log_dir,
            base_env=self.base_env,
            file_env=self._file_environment(spec),
            account=account_of(wanted(spec, errand)),
            owners=owners_of(spec),
        )
        return launch(spec, slot, run, around, errand)

    def place(self, spec: ServiceSpec, slot: Slot, run: RunId) -> Place:
        """Give where a slot's probing commands run."""
        made = self(spec, slot, run)
        return Place(
            cwd=made.cwd,
            env=made.env,
            root=self._root,
            expand=lambda text: expand(text, slot, spec.port),
            identity=made.identity,
        )

    def _file_environment(self, spec: ServiceSpec) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name in spec.env_file:
            path = Path(beneath(self._root, name))
            try:
                env_file = read_env_file(path.read_bytes())
            except OSError as why:
                raise ManifestError(
                    f"cannot read the env file {name}: {os.strerror(why.errno or 0).lower()}",
                    mend=f"bring {path} back, or remove it from envFile",
                ) from why
            if env_file.problem:
                raise ManifestError(f"{name}:{env_file.line}: {env_file.problem}")
            found |= env_file.variables
        return found


def _base_environment() -> dict[str, str]:
    """Give what every service sees: little of the daemon's, and who it runs as."""
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    found.setdefault("PATH", os.defpath)
    return {**found, **own_variables()}
