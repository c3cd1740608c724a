# What a developer runs. Each target sets up what it needs; nothing is installed outside .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
JOBS ?= auto

.PHONY: setup run check test test-all faults fuzz bench bench-quick up down docs lock
.DEFAULT_GOAL := setup

setup: $(STAMP)  ## make .venv from the hashed lock, and the project in it (editable)

$(STAMP): pyproject.toml requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "stockbook needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup  ## a day in a shop, on an embedded PostgreSQL and an in-process broker
	$(BIN)/stockbook demo

check: setup  ## what a reviewer should not have to say
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard services shared tests benchmarks)
	$(BIN)/lint-imports

test: setup  ## everything that is quick, on all processors; JOBS=0 for one test after the other
	$(BIN)/pytest -m "not slow" --numprocesses=$(JOBS) --dist=loadfile --durations=25

test-all: setup  ## everything, with many more examples
	STOCKBOOK_HYPOTHESIS_PROFILE=thorough $(BIN)/pytest

faults: setup  ## every fault under 5,000 movements, on private servers; docs/faults.md tells more
	$(BIN)/python -m tests.faults

fuzz: setup  ## inputs that nobody should send, to decoding and to the whole intake; some minutes each
	$(BIN)/python -m tests.fuzz --target decoding --inputs 1000000
	$(BIN)/python -m tests.fuzz --target intake --inputs 50000
	$(BIN)/python -m tests.fuzz --target rabbitmq --inputs 2000

bench: setup  ## every figure, into benchmarks/results/; an hour or two, on an otherwise idle machine
	$(BIN)/python -m benchmarks

bench-quick: setup  ## the same in small, some minutes
	$(BIN)/python -m benchmarks --quick

# `docker compose` where there is the plugin, else `docker-compose`; and what to do where there is neither.
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
define DOCKER_ANSWERS
@docker version >/dev/null 2>&1 \
  || { echo "no Docker engine answers: install or start it. \`make run\` needs none." >&2; exit 1; }
@$(COMPOSE) version >/dev/null 2>&1 \
  || { echo "there is neither \`docker compose\` nor docker-compose: install Docker's compose plugin." >&2; exit 1; }
endef

up:  ## RabbitMQ, PostgreSQL and the workers in containers; docs/operations.md tells more
	$(DOCKER_ANSWERS)
	$(COMPOSE) up -d --build

down:  ## stop and remove the containers; the data stay in their volumes
	$(DOCKER_ANSWERS)
	$(COMPOSE) down

docs: setup  ## what is made from the code: docs/messages, docs/reports.md, the dashboard, tables of docs/metrics.md, docs/import-columns.md, deploy/rabbitmq
	$(BIN)/python -m services.desk.docs
	$(BIN)/python -m services.desk.docs.reports
	$(BIN)/python -m services.desk.dashboard
	$(BIN)/python -m services.desk.importing.page
	$(BIN)/stockbook broker-definitions --bare --output deploy/rabbitmq/definitions.json

lock:  ## write both lock files anew; needs uv on the path
	uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-header -q -o requirements.lock
	uv pip compile pyproject.toml --extra dev --extra embedded -c requirements.lock --generate-hashes --universal \
	  --python-version 3.11 --no-emit-index-url --no-header -q -o requirements-dev.lock
