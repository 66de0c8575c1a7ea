"""Stored models as tables and as JSON: reads the store, shows what it says."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from cli.connection import ANSWER_SECONDS
from cli.terminal import Terminal, count_text, size_text
from models.errors import BadTraffic, BundleCorrupt, ManifestUnreadable, ModelNotFound, VersionNotFound
from models.features import FeatureView
from models.manifest import Manifest
from models.nodes_away import Walk, names_to_walk
from models.redis_failures import in_time
from models.refusals import Refusal
from models.scores import four_digits
from models.signatures import StoredVersion
from models.signing_errors import SigningNotInstalled
from models.sources import InlineSource
from models.store import PRODUCTION, SHADOW, ModelStore
from models.tensors import TensorSpec
from models.traffic import Traffic

BASELINE = "baseline_"
DATE = len("2026-11-22")


@dataclass(slots=True)
class Stored:
    """One model: its aliases, its versions, and the manifests that can be read."""

    name: str
    aliases: dict[str, int]
    versions: list[int]
    manifests: dict[int, Manifest] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    refusals: dict[int, Refusal] = field(default_factory=dict)
    signers: dict[int, str] = field(default_factory=dict)
    percent: dict[int, float] = field(default_factory=dict)
    rule_fault: str = ""
    away: str = ""  # why the node of a cluster that has it does not answer

    @property
    def shown(self) -> Manifest | None:
        """The manifest that stands for the model: production's, else the newest."""
        version = self.aliases.get(PRODUCTION, self.versions[-1] if self.versions else 0)
        return self.manifests.get(version)

    @property
    def traffic(self) -> str:
        """How production's requests are shared out, and the version that runs beside."""
        shares = ", ".join(f"{version} {share:g}%" for version, share in self.percent.items())
        beside = f"shadow {self.aliases[SHADOW]}" if SHADOW in self.aliases else ""
        return "; ".join(filter(None, (shares or self.rule_fault, beside)))

    def aliases_of(self, version: int) -> list[str]:
        """Return the aliases that point to a version."""
        return sorted(alias for alias, to in self.aliases.items() if to == version)


async def every_model(store: ModelStore) -> list[Stored]:
    """Read all models, each with the one manifest that stands for it; one that is deleted meanwhile is left out.

    Of one whose node of a cluster is away nothing but that is told; it may be deleted.

    Raises: RedisUnavailable, where the node has the names, or is the only one; RedisRefused.
    """
    found = []
    walk = Walk(store)
    async with in_time(ANSWER_SECONDS):
        names = await names_to_walk(store)
    for name in names:
        with suppress(ModelNotFound):
            one = await walk.at(name, partial(read_in_time, store))
            found.append(one or Stored(name, {}, [], away=walk.reason))
    return found


async def read_in_time(store: ModelStore, name: str) -> Stored:
    """Read one model of the list.

    Raises: BadName, ModelNotFound, RedisUnavailable, RedisRefused.
    """
    async with in_time(ANSWER_SECONDS):
        return await read_model(store, name, whole=False)


async def one_model(store: ModelStore, name: str) -> Stored:
    """Read one model with every version.

    Raises: BadName, ModelNotFound.
    """
    return await read_model(store, name, whole=True)


async def read_model(store: ModelStore, name: str, *, whole: bool) -> Stored:
    """Read a model; a manifest that is missing or cannot be read is told, not raised.

    Raises: BadName, ModelNotFound.
    """
    pointers = await store.pointers(name)
    stored = Stored(name, pointers.aliases, await store.versions(name))
    if pointers.rule is not None:
        try:
            stored.percent = Traffic.from_json(name, pointers.rule).percent
        except BadTraffic as error:
            stored.rule_fault = str(error)
    stands = stored.aliases.get(PRODUCTION, stored.versions[-1])
    for version in stored.versions if whole else [stands]:
        try:
            stored.manifests[version] = await store.manifest(name, version)
        except (BundleCorrupt, ManifestUnreadable, VersionNotFound) as error:
            stored.faults[version] = str(error)
    stored.refusals = await store.refusals.of(name, stored.versions if whole else [stands])
    if whole:
        stored.signers = await signers(store, name, stored.versions)
    return stored


