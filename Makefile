# What CI runs, by hand: `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Any Python 3.11 to 3.13; the newest one found when empty.    make install PYTHON=/opt/python3.12/bin/python3
PYTHON ?=
# What goes into .venv beside the base (see pyproject.toml).     make install EXTRAS=server,embedded
EXTRAS ?= server,trainer,embedded,dev
# An extra package index, for example the small CPU builds of PyTorch where pip would fetch the large CUDA ones:
#                                          make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Arguments for pytest, in place of the whole suite.             make test ARGS='tests/unit -x'
ARGS ?=
# Processes that run the tests side by side, 0: one.             make test JOBS=0
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))

SIDE_BY_SIDE := -n $(JOBS) --dist worksteal
# What failed beside others is run once more, one at a time: on a busy machine a test may wait for its turn in vain.
AGAIN := --last-failed --last-failed-no-failures none --exitfirst
TEST = $(1) $(BIN)/python -m pytest --cache-clear $(SIDE_BY_SIDE) -m 'not alone' $(2) || { \
    ended=$$?; [ $$ended = 1 ] || exit $$ended; \
    echo "What failed beside others, once more and by itself; what fails again has failed:"; \
    $(1) $(BIN)/python -m pytest $(AGAIN) -m 'not alone' $(2); }

# The packages with their hot path as C, and the tests that hold them to the same.
BUILT := build/compiled
COMPILED_TESTS := tests/unit/models $(addprefix tests/integration/,rest/test_roads.py rest/test_http_api_page.py \
    resp/test_predicting.py resp/test_dag.py resp/test_short_roads.py server/test_predictor.py server/test_reader.py \
    server/test_traffic.py server/test_on_ray.py)

VENV := .venv
BIN := $(VENV)/bin
comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
# Beside whatever EXTRAS put there: the rivals of `make bench`.
BENCH_STAMP := $(VENV)/.bench
# Those that pin packages of their own, apart from ours: their versions, and where they lie. pytriton takes no newer numpy than 1.
RIVALS := nvidia-pytriton==0.7.0 mlserver==1.7.1
RIVALS_VENV := $(VENV)/rivals
RIVALS_STAMP := $(RIVALS_VENV)/.installed
# RedisAI's own client wants an older redis-py than ours; tests run it where EXTRAS names `clients`.
REDISAI := redisai==1.3.0 redis==4.6.0 numpy==2.2.6
REDISAI_VENV := $(VENV)/redisai
REDISAI_STAMP := $(REDISAI_VENV)/.installed
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
    $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt

# Exits 0 on a Python that can run us.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
# The same for two commands of one Python.
IDENTITY := import sys; print(sys.version.split()[0], "of", sys.base_prefix)
# One line for every package large enough to be waited for, and one where what is waited for is an index that is away.
PROGRESS := /Downloading .*[0-9] [MG]B\)/ { split($$2, name, "-"); print "  " name[1] " " $$(NF - 1) " " $$NF; fflush() } \
    /WARNING: Retrying / && !told { told = 1; \
        print "  a package index does not answer; pip asks it five times more for each package"; fflush() }

.PHONY: help demo install asked-python test check format e2e compiled test-compiled bench bench-models clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: install ## Train three models, keep them in Redis, serve them, predict from keys
	@$(BIN)/insitu demo

install: $(STAMP) $(if $(findstring clients,$(EXTRAS)),$(REDISAI_STAMP)) ## Put everything into .venv
	@:

test: install ## Run the whole test suite
ifeq ($(strip $(ARGS)),)
	@$(call TEST)
	@$(BIN)/python -m pytest -m alone $$(grep -rlw --include='test_*.py' mark.alone tests)
else
	@$(BIN)/python -m pytest $(ARGS)
endif

check: install ## Run the linters, the type checker and the checks of imports and container files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/hadolint Dockerfile

format: install ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

e2e: install ## Run the tests that need a browser (apt install chromium) and the extra e2e
	@$(BIN)/python -m pytest tests/e2e --e2e $(ARGS)

compiled: $(BUILT)/.made ## Compile the hot path to C, into build/compiled; needs a C compiler and Python's headers
	@:

$(BUILT)/.made: $(STAMP) setup.py $(shell find models server cli trainer -name '*.py' 2>/dev/null)
	@$(BIN)/python -c 'import mypyc, setuptools' 2>/dev/null || $(PIP_INSTALL) -q -e ".[compile]"
	@rm -rf $(BUILT); mkdir -p build; \
	echo "Compiling the hot path into $(BUILT) (a minute or two, log: build/compiled.log)"; \
	if ! INSITU_COMPILE=1 $(BIN)/python setup.py -q build -b build -t build/objects --build-lib $(BUILT) --parallel $(JOBS) \
	    >build/compiled.log 2>&1; then \
	  tail -n 15 build/compiled.log >&2; \
	  echo "It could not be compiled (above: the end of build/compiled.log). Debian, Ubuntu: apt install gcc python3-dev" >&2; \
	  exit 1; \
	fi; \
	touch $@

