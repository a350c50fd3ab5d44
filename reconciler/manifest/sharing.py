"""Find services that would listen on one address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.manifest.addresses import Address, read
from reconciler.manifest.codes import Code
from reconciler.manifest.result import Reading
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName

EVERY_HOST = "::"


class Claim(NamedTuple):
    """An address that a service listens on while it runs."""

    service: ServiceName
    address: Address
    place: Source
    is_socket: bool
    """False: it is a `port`, of which nobody knows on which address of the host it is."""

    @property
    def in_words(self) -> str:
        """Name the address as the manifest does."""
        return str(self.address) if self.is_socket else f"the port {self.address.port}"


def address_faults(
    readings: Mapping[ServiceName, Reading],
) -> list[tuple[ServiceName, Diagnostic]]:
    """Give a fault at each place that names the address of another service.

    Those that are stopped claim nothing. A warning where one of the two is a `port`: services may
    listen on it at different addresses of the host.
    """
    faults = []
    for claims in _by_number(readings):
        for claim in claims:
            other = next((one for one in claims if _is_rival(claim, one)), None)
            if other is not None:
                faults.append((claim.service, _fault(claim, other)))
    return faults


def _is_rival(claim: Claim, other: Claim) -> bool:
    return claim.service != other.service and claim.address.overlaps(other.address)


def _by_number(readings: Mapping[ServiceName, Reading]) -> Iterator[Sequence[Claim]]:
    """Yield the claims of each port or path that several services name."""
    found: dict[tuple[int, str], list[Claim]] = {}
    for name, reading in sorted(readings.items()):
        if reading.definition.spec.wants_to_run:
            for claim in _claims(name, reading):
                key = (claim.address.port, claim.address.path)
                found.setdefault(key, []).append(claim)
    return (claims for claims in found.values() if len({one.service for one in claims}) > 1)


def _claims(name: ServiceName, reading: Reading) -> Iterator[Claim]:
    spec = reading.definition.spec
    for one in spec.sockets:
        place = reading.places.get(f"sockets.{one.listen}", reading.definition.source)
        yield Claim(name, read(one.listen), place, is_socket=True)
    if spec.port and not _is_of_its_sockets(spec):
        place = reading.places.get("port", reading.definition.source)
        yield Claim(name, Address(EVERY_HOST, spec.port), place, is_socket=False)


def _is_of_its_sockets(spec: ServiceSpec) -> bool:
    return any(read(one.listen).port == spec.port for one in spec.sockets)


def _fault(claim: Claim, other: Claim) -> Diagnostic:
    is_sure = claim.is_socket and other.is_socket
    verb = "cannot have" if is_sure else "may not get"
    return Diagnostic(
        source=claim.place,
        code=Code.SAME_ADDRESS,
        message=f"`{claim.service}` {verb} {claim.in_words}: `{other.service}` has "
        f"{other.in_words} ({other.place})",
        mend="give one of them another address, or write `state: stopped` in one",
        is_warning=not is_sure,
    )
