"""The configuration that a load brings along: checked as far as it concerns us, and otherwise passed over."""

from difflib import get_close_matches
from typing import Any

import orjson

from models.errors import BadRequest, listed, shown
from server.open_inference.describing import BACKEND, PLATFORM

BACKENDS = (BACKEND, "onnx", "")
PLATFORMS = (PLATFORM, "onnx_onnxv1", "")
# Source: ModelConfig of Triton's model_config.proto. What serves is read from the ONNX file and the feature view.
FIELDS = (
    *("name", "platform", "backend", "runtime", "version_policy", "max_batch_size", "input", "output"),
    *("batch_input", "batch_output", "optimization", "dynamic_batching", "sequence_batching"),
    *("ensemble_scheduling", "instance_group", "default_model_filename", "cc_model_filenames", "metric_tags"),
    *("parameters", "model_warmup", "model_operations", "model_transaction_policy"),
    *("model_repository_agents", "response_cache", "model_metrics"),
)


def check_config(model: str, text: object) -> None:
    """Refuse a configuration of something else than an ONNX model of that name.

    Raises: BadRequest.
    """
    config = parsed(text)
    unknown = next((name for name in config if name not in FIELDS), None)
    if unknown is not None:
        near = get_close_matches(unknown[:64], FIELDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "leave it out"
        raise BadRequest(f"the config has a field {shown(unknown)!r} that is not known; {hint}")
    if config.get("name", model) not in (model, ""):
        raise BadRequest(
            f"the config is for model {shown(config['name'])!r}, the request loads {model!r}; name the same"
        )
    check_choice("backend", config.get("backend", ""), BACKENDS)
    check_choice("platform", config.get("platform", ""), PLATFORMS)


def parsed(text: object) -> dict[str, Any]:
    """Return a configuration from its JSON text.

    Raises: BadRequest.
    """
    if not isinstance(text, str):
        raise BadRequest(f"parameter `config` is {shown(text)}; send the configuration as a text of JSON")
    try:
        config = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"parameter `config` is no JSON: {shown(error)}; send a JSON object") from error
    if not isinstance(config, dict):
        raise BadRequest(f"parameter `config` is {shown(config)}; send a JSON object")
    return config


def check_choice(field: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse what does not run ONNX.

    Raises: BadRequest.
    """
    if value not in known:
        raise BadRequest(
            f"the config says {field} {shown(value)!r}; this server runs ONNX alone: {listed(filter(None, known))}"
        )
