# Every target sets up what it needs, and may be repeated at any time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
AREA ?= all
N ?= 200
DATABASE ?= both
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-development test-servers demo test crash up lint bench requirements picture schema

# Airflow and Great Expectations import in ten seconds instead of two when byte code may not be kept.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUNBUFFERED := 1

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | expand -t 20

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 11), f"Python 3.11 is needed, this is {sys.version}"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.runtime: $(BIN)/uv requirements.txt pyproject.toml
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	@touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-development.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements-development.txt
	@touch $@

setup: $(VENV)/.runtime ## the environment that runs Rollcall, byte-compiled
	@$(BIN)/python -m compileall -q include connectors dags plugins

setup-development: setup $(VENV)/.development

test-servers: ## the Debian packages of the servers that the tests start
	@tests/servers/install

demo: setup-development ## play three days of the demo organisation as Airflow runs
	@$(BIN)/python -m include.demo play

test: setup-development test-servers ## all tests
	$(BIN)/python -m pytest

crash: setup-development test-servers ## kill steps at random instants until N kills landed per database: make crash [AREA=all] [N=200] [DATABASE=both]
	@for area in $(if $(filter all,$(AREA)),synchronization provisioning,$(AREA)); do \
		$(BIN)/python -m tests.crash --area $$area --kills $(N) --database $(DATABASE); \
	done

up: setup-development ## Airflow on http://localhost:8080 with the demo's connectors
	@$(BIN)/rollcall up

lint: setup-development ## ruff, mypy and the import rules of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-development test-servers $(VENV)/.bench ## benchmarks against peers: make bench [AREA=load]
	$(BIN)/python -m benchmarks --area $(AREA)

$(VENV)/.bench: $(VENV)/.development requirements-bench.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements-bench.txt
	@touch $@

requirements: $(BIN)/uv ## resolve pyproject.toml again into the pinned requirements files
	$(BIN)/uv pip compile --quiet --python-version 3.11 --all-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --all-extras --group test --group lint -c requirements.txt --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements-development.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --all-extras --group test --group lint --group bench -c requirements-development.txt --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements-bench.txt

picture: setup-development test-servers ## docs/flow.svg, drawn from the DAGs
	$(BIN)/python -m docs.draw_flow

schema: setup ## the JSON Schema of a connector file, for editors
	$(BIN)/rollcall schema --output docs/connector.schema.json
