"""Strings: a key for each row's answer."""

from collections.abc import Sequence

from models.assembly import Plan
from models.encoding import Form, Setting
from models.jobs import ToStrings
from models.manifest import Manifest
from server.batch.scored import Scored, beginning
from server.batch.targets.naming import AnswerKeys
from server.batch.targets.sending import check, check_but_types, sent
from server.batch.targets.target import PartName, Refused
from server.inference.reading.reads import Ask


class Strings:
    """SET of a key a row; whatever was there before is gone."""

    def __init__(self, spec: ToStrings, ask: Ask, plan: Plan, manifest: Manifest) -> None:
        """Take where the answers of a version go.

        Raises: BadRequest, a template of no use.
        """
        self._ask = ask
        self._keys = AnswerKeys(spec.key, plan)
        self._set = Setting(spec.ttl_seconds)
        self._beginning = beginning(manifest)
        self._look = Form("GETRANGE", 0, len(self._beginning) - 1)

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Set the answers; a row whose key does not say where is refused."""
        refused: Refused = {}
        for one in scored:
            named, errors = self._keys.of(one.keys)
            commands = self._set.encoded_for(named, one.answers)
            if errors:
                refused |= {one.keys[at]: error for at, error in errors.items()}
                commands = [command for at, command in enumerate(commands) if at not in errors]
            check(await sent(self._ask, commands))
        return refused

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Whether each row's key holds an answer of this version."""
        named, errors = self._keys.of(keys)
        replies = await sent(self._ask, self._look.encoded_for(named))
        check_but_types(replies)
        return [reply == self._beginning and at not in errors for at, reply in enumerate(replies)]

    async def finish(self) -> None:
        """Nothing is left to do."""
