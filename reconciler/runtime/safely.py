"""Have a long verb raise nothing, as the facade promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

from reconciler.ports import ManifestError, WeaverError
from reconciler.runtime.messages import Message, Problem, Summary


async def safely(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Turn what cannot be done into a problem and a summary."""
    try:
        async for message in messages:
            yield message
    except WeaverError as why:
        diagnostics = why.diagnostics if isinstance(why, ManifestError) else ()
        yield Problem(
            title=str(why), mend=why.mend, exit_code=why.exit_code, diagnostics=diagnostics
        )
        yield Summary(exit_code=why.exit_code, text="nothing was done")
