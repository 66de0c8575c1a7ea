"""The words of AI.TENSORSET that come before a tensor's bytes, known once they were read; pure, no I/O."""

from models.tensor_strings import AXES_LIMIT, StoredTensor
from server.resp.commands.command import Words

HEADS_KEPT = 1024
WORDS_LIMIT = AXES_LIMIT + 4  # key, type, BLOB and the bytes beside the dims


class Heads:
    """What was said before the bytes of tensors of numbers, which most callers say again and again: their form."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], tuple[str, tuple[int, ...], int]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def tensor(self, args: Words) -> StoredTensor | None:
        """Return the tensor of words whose head is known and whose bytes fit it."""
        if len(args) > WORDS_LIMIT:
            return None
        known = self._known.get(tuple(args[1:-1]))
        if known is None or len(args[-1]) != known[2]:
            return None
        return StoredTensor(known[0], known[1], args[-1])

    def keep(self, args: Words, tensor: StoredTensor) -> None:
        """Know the head of words that gave a tensor by BLOB; of texts and truth values the bytes tell more."""
        if tensor.dtype in {"STRING", "BOOL"}:
            return
        if len(self._known) >= HEADS_KEPT:
            self._known.clear()
        self._known[tuple(args[1:-1])] = (tensor.dtype, tensor.shape, len(tensor.data))
