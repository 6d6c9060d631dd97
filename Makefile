# The front door. `make` alone explains itself; every target does the set-up that it needs.
.DEFAULT_GOAL := help
.PHONY: chaos farm help setup lock engine packages test-packages all-packages bench-packages demo test test-all check format bench up down logs clean doctor
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
# Where the engine is that answers: DOCKER_HOST, Docker's socket, or Podman's.
WITH_ENGINE = DOCKER_HOST="$$($(PY) -m tools.engine address)"
TARGET ?= deb:trixie/cjson
ARGS ?=
TESTS ?=
# As many processes as there are processors; one of them has the engine (tests/conftest.py).
PYTEST = $(PY) -m pytest -n auto --dist loadgroup

help: ## say what there is
	@echo "Two commands: make demo   verifies $(TARGET) for real    make test   runs the tests"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make demo TARGET=deb:trixie/munge     another package"
	@echo "  make test TESTS=tests/compare         some of the tests"

demo: setup packages engine ## verify a real Debian package: rebuild, compare, sign, publish
	@$(WITH_ENGINE) .venv/bin/rebuilder verify $(ARGS) $(TARGET)

test: setup test-packages engine ## run the tests, one real sample for each behaviour (minutes)
	$(WITH_ENGINE) $(PYTEST) -m "not slow" --durations=15 $(ARGS) $(TESTS)

test-all: setup all-packages engine ## run every test, the dear ones too (may take an hour)
	$(WITH_ENGINE) $(PYTEST) $(ARGS) $(TESTS)

chaos: setup test-packages ## 500 short jobs on a real farm with 40 kills (CHAOS_SEED=n for another course)
	$(PY) -m pytest -q tests/workers/test_chaos.py -k 500-jobs $(ARGS)

check: setup ## format, lint, types and the fast tests, without engine and network
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PYTEST) -m "not slow and not engine and not live" $(ARGS) $(TESTS)

format: setup ## write the code the way `make check` wants it
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: setup bench-packages engine ## measure against a plain script, sbuild and sha256sum
	$(WITH_ENGINE) $(PY) -m bench $(ARGS)

setup: ## make .venv hold exactly what requirements.lock names
	@tools/setup

lock: ## write requirements.lock from pyproject.toml (ARGS=--upgrade for newer versions)
	@tools/lock $(ARGS)

packages: setup
	@$(PY) -m tools.packages required recommended

test-packages: setup
	@$(PY) -m tools.packages required recommended tests

all-packages: setup
	@$(PY) -m tools.packages required recommended tests all-tests

bench-packages: setup
	@$(PY) -m tools.packages required recommended tests bench

engine: setup ## use the container engine that answers, or install and start one
	@$(PY) -m tools.engine up

up: setup packages engine ## bring up a farm on this machine (compose.yaml, docs/FARM.md)
	@$(WITH_ENGINE) $(PY) -m tools.farm up

farm: setup ## ask the farm, or tell it something: make farm ARGS="status", "sync deb:trixie-security", "submit deb:trixie/cjson"
	@$(WITH_ENGINE) $(PY) -m tools.farm rebuilder $(ARGS)

logs: setup ## follow what the farm says (ARGS=signer: one part of it)
	@$(WITH_ENGINE) $(PY) -m tools.farm logs $(ARGS)

down: setup ## stop the farm (ARGS=--volumes: forget what it holds), then the engines that make started here, and no other
	@$(WITH_ENGINE) $(PY) -m tools.farm down $(ARGS)
	@$(PY) -m tools.engine down

doctor: setup ## say what this machine lacks and how to get it
	@.venv/bin/rebuilder doctor $(ARGS)

clean: ## remove the virtual environment and the tools' caches (not results/, not the downloads, not a farm)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find .state -mindepth 1 -maxdepth 1 ! -name farm ! -name engine -exec rm -rf {} + 2>/dev/null || true
