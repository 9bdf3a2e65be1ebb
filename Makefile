# make run     start Penstock, embedded, on 127.0.0.1:8080, with its data in ./data
# make test    everything, from install to verdict
# make check   format, lint, types, architecture, generated documents
# make bench   measure, beside Express, Eve and Kafka Connect; make bench-smoke in two minutes
# make deploy-test   the chart, the image, the gateway, the alerts
# make image   the container image, penstock:dev, by podman; BASE=…, TAG=…, OPTIONS="--secret …"
# make stack   real Kafka, MongoDB and Redis to play with; CLUSTER=1 for clusters of each
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test test-long deploy-test image check format docs bench bench-smoke crash stack lock

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(MAKEFILE_LIST)

run: $(VENV)/runtime
	@exec $(BIN)/penstock serve --data data

test: $(VENV)/development
	$(BIN)/python -m pytest tests -m "not long" -n 2 --dist loadfile

test-long: $(VENV)/development
	$(BIN)/python -m pytest tests -m long --timeout 7200

check: $(VENV)/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m penstock.config.document --check docs/configuration.md
	$(BIN)/python -m penstock.telemetry.document --check docs/metrics.md
	$(BIN)/python -m penstock.api.openapi --check docs/openapi.json
	$(BIN)/python -m deploy.render --check

format: $(VENV)/development
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

docs: $(VENV)/development
	$(BIN)/python -m penstock.config.document docs/configuration.md
	$(BIN)/python -m penstock.telemetry.document docs/metrics.md
	$(BIN)/python -m penstock.api.openapi docs/openapi.json
	$(BIN)/python -m deploy.render

bench: $(VENV)/development
	$(BIN)/python -m bench.side_by_side

bench-smoke: $(VENV)/development
	$(BIN)/python -m bench.side_by_side --smoke

deploy-test: $(VENV)/development
	$(BIN)/python -m pytest tests/deploy --timeout 3600

image:
	podman build --format docker --file deploy/docker/Dockerfile --ignorefile deploy/docker/Dockerfile.dockerignore \
	  $(if $(BASE),--build-arg BASE=$(BASE)) $(OPTIONS) --tag penstock:$(or $(TAG),dev) .

crash: $(VENV)/development
	$(BIN)/python -m tests.faults.crash --kills 500

stack: $(VENV)/development
	@exec $(BIN)/python -m tests.support.servers.stack $(if $(CLUSTER),--cluster)

# The locks are written anew with uv: `make lock`, then look at the difference.
lock: $(VENV)/development
	$(BIN)/python -m pip install --quiet uv
	for part in "requirements.lock --group build" "requirements-dev.lock --group dev" \
	  "requirements-image.lock --group build --all-extras --constraint requirements.lock"; do \
	  set -- $$part; file=$$1; shift; \
	  $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-header --no-emit-index-url \
	    --no-emit-find-links --python-version 3.11 "$$@" --output-file $$file pyproject.toml; \
	done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Penstock needs Python 3.11 or later: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python's venv module is missing; installing python3-venv"; \
	  apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what Penstock needs (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@

$(VENV)/development: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing what developing Penstock needs (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@ $(VENV)/runtime
