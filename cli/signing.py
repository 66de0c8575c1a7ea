"""sign: a version that is stored already gets the signature of a key, once its bytes are found to be whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import WrongUsage
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, Prefix, RedisUrl, complete_version, named_version
from cli.settings import read_settings
from cli.stored import with_store
from cli.terminal import Terminal

if TYPE_CHECKING:
    from models.manifest import Manifest
    from models.signatures import StoredVersion
    from models.store import ModelStore


def sign(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:VERSION]",
            help="The model, and which version or alias of it; production when not given.",
            show_default=False,
            autocompletion=complete_version,
        ),
    ],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            show_default=False,
            help="Private key, of `insitu key`. Environment: INSITU_SIGN_WITH.",
        ),
    ] = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Sign a version that is stored already, as it lies in Redis; servers load it without a restart.

    Its ONNX file is compared with its SHA-256 first. Whether these are the bytes that you made, only you know:
    compare the SHA-256 that is shown with that of your file.
    """
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix, sign_with=key)
    if settings.sign_with is None:
        raise WrongUsage(
            "name the private key: --key FILE, or INSITU_SIGN_WITH=FILE; `insitu key FILE` makes one"
        )
    name, reference = named_version(model)

    async def job(store: "ModelStore") -> "tuple[Manifest, StoredVersion | None, str]":
        from models.manifest import Manifest

        own = store.signing.key
        assert own is not None  # noqa: S101  # read_settings named one
        version = await store.resolve(name, reference or "production")
        before = (await store.signatures.of(name, [version])).get(version)
        signed = await store.sign(name, version, own)
        return Manifest.from_json(signed.manifest, name, version), before, own.public.fingerprint

    show(Terminal(as_json=as_json), *with_store(settings, job, signs=True))


def show(terminal: Terminal, manifest: "Manifest", before: "StoredVersion | None", fingerprint: str) -> None:
    """Tell what was signed by which key."""
    from cli.listing import features_text

    earlier = before.key.fingerprint if before is not None and before.key is not None else None
    if terminal.as_json:
        facts = {"model": manifest.name, "version": manifest.version, "key": fingerprint}
        terminal.emit(facts | {"digest": manifest.digest, "before": earlier})
        return
    terminal.say(f"{manifest.name} version {manifest.version} is signed by {fingerprint}")
    terminal.fields(
        [
            ("SHA-256", manifest.digest),
            ("reads", features_text(manifest.features)),
            ("answers", manifest.task + (f": {', '.join(manifest.labels)}" if manifest.labels else "")),
            ("made by", manifest.producer),
            ("in place of", f"the signature of {earlier}" if earlier not in (None, fingerprint) else ""),
        ]
    )


COMMANDS = (
    Command(
        MODELS,
        sign,
        (
            "insitu sign churn --key release.key",
            "insitu sign churn:3 --key release.key",
            "INSITU_SIGN_WITH=release.key insitu sign churn:canary --json",
        ),
        "0 signed; 1 no such version, or its bytes are not those of its manifest",
    ),
)