async def signers(store: ModelStore, name: str, versions: Sequence[int]) -> dict[int, str]:
    """Return in words whose signatures some versions have; those that have none are left out.

    Raises: BadName, RedisUnavailable, RedisRefused.
    """
    signed = await store.signatures.of(name, versions)
    return {version: signer_text(store, one) for version, one in signed.items()}


def signer_text(store: ModelStore, signed: StoredVersion) -> str:
    """Return whose signature a version has, and what is known of it."""
    trust = store.signing.trust
    if signed.key is None:
        return "unreadable"
    try:
        fault = "" if signed.fits() else "does not fit: altered"
    except SigningNotInstalled:
        fault = "not verified: 'cryptography' is not installed"
    known = "" if trust is None else "trusted" if signed.key in trust.keys else "not trusted"
    told = fault or known
    return signed.key.fingerprint + (f" ({told})" if told else "")


async def one_version(store: ModelStore, name: str, reference: str) -> tuple[Manifest, Stored]:
    """Read one version, by number or alias, and the model it is of.

    Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, ManifestUnreadable.
    """
    manifest = await store.manifest(name, await store.resolve(name, reference))
    stored = await read_model(store, name, whole=False)
    stored.signers = await signers(store, name, [manifest.version])
    return manifest, stored


def show_models(terminal: Terminal, found: list[Stored]) -> None:
    """Show a line a model."""
    if terminal.as_json:
        terminal.emit([as_data(stored) for stored in found])
        return
    if not found:
        terminal.say("no models are stored; `insitu train breast_cancer --load` makes one")
        return
    columns = ["name", ">production", ">versions", "score", ">baseline", "published"]
    shared = any(stored.traffic for stored in found)
    rows = [[*model_row(stored), *([stored.traffic] * shared)] for stored in found]
    terminal.table([*columns, *(["traffic"] * shared)], rows)


def model_row(stored: Stored) -> list[object]:
    """Return one model's line of the table."""
    if stored.away:
        return [stored.name, "-", "-", "away", "", f"Redis does not answer: {stored.away}"]
    head = [stored.name, stored.aliases.get(PRODUCTION, "-"), len(stored.versions)]
    manifest = stored.shown
    if manifest is None:
        return [*head, "unreadable", "", "; ".join(stored.faults.values())]
    return [*head, *score(manifest), created_text(manifest)[:DATE]]


def show_model(terminal: Terminal, stored: Stored) -> None:
    """Show a model and its versions."""
    if terminal.as_json:
        terminal.emit(as_data(stored))
        return
    manifest = stored.shown
    terminal.fields([("model", stored.name), ("description", manifest.description if manifest else "")])
    if manifest:
        terminal.fields(wording(manifest))
    terminal.fields([("traffic", stored.traffic)])
    signed = bool(stored.signers)
    rows = [
        [*version_row(stored, version), *([stored.signers.get(version, "nobody")] * signed)]
        for version in stored.versions
    ]
    columns = [">version", "aliases", "score", ">baseline", ">size", "published", *(["signed by"] * signed)]
    terminal.table(columns, rows)
    terminal.fields([(f"version {version} refused", str(one)) for version, one in stored.refusals.items()])


def version_row(stored: Stored, version: int) -> list[object]:
    """Return one version's line of the table."""
    head = [version, ", ".join(stored.aliases_of(version))]
    manifest = stored.manifests.get(version)
    if manifest is None:
        return [*head, "unreadable", "", "", stored.faults[version]]
    return [*head, *score(manifest), size_text(manifest.size_bytes), created_text(manifest)]