test-compiled: compiled ## Run the tests of what is served over the compiled hot path
	@$(call TEST,PYTHONPATH=$(CURDIR)/$(BUILT) PYTHONSAFEPATH=1,-o pythonpath=$(BUILT) $(or $(ARGS),$(COMPILED_TESTS)))

bench: $(BENCH_STAMP) compiled $(RIVALS_STAMP) ## Measure Insitu beside its rivals, 21 minutes (ARGS=--quick: four); needs wrk
	@$(BIN)/python -m benchmarks $(ARGS)

bench-models: install ## Compare trained networks with scikit-learn on held-out rows, some minutes (ARGS='--only wine')
	@$(BIN)/python -m benchmarks.skill $(ARGS)

clean: ## Remove .venv and what the tools left behind
	@rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@python="$(PYTHON)"; \
	for name in $${python:-python3.13 python3.12 python3.11 python3}; do \
	  if "$$name" -c '$(SUITS)' 2>/dev/null; then found=$$name; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "No Python 3.11 to 3.13 among: $${python:-python3.13 python3.12 python3.11 python3}." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13)" >&2; \
	  echo "or name it: make install PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$(command -v "$$found") cannot make a virtual environment: its modules venv and ensurepip are missing." >&2; \
	  echo "Debian, Ubuntu: apt install $$("$$found" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')-venv" >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV)

# An environment keeps the Python that it was made with: another one that is asked for is not taken in silence.
asked-python: $(VENV)/bin/python
	@if [ -n "$(PYTHON)" ] && [ "$$("$(PYTHON)" -c '$(IDENTITY)' 2>&1)" != "$$($< -c '$(IDENTITY)')" ]; then \
	  echo "$(VENV) has Python $$($< -c '$(IDENTITY)'), which is not $(PYTHON);" >&2; \
	  echo "\`make clean\` removes it, and then \`make install PYTHON=$(PYTHON)\` makes another" >&2; \
	  exit 1; \
	fi

$(STAMP): pyproject.toml constraints.txt | asked-python
	@set -o pipefail; start=$$SECONDS; \
	echo "Installing insitu[$(EXTRAS)] into $(VENV); PyTorch is the large one (a few minutes, log: $(VENV)/install.log)"; \
	if ! $(PIP_INSTALL) -e '.[$(EXTRAS)]' 2>&1 \
	    | tee $(VENV)/install.log | awk '$(PROGRESS)'; then \
	  tail -n 15 $(VENV)/install.log >&2; \
	  echo "pip could not install (above: the end of $(VENV)/install.log). Is a package index reachable?" >&2; \
	  echo "The next \`make install\` goes on where this one stopped; \`make clean\` starts afresh." >&2; \
	  exit 1; \
	fi; \
	rm -f $(VENV)/.installed-*; touch $@; \
	echo "Installed in $$((SECONDS - start)) s; the command is $(BIN)/insitu"

$(BENCH_STAMP): $(STAMP)
	@$(PIP_INSTALL) -q -e '.[bench]'
	@touch $@

# Each by itself: one that a machine cannot have is left out of the comparison, the rest is measured.
$(RIVALS_STAMP): | $(VENV)/bin/python
	@echo "Installing $(RIVALS) into $(RIVALS_VENV), apart from everything else (about 0.6 GB on disk)"; \
	$(BIN)/python -m venv $(RIVALS_VENV); \
	touch $(RIVALS_VENV)/.all; \
	for rival in $(RIVALS); do \
	  if ! $(RIVALS_VENV)/bin/python -m pip install -q --disable-pip-version-check "$$rival" onnxruntime 'numpy<2'; then \
	    rm -f $(RIVALS_VENV)/.all; \
	    echo "$$rival could not be installed: open-inference leaves it out, the next \`make bench\` tries again" >&2; \
	  fi; \
	done; \
	if [ -e $(RIVALS_VENV)/.all ]; then mv $(RIVALS_VENV)/.all $@; fi

$(REDISAI_STAMP): Makefile | $(VENV)/bin/python
	@$(BIN)/python -m venv $(REDISAI_VENV)
	@$(REDISAI_VENV)/bin/python -m pip install -q --disable-pip-version-check $(REDISAI)
	@touch $@
