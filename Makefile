# `make run` and `make test` do all of their own set-up, in .venv, and only again when what it is made from has changed.
#   ARGS="…"         passed on: make run ARGS="--port 18790"     make test ARGS="-k pairing -x"
#   ALL=1            also the slow tests and those that need real programs (nginx, caddy, namespaces, node, chromium, systemd)
#   WORKERS=N        with ALL=1, how many tests run at a time (2)
#   REQUIRE_REAL=1   a missing real program is a failure instead of a skip
#   PYTHON=…         which Python (3.11 or newer) .venv is made from

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INPUTS := pyproject.toml constraints.txt gateway/version.py Makefile $(VENV)/pyvenv.cfg
CODE := gateway stores cli tests benchmarks

# Without ALL=1: what a developer waits for between two edits.
# With it, most of the time is spent waiting for programs: several tests at a time, each file by one of the workers.
WORKERS ?= 2
EVERYTHING := --hypothesis-profile=thorough -n $(WORKERS) --dist loadgroup
SELECT := $(if $(ALL),$(EVERYTHING),-m "not slow and not real") $(if $(REQUIRE_REAL),--require-real)

# A .venv whose interpreter has gone (an upgraded system), or that was made elsewhere (a moved checkout), is made anew.
BROKEN := $(shell grep -qF "$(CURDIR)/$(VENV)" $(VENV)/pyvenv.cfg 2>/dev/null && $(BIN)/python -c "" || echo broken)

.PHONY: help run test lint format docs bench coverage clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@sed -n 's/^#  /  /p' Makefile

run: $(VENV)/run.stamp ## the gateway in the foreground; Ctrl-C ends it
	@exec $(BIN)/openclaw gateway run $(ARGS)

test: lint ## ruff, mypy and the tests (under 3 minutes)
	$(BIN)/python -m pytest $(SELECT) $(ARGS)

lint: $(VENV)/test.stamp ## ruff and mypy alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test.stamp ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/test.stamp ## write the reference pages that are made from the code
	$(BIN)/python -m stores.config.reference docs/reference/config.md
	$(BIN)/python -m cli.reference docs/reference/cli.md
	$(BIN)/python -m gateway.access_page docs/reference/access.md

bench: $(VENV)/test.stamp ## measure what the speed claims rest on
	$(BIN)/python -m benchmarks $(ARGS)

coverage: $(VENV)/test.stamp ## branch coverage, and the thresholds it must reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q $(SELECT) $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='stores/*,gateway/policy/*,gateway/protocol/*' --fail-under=100

clean: ## remove everything that make and the tools made; never touches a gateway's state
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(wildcard $(CODE)) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run.stamp: $(INPUTS)
	@echo "installing openclaw-gateway into $(VENV) (a minute, only when its requirements change)"
	@$(PIP) install -qq -c constraints.txt -e .
	@touch $@

$(VENV)/test.stamp: $(INPUTS)
	@echo "installing openclaw-gateway and its test tools into $(VENV) (a minute, only when its requirements change)"
	@$(PIP) install -qq -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/run.stamp

# Debian splits ensurepip off into python3-venv; there, a pip beside the interpreter can fill .venv as well.
$(VENV)/pyvenv.cfg: $(if $(BROKEN),broken)
	@for python in $(PYTHON); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  if "$$python" -c 'from ensurepip import bootstrap' 2>/dev/null; then \
	    exec "$$python" -m venv --clear $(VENV); \
	  elif "$$python" -m pip --version >/dev/null 2>&1; then \
	    "$$python" -m venv --clear --without-pip $(VENV) && \
	    exec "$$python" -m pip --disable-pip-version-check --python $(BIN)/python install -qq pip; \
	  fi; \
	  echo "$$python can make no virtual environment: it lacks ensurepip and pip" >&2; \
	  echo "hint: \`apt-get install python3-venv\`, or name another Python: \`make PYTHON=/path/to/python3 …\`" >&2; \
	  exit 1; \
	done; \
	echo "no Python 3.11 or newer among: $(PYTHON)" >&2; \
	echo "hint: install one, or name it: \`make PYTHON=/path/to/python3.11 …\`" >&2; \
	exit 1

.PHONY: broken
broken:
