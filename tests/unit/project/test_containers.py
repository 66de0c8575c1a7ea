"""What the container files promise: who runs, who is reachable, what is inside."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
OUR_USER, REDIS_USER = "10001", "999"

SERVER = ("server-pins", "server-files")  # the second begins with the first

Stage = list[tuple[str, str]]


def stages() -> dict[str, Stage]:
    """The Dockerfile as stage name -> its instructions, in order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found[rest.split()[-1]] = []
        if word and word != "#":
            list(found.values())[-1].append((word, rest.strip()))
    return found


def only(stage: Stage, word: str) -> str:
    """The one instruction of this kind in a stage."""
    found = [rest for kind, rest in stage if kind == word]
    assert len(found) == 1, (word, found)
    return found[0]


def runs(*names: str) -> Stage:
    """What stages run, one after the other."""
    return [(kind, rest) for name in names for kind, rest in stages()[name] if kind == "RUN"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture(scope="module")
def extras() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, list[str]] = project["optional-dependencies"]
    return found


def closure(extras: dict[str, list[str]], extra: str) -> set[str]:
    """Names of the distributions an extra asks for, through the extras it names."""
    names: set[str] = set()
    for requirement in extras[extra]:
        inner = re.match(r"insitu\[(.+)\]", requirement)
        name = re.split(r"[\[<>=!~; ]", requirement)[0]
        names |= set().union(*(closure(extras, e) for e in inner[1].split(","))) if inner else {name}
    return names


@pytest.mark.parametrize("target", ["server", "trainer"])
def test_an_image_runs_as_a_numbered_user_that_is_not_root(target: str) -> None:
    assert only(stages()[target], "USER") == f"{OUR_USER}:{OUR_USER}"


@pytest.mark.parametrize("target", ["server", "trainer"])
def test_an_image_starts_the_command_itself_so_that_sigterm_reaches_it(target: str) -> None:
    stage = stages()[target]

    assert json.loads(only(stage, "ENTRYPOINT")) == ["insitu"]
    assert isinstance(json.loads(only(stage, "CMD")), list)


def test_no_image_reports_to_the_maker_of_the_runtime() -> None:
    assert ("ENV", "ORT_DISABLE_TELEMETRY=1") in stages()["base"]


def test_a_build_without_a_target_makes_the_server() -> None:
    assert list(stages())[-1] == "server"


def test_the_server_image_tells_whether_it_is_ready() -> None:
    _, _, command = only(stages()["server"], "HEALTHCHECK").partition("CMD ")

    assert "/health/ready" in json.loads(command)[-1]


def test_the_server_image_holds_no_torch(extras: dict[str, list[str]]) -> None:
    installed = [rest for kind, rest in runs(*SERVER) if "'.[" in rest]

    assert re.findall(r"'\.\[(\w+)\]'", " ".join(installed)) == ["server"]
    assert only(stages()["server"], "COPY").startswith("--from=server-files ")
    assert closure(extras, "server").isdisjoint({"torch", "onnxscript", "scikit-learn", "matplotlib"})


def test_both_images_install_pinned_versions() -> None:
    for image in (SERVER, ("trainer-files",)):
        installs = [rest for _kind, rest in runs(*image)]

        assert "--constraint constraints.txt" in installs[0], image
        assert all("--no-deps" in rest for rest in installs[1:]), image


def test_the_servers_hot_path_is_compiled_where_the_compiler_stays_behind() -> None:
    compiled = " ".join(rest for _kind, rest in runs("compiled-wheel"))

    assert "INSITU_COMPILE=1 pip wheel" in compiled
    assert "--constraint constraints.txt '.[compile]'" in compiled
    assert ("COPY", "--from=compiled-wheel /wheel /wheel") in stages()["server-files"]


def test_no_extra_mixes_the_two_builds_of_the_runtime(extras: dict[str, list[str]]) -> None:
    for extra in extras:
        assert len(closure(extras, extra) & {"onnxruntime", "onnxruntime-gpu"}) <= 1, extra


def test_every_port_is_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_redis_keeps_its_data_in_a_volume(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]

    assert "redis-data:/data" in redis["volumes"]
    assert "redis-data" in compose["volumes"]
    assert redis["command"][redis["command"].index("--appendonly") + 1] == "yes"


@pytest.mark.parametrize("service", ["server", "trainer"])
def test_server_and_trainer_reach_redis_over_the_shared_socket(compose: dict[str, Any], service: str) -> None:
    redis, other = compose["services"]["redis"], compose["services"][service]
    path = redis["command"][redis["command"].index("--unixsocket") + 1]

    assert other["environment"]["INSITU_REDIS_URL"] == f"unix://{path}"
    assert "redis-socket:/run/redis" in redis["volumes"]
    assert "redis-socket:/run/redis" in other["volumes"]
    assert other["depends_on"]["redis"]["condition"] == "service_healthy"


def test_the_socket_is_open_to_redis_and_the_servers_group_alone(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]
    options = compose["volumes"]["redis-socket"]["driver_opts"]["o"].split(",")

    assert redis["user"] == f"{REDIS_USER}:{OUR_USER}"
    assert redis["command"][redis["command"].index("--unixsocketperm") + 1] == "770"
    assert {f"uid={REDIS_USER}", f"gid={OUR_USER}", "mode=0750"} <= set(options)


def test_every_service_gives_up_what_it_does_not_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "max-size" in service["logging"]["options"], name
        assert "privileged" not in service, name


def test_the_trainer_runs_only_when_asked(compose: dict[str, Any]) -> None:
    trainer = compose["services"]["trainer"]

    assert trainer["profiles"] == ["train"]
    assert trainer["restart"] == "no"


def test_a_model_that_redis_did_not_take_outlives_its_container(compose: dict[str, Any]) -> None:
    assert "trained:/home/insitu" in compose["services"]["trainer"]["volumes"]
    assert "trained" in compose["volumes"]
    assert (ROOT / "Dockerfile").read_text().count("WORKDIR /home/insitu") == 2


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for stage in stages().values()
        for kind, rest in stage
        if kind == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }

    assert copied == allowed


def test_a_redis_may_take_its_time_to_read_what_it_had(compose: dict[str, Any]) -> None:
    # An unhealthy Redis is given up, and the server with it; one that is healthy early is told of early.
    assert compose["services"]["redis"]["healthcheck"]["start_period"] == "30m"
