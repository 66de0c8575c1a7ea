"""Opening of the source that a job names."""

from models.assembly import Plan
from models.errors import BadRequest, shown
from models.jobs import Found, FromFile, FromInstances, Matching, Named, RowSource
from models.store import Client
from models.values import Missing
from server.batch.parts import Source
from server.batch.sources.columns import SUFFIXES, ColumnKeys, TableInstances, has_columns
from server.batch.sources.found import FoundKeys
from server.batch.sources.in_files import KeyLines
from server.batch.sources.matching import MatchingKeys
from server.batch.sources.named import NamedKeys


def open_source(
    spec: RowSource, redis: Client, plan: Plan, missing: Missing = None, gentle: bool = False
) -> Source:
    """Return where the rows come from; nothing is read yet. `gentle` lets others ask Redis in between.

    `missing` is what the job has stand in for absent values: an instance need not give them.

    Raises: BadRequest, a file that cannot have what is wanted of it; BadFeatureView, keys are
            wanted, but the view reads none.
    """
    if isinstance(spec, FromInstances):
        return TableInstances(spec.path, plan, missing)
    if isinstance(spec, Matching):
        return MatchingKeys(redis, plan, spec.pattern, gentle)
    _ = plan.template  # raises where the view reads no key
    if isinstance(spec, Named):
        return NamedKeys(redis, spec.key, spec.field)
    if isinstance(spec, Found):
        return FoundKeys(redis, spec.index, spec.query)
    return key_file(spec)


def key_file(spec: FromFile) -> Source:
    """Return a file of keys, by how its name ends.

    Raises: BadRequest, a column of a file that has none.
    """
    if has_columns(spec.path):
        return ColumnKeys(spec.path, spec.column)
    if spec.column is not None:
        raise BadRequest(
            f"{shown(spec.path)!r} is read as text, one key a line, so it has no column {shown(spec.column)!r}; "
            f"a file with columns has a name that ends in {' or '.join(SUFFIXES)}"
        )
    return KeyLines(spec.path)
