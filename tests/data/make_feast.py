"""Makes tests/data/feast: what Feast's online store keeps in Redis, and what Feast answers of it.

    redis-server --port 21100 --save '' &
    python -m venv /tmp/venv && /tmp/venv/bin/pip install 'feast[redis]==0.67.0'
    /tmp/venv/bin/python tests/data/make_feast.py localhost:21100      # flushes that Redis

`hashes.json` has every key of the store and its fields, in hexadecimal; `answers.json` has what
`get_online_features` says for the same entities. Feast sees to the bytes, nothing here writes one.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType
from redis import Redis

HERE = Path(__file__).parent / "feast"
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # half an hour before the clock of docs/feature-views.md
DAY = timedelta(days=1)

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
city = Entity(name="city", join_keys=["city_code"], value_type=ValueType.INT32)
day = Entity(name="day", join_keys=["day"], value_type=ValueType.UNIX_TIMESTAMP)

STATS = {
    "conv_rate": Float32,
    "acc_rate": Float64,
    "avg_daily_trips": Int64,
    "late_trips": Int32,
    "active": Bool,
    "tier": String,
    "signed_up": UnixTimestamp,
    "embedding": Array(Float32),
    "weekly": Array(Float64),
    "steps": Array(Int64),
    "counts": Array(Int32),
    "shifts": Array(Bool),
    "tags": Array(String),
    "seen": Array(UnixTimestamp),
    "photo": Bytes,
}
VIEWS: dict[str, tuple[list[Entity], dict[str, Any]]] = {
    "driver_hourly_stats": ([driver], STATS),
    "driver_profile": ([driver], {"rating": Float64, "age": Int64}),
    "customer_driver": ([customer, driver], {"affinity": Float32, "trips": Int64}),
    "city_traffic": ([city], {"jam": Float32}),
    "day_sales": ([day], {"sales": Int64}),
    "weather": ([], {"temperature": Float32, "rain": Bool}),
}

KEY_TYPES = {"driver_id": Int64, "customer_id": String, "city_code": Int32, "day": UnixTimestamp}


def stats(number: int, at: datetime, **other: Any) -> dict[str, Any]:
    """One row of the widest view."""
    return {
        "driver_id": number,
        "conv_rate": 0.1,
        "acc_rate": 0.2,
        "avg_daily_trips": 12,
        "late_trips": -3,
        "active": True,
        "tier": "gold",
        "signed_up": AT - 100 * DAY,
        "embedding": [0.5, -0.25, 1.5],
        "weekly": [1.0, 0.1],
        "steps": [1, -2, 300],
        "counts": [7, -7],
        "shifts": [True, False, True],
        "tags": ["a", "größe"],
        "seen": [AT, AT - DAY],
        "photo": b"\x00\xff",
        "event_timestamp": at,
    } | other


ROWS: dict[str, list[dict[str, Any]]] = {
    "driver_hourly_stats": [
        stats(1001, AT),
        stats(1002, AT - 2 * DAY, conv_rate=0.25, tier="silver", active=False, avg_daily_trips=2**53 + 1),
        stats(1003, AT, avg_daily_trips=None, conv_rate=None, tier=None, embedding=None, signed_up=None),
        stats(-1, AT, acc_rate=float("nan"), tags=[], steps=[]),
    ],
    "driver_profile": [
        {"driver_id": 1001, "rating": 4.5, "age": 41, "event_timestamp": AT - DAY},
        {"driver_id": 1004, "rating": 3.5, "age": 29, "event_timestamp": AT},
    ],
    "customer_driver": [
        {"customer_id": "anna", "driver_id": 1001, "affinity": 0.75, "trips": 3, "event_timestamp": AT},
        {"customer_id": "größe 7", "driver_id": 1002, "affinity": 0.5, "trips": 1, "event_timestamp": AT},
        {"customer_id": "a:b", "driver_id": 1001, "affinity": 0.5, "trips": 1, "event_timestamp": AT},
    ],
    "city_traffic": [{"city_code": -5, "jam": 0.5, "event_timestamp": AT}],
    "day_sales": [{"day": AT, "sales": 99, "event_timestamp": AT}],
    "weather": [{"temperature": 21.5, "rain": False, "event_timestamp": AT}],
}
ASKED: dict[str, list[dict[str, Any]]] = {
    "driver_hourly_stats": [{"driver_id": one} for one in (1001, 1002, 1003, -1, 1009)],
    "driver_profile": [{"driver_id": one} for one in (1001, 1004)],
    "customer_driver": [
        {"customer_id": "anna", "driver_id": 1001},
        {"customer_id": "größe 7", "driver_id": 1002},
    ],
    "city_traffic": [{"city_code": -5}],
    "weather": [{"driver_id": 1001}],
}


def store_of(folder: str, redis: str, project: str, serialization: int = 3) -> FeatureStore:
    """A feature store with all views, its online store in Redis."""
    store = FeatureStore(
        config=RepoConfig(
            project=project,
            registry=str(Path(folder) / f"{project}.db"),
            provider="local",
            online_store={"type": "redis", "connection_string": redis},
            entity_key_serialization_version=serialization,
        )
    )
    views = []
    for name, (entities, schema) in VIEWS.items():
        path = str(Path(folder) / f"{name}.parquet")
        pd.DataFrame(ROWS[name]).to_parquet(path)
        keys = [Field(name=one.join_key, dtype=KEY_TYPES[one.join_key]) for one in entities]
        views.append(
            FeatureView(
                name=name,
                entities=entities,
                ttl=DAY,
                schema=keys + [Field(name=one, dtype=kind) for one, kind in schema.items()],
                source=FileSource(path=path, timestamp_field="event_timestamp"),
            )
        )
    store.apply([driver, customer, city, day, *views])
    return store


def written(store: FeatureStore) -> None:
    """Write every row."""
    for name, rows in ROWS.items():
        if name == "weather":
            store.materialize(AT - DAY, AT + DAY, [name])  # which knows the entity of a view without one
            continue
        frame = pd.DataFrame(rows)
        if name == "driver_hourly_stats":
            frame["avg_daily_trips"] = frame["avg_daily_trips"].astype("Int64")
        store.write_to_online_store(name, frame)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict | list | tuple):
        return (
            {key: plain(one) for key, one in value.items()}
            if isinstance(value, dict)
            else [*map(plain, value)]
        )
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and isnan(value) else value


def main() -> None:
    """Write the files."""
    host, _, port = sys.argv[1].partition(":")
    redis: Any = Redis(host=host, port=int(port))
    redis.flushall()
    answers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(folder, sys.argv[1], "probe_repo")
        written(store)
        for view, entities in ASKED.items():
            names = [f"{view}:{name}" for name in VIEWS[view][1]]
            found = store.get_online_features(features=names, entity_rows=entities).to_dict()
            answers[view] = {"asked": entities, "answered": plain(found)}
        for project, serialization in (("my_probe_repo", 3), ("old_repo", 2)):
            other = store_of(folder, sys.argv[1], project, serialization)
            for view in ("driver_profile", "customer_driver"):
                other.write_to_online_store(view, pd.DataFrame(ROWS[view]))
    hashes = {
        key.hex(): {
            bytes(name).hex(): bytes(value).hex() for name, value in sorted(redis.hgetall(key).items())
        }
        for key in sorted(redis.keys())
    }
    HERE.mkdir(exist_ok=True)
    for name, data in (("hashes", hashes), ("answers", answers)):
        (HERE / f"{name}.json").write_text(
            json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        )


if __name__ == "__main__":
    main()
