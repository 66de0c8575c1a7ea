"""What of the version before holds for a new one of the same model, where the command line does not say it."""

from typing import TYPE_CHECKING

from cli.connection import opened
from cli.errors import NotVouched
from cli.settings import Settings

if TYPE_CHECKING:
    from models.bundle import Bundle
    from models.composing import Wording
    from models.manifest import Manifest

OTHER_VIEW = "--features VIEW.yaml, or --features none to read no keys"
OTHER_LABELS = "--labels A,B,..., or --task tensor to word none"


async def version_before(settings: Settings, name: str, alias: str | None) -> "Manifest | None":
    """Return the version that the alias points to, else the newest one; None where there is none that can be read.

    Raises: BadName, RedisUnreachable, RedisUnavailable.
    """
    from models import carrying

    async with opened(settings) as store:
        return await carrying.version_before(store, name, alias)


async def check_vouched(settings: Settings, before: "Manifest", told: str) -> None:
    """Stop where a signature would vouch for parts of a version before that nobody whose word counts has signed.

    Whoever may write into Redis could otherwise have them signed: `told` says which parts.

    Raises: NotVouched, RedisUnreachable, RedisUnavailable.
    """
    from models.manifest import Manifest

    place = (before.name, before.version)
    async with opened(settings, signs=True) as store:
        signed = (await store.signatures.of(before.name, [before.version])).get(before.version)
        trust, own = store.signing.trust, store.signing.key
    counting = {*(trust.keys if trust else ()), *((own.public,) if own else ())}
    vouched = signed is not None and signed.key in counting and signed.fits()
    if not (signed and vouched and Manifest.from_json(signed.manifest, *place) == before):
        raise NotVouched(*place, told)


def composed_as_before(
    onnx: bytes, said: "Wording", before: "Manifest", *, viewless: bool
) -> "tuple[Bundle, str]":
    """Return the bundle of a new version, and what of it is as before, empty where nothing is.

    `viewless`: the new version shall read no keys.

    Raises: BadModelFile, BadFeatureView, what is as before does not fit the file: with what to say then.
    """
    from models import carrying

    predecessor = carrying.Predecessor(before, OTHER_VIEW, OTHER_LABELS, viewless)
    return carrying.composed_as_before(onnx, said, predecessor)
