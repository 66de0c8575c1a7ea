"""The model card as one page: self-contained HTML that needs no network, no script and no server."""

from collections.abc import Callable
from importlib.resources import files

from models.manifest import Manifest
from models.privacy import Privacy
from trainer.judging.sheets import answers, choices, learning, origin, verdict
from trainer.judging.sheets.markup import Markup, tag

# Nothing on the page may run or be fetched, whatever a label or a description says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
CHAPTERS: tuple[Callable[[Manifest], Markup | None], ...] = (
    verdict.header,
    verdict.scores,
    verdict.verdict,
    choices.folds,
    answers.decision,
    learning.learning,
    choices.search,
    answers.mistakes,
    answers.honesty,
    answers.attributions,
    origin.fairness,
    origin.rows,
    origin.recipe,
    choices.quantization,
    origin.made_with,
)


def page(manifest: Manifest) -> bytes:
    """Return the card of a model as an HTML page; private names are told by their aliases."""
    shown = masked(manifest)
    style = (files("trainer.judging") / "card.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{shown.name}: model card"),
        tag("style", Markup(style)),
    )
    body = tag("body", tag("main", [chapter(shown) for chapter in CHAPTERS]))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".encode()


def masked(manifest: Manifest) -> Manifest:
    """Return a manifest in whose texts an alias stands for each private name."""
    privacy = Privacy.of(manifest.recipe)
    if not privacy.aliases:
        return manifest
    card = privacy.masked(manifest.card)
    if (found := card.get("attributions")) and "features" in found:
        card["attributions"] = {**found, "features": privacy.masked_names(found["features"])}
    facts = {
        "card": card,
        "recipe": privacy.masked(manifest.recipe),
        "description": privacy.text(manifest.description),
    }
    return manifest.model_copy(update=facts)