def show_version(terminal: Terminal, manifest: Manifest, stored: Stored) -> None:
    """Show everything about one version."""
    aliases, share = stored.aliases_of(manifest.version), stored.percent.get(manifest.version)
    if terminal.as_json:
        signer = stored.signers.get(manifest.version)
        facts = {"aliases": aliases, "traffic": share, **({"signed_by": signer} if signer else {})}
        terminal.emit(manifest.model_dump(mode="json", by_alias=True) | facts)
        return
    terminal.fields(
        [
            ("model", manifest.name),
            ("version", manifest.version),
            ("aliases", ", ".join(aliases)),
            ("traffic", "" if share is None else f"{share:g}% of production's requests"),
            ("published", created_text(manifest)),
            ("description", manifest.description),
            *wording(manifest),
            ("metrics", metrics_text(manifest.metrics)),
            ("size", f"{size_text(manifest.size_bytes)} in {count_text(manifest.chunks, 'chunk')}"),
            ("SHA-256", manifest.digest),
            ("signed by", stored.signers.get(manifest.version, "")),
            ("ONNX", f"opset {opset_text(manifest)}, IR {manifest.ir_version}"),
            ("made by", manifest.producer),
        ]
    )


def wording(manifest: Manifest) -> list[tuple[str, object]]:
    """Return what goes in and what comes out, named."""
    return [
        ("task", manifest.task),
        ("labels", ", ".join(manifest.labels)),
        ("inputs", ", ".join(map(tensor_text, manifest.inputs))),
        ("outputs", ", ".join(map(tensor_text, manifest.outputs))),
        ("reads", features_text(manifest.features)),
    ]


def tensor_text(spec: TensorSpec) -> str:
    """Return a tensor's signature: x float32 [batch, 30]."""
    return f"{spec.name} {spec.dtype} [{', '.join(map(str, spec.shape))}]"


def features_text(view: FeatureView | None) -> str:
    """Return the sources of a feature view in one line."""
    if view is None:
        return "tensors from the request only"
    sources = [source for one in view.inputs for source in one.sources]
    return ", ".join(
        count_text(len(source.fields), "inline value")
        if isinstance(source, InlineSource)
        else f"{source.key} ({source.kind})"
        for source in sources
    )


def score(manifest: Manifest) -> tuple[str, str]:
    """Return the first metric, and the baseline's beside it."""
    name = next(iter(manifest.metrics), None)
    if name is None:
        return "", ""
    beside = manifest.metrics.get(BASELINE + name)
    return f"{name} {four_digits(manifest.metrics[name])}", "" if beside is None else four_digits(beside)


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Return every metric in one line, each with its baseline where there is one."""
    own = [name for name in metrics if not name.startswith(BASELINE)]
    return ", ".join(metric_text(metrics, name) for name in own)


def metric_text(metrics: Mapping[str, float], name: str) -> str:
    """Return one metric: accuracy 0.986 (baseline 0.972)."""
    beside = metrics.get(BASELINE + name)
    return f"{name} {metrics[name]:.4g}" + (f" (baseline {beside:.4g})" if beside is not None else "")


def opset_text(manifest: Manifest) -> str:
    """Return the operator sets in one line."""
    return ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in manifest.opset.items())


def created_text(manifest: Manifest) -> str:
    """Return when a version was published, in this machine's time."""
    return manifest.created.astimezone().strftime("%Y-%m-%d %H:%M") if manifest.created else ""


def as_data(stored: Stored) -> dict[str, Any]:
    """Return a model for a program."""
    versions = [brief(manifest, stored) for _, manifest in sorted(stored.manifests.items())]
    return {
        "name": stored.name,
        "aliases": stored.aliases,
        "traffic": stored.percent or None,
        "versions": stored.versions,
        "manifests": versions,
        "unreadable": {str(version): fault for version, fault in stored.faults.items()},
        "refused": {str(version): asdict(refusal) for version, refusal in stored.refusals.items()},
        **({"away": stored.away} if stored.away else {}),
    }


def brief(manifest: Manifest, stored: Stored) -> dict[str, Any]:
    """Return what a list says of a version."""
    wanted = {"version", "created", "description", "task", "labels", "metrics", "size_bytes", "digest"}
    data = manifest.model_dump(mode="json", include=wanted)
    signer = stored.signers.get(manifest.version)
    return data | {
        "aliases": stored.aliases_of(manifest.version),
        **({"signed_by": signer} if signer else {}),
    }
