"""A bundle run once in a process of its own, where ONNX Runtime is installed."""

from models.bundle import Bundle

SECONDS = 60.0
MEMORY_BYTES = 8 << 30  # of address space


async def tried(bundle: Bundle) -> bool:
    """Run a bundle once; return whether it was, False without ONNX Runtime.

    Raises: BadModelFile, it crashed, took too long or gives no such answer.
    """
    try:
        from server.inference.admission import Trial
    except ModuleNotFoundError:
        return False
    await Trial(MEMORY_BYTES, SECONDS).admit(bundle)
    return True
