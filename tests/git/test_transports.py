"""What is followed is looked at, fetched and pushed to in each way that git knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.git.remote.address import check_url
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.repository import FollowedRepository
from reconciler.ports import ForbiddenError
from tests.git.scratch import Scratch
from tests.git.test_pushing import Branch, asking
from tests.git.transports import WAYS, served

pytestmark = pytest.mark.real


@pytest.mark.parametrize("way", WAYS)
def test_a_branch_is_followed_and_written_back_to(
    way: str, scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pushes in between; what the other side refuses is said in its words."""
    branch = Branch(scratch, tmp_path)

    async def scene(repository: FollowedRepository) -> None:
        branch.push("services.d/late.yaml", "name: late\ncommand: x\n")
        done = await repository.commit(asking("debug"))
        assert branch.mirror.look() == branch.mirror.verified() == done.commit
        branch.hook("pre-receive", "echo main is protected >&2; exit 1")
        with pytest.raises(ForbiddenError, match="main is protected"):
            await repository.commit(asking("info"))

    with served(way, tmp_path, monkeypatch) as place:
        address = check_url(f"{place}/{branch.bare.name}", Path("/"))
        branch.mirror = Mirror(tmp_path / "other.git", address, "main")
        branch.mirror.open()
        assert branch.mirror.look() == scratch.head()
        branch.follow()
        branch.play(scene)
    assert branch.log()[:2] == ["web: set env.LEVEL=debug", "change services.d/late.yaml"]
