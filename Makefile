# `make demo` and `make test`: each does all the set-up it needs, once.
#
# Nothing on the system is touched but by Debian's own packages, and those only where root or a sudo without a
# password is there; everything of Python's goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A pip.conf of the user's may send packages elsewhere than into the environment.
PIP := env -u PIP_TARGET -u PIP_PREFIX PIP_USER=0 $(BIN)/python -m pip
# A file of tests runs in one process: its guests are shared.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile
PURE := $(addprefix tests/,analysis arch commands machine render repair $(addprefix test_,bits.py adding_a_command.py captures.py cli.py docs.py layering.py readme.py reference.py schema.py))

.DEFAULT_GOAL := help

help:
	@echo "make demo        watch an access-flag fault be explained and repaired in a real guest (ARCH=riscv64, x86_64: of others)"
	@echo "make linux       put a Debian kernel and a shell for it into build/linux, to try things on"
	@echo "make quick       lint, types and the tests that need no guest, in under a minute"
	@echo "make test        everything that is checked on each change"
	@echo "make test-full   and what takes longer"
	@echo "make bench       what is measured: ratios within one run"
	@echo "make docs        write docs/commands.md again, from the commands' declarations"
	@echo "make guests      build fixtures/guests again (needs gcc-aarch64-linux-gnu)"

linux: packages $(VENV)/.development
	@$(BIN)/python -m tests.guests.debian build/linux

quick: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) --quiet -m "not guest and not full and not slow" $(PURE)

demo: packages $(VENV)/.runtime
	@$(BIN)/gdbtools demo $(if $(ARCH),--arch $(ARCH)) $(if $(QEMU),--qemu "$(QEMU)")

test: packages $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

test-full: packages $(VENV)/.development
	GDBTOOLS_FULL=1 $(PYTEST)

bench: packages $(VENV)/.development
	@$(BIN)/python -m bench

docs: $(VENV)/.development
	@$(BIN)/python -m tests.reference write

guests:
	$(MAKE) -C fixtures/guests

# Prints one line and goes on where something cannot be had: the demo then replays, the tests then skip, loudly.
packages:
	@sh .ci/packages

$(VENV)/bin/python: | packages
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.development: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

.PHONY: help linux quick demo test test-full bench docs guests packages
