"""Errors of features that Feast has written, in its own words: project, view, feature, entity.

KeyNotAllowed      NotThisEntity
KeyMissing         EntityMissing
FieldMissing       FeatureMissing
FeatureError       WrongFeature
"""

from models.errors import FeatureError, FieldMissing, KeyMissing, KeyNotAllowed, shown


class NotThisEntity(KeyNotAllowed):
    """A key with a value of a join key that is of another type than the view's entity has."""

    def __init__(self, key: str, template: str, join_key: str, value: str, kind: str) -> None:
        FeatureError.__init__(
            self,
            f"key {shown(key)!r}: {join_key!r} is {shown(value)!r}, which is no {kind} as Feast writes it",
            key=shown(key),
            template=template,
            join_key=join_key,
        )


class EntityMissing(KeyMissing):
    """Feast's online store has nothing of a view for an entity."""

    def __init__(self, key: str, project: str, view: str) -> None:
        FeatureError.__init__(
            self,
            f"key {shown(key)!r}: view {view!r} of Feast project {project!r} has no features for this entity in Redis; "
            "materialize them, or set project, view and entity as they are in Feast; a default or `missing` "
            "stands in for them",
            key=shown(key),
            project=project,
            view=view,
        )


class FeatureMissing(FieldMissing):
    """A feature that is null in Feast, or was never written, where others of the entity are there."""

    def __init__(self, key: str, view: str, feature: str) -> None:
        FeatureError.__init__(
            self,
            f"key {shown(key)!r} has no feature {view + ':' + shown(feature)!r}: it is null in Feast, or was never "
            "written; give the field a default, or ask with `missing`",
            key=shown(key),
            view=view,
            field=shown(feature),
        )


class WrongFeature(FeatureError):
    """The bytes of a feature are no value of Feast, or one of a kind that no model takes."""

    code = "wrong_feature"

    def __init__(self, key: str, view: str, feature: str, reason: str) -> None:
        super().__init__(
            f"feature {view + ':' + shown(feature)!r} of key {shown(key)!r} {reason}",
            key=shown(key),
            view=view,
            field=shown(feature),
            reason=reason,
        )
