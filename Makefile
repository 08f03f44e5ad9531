# What a person types. The work is in scripts/desk (plan, converge, ...) and tests/lab (the lab).
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python

# Commands on the machines. Each takes HOST=name[,name] and LAB=1.
DESK_COMMANDS := plan converge verify status ssh rebuild record

# Only what is said on the command line: some shells export a HOST of their own.
said = $(if $(filter command,$(firstword $(origin $(1)))),$(value $(1)))
export DESK_HOST := $(call said,HOST)
export APEX := $(call said,APEX)
export DESK_CMD := $(call said,CMD)
override undefine CMD
desk = $(PYTHON) -m scripts.desk

# make itself answers any failing recipe with 2. So that `make plan` can also end with 1 (could not look), the
# command runs first and leaves its exit code; then make's own -q, which ends with 1 where something is left to do,
# ends with 1 if that code was 1. Not under -n, which must run nothing, nor with several goals, of which -q would
# run the second after the first has failed.
ifneq (,$(filter $(DESK_COMMANDS:=-1),$(MAKECMDGOALS)-$(words $(MAKECMDGOALS))))
ifeq (,$(findstring n,$(firstword -$(MAKEFLAGS))))
MAKEFLAGS += -q
run := +@
endif
endif
run ?= @
# $(1): the command. Its exit code, once; and the recipe line that ends with it.
code_file = .desk/exit-$(1)-$$PPID
code = $(shell cat $(code_file) 2>/dev/null && rm -f $(code_file))
end_with = $(if $(filter-out 0,$(1)),$(if $(filter 1,$(1)),@exit 1,$(run)$(if $(filter 130,$(1)),kill -INT $$PPID,exit $(1))))

.PHONY: help setup lock check lab lab-down $(DESK_COMMANDS) test test-unit test-windows cover-windows test-lab test-lab-windows \
	bench-converge bench-distance

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'HOST=apex,g16 says which machines (default: all); LAB=1 means the lab instead of the real ones.'

setup: .venv/stamp ## the virtualenv, from the lock

.venv/stamp: requirements.lock
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'python3 here is missing or older than 3.11: install Python 3.11 or newer' >&2; exit 1; }
	@test -x $(PYTHON) || python3 -m venv .venv >/dev/null 2>&1 || \
		{ rm -rf .venv; echo 'python3 here has no venv: install it (Debian, Ubuntu: apt install python3-venv)' >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

lock: ## renew both requirements.lock, ours and the gateway's (wants uv)
	@command -v uv >/dev/null || { echo 'there is no uv here: pipx install uv' >&2; exit 1; }
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
		--group dev -o requirements.lock pyproject.toml
	cd scripts/gateway && uv pip compile --universal --python-version 3.11 --only-binary :all: --generate-hashes \
		--no-header --no-annotate --upgrade --override overrides.txt -o requirements.lock requirements.in

check: setup ## lint, format, types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

lab: setup ## two machines from nothing to an answer, in Docker (APEX=windows: a Windows machine; remembered)
	@$(desk) lab

lab-down: ## remove every trace of the lab
	@$(desk) lab-down

plan: ran-plan ## what would change and why; exit 0 nothing, 2 changes, 1 could not look
converge: ran-converge ## make it so; exit 0, 1, 130 interrupted
verify: ran-verify ## ask the machines with their own tools whether it is so
status: ran-status ## one screen of all machines
ssh: ran-ssh ## a shell on HOST=, or CMD='...' there
rebuild: ran-rebuild ## HOST= from bare to verified, with a stopwatch
record: ran-record ## what a real Windows HOST= answers, byte by byte, into records/
$(DESK_COMMANDS):
	$(call end_with,$(call code,$@))

ran := $(addprefix ran-,$(DESK_COMMANDS))
.PHONY: $(ran)
$(ran): ran-%:
	$(run)mkdir -p .desk; if [ -x $(PYTHON) ]; then env -u MAKEFLAGS -u MFLAGS $(desk) $*; \
		else echo 'there is no .venv here: run `make setup`' >&2; false; fi; echo $$? >$(call code_file,$*)

test: test-unit test-windows test-lab test-lab-windows ## everything but the long half of the lab with a Windows Apex

# Unit tests that have a whole stand-in Windows machine under them.
ON_STANDINS := $(addprefix tests/unit/,core/test_system.py core/test_system_programs.py verify/test_windows_machine.py)

test-unit: setup ## without machines, about a minute
	@$(PYTHON) -m pytest -n 4 tests/unit $(ON_STANDINS:%=--ignore=%)

test-windows: setup ## everything that has stand-ins of Windows under it
	@$(PYTHON) -m pytest -n 2 tests/windows $(ON_STANDINS)

cover-windows: setup ## how much of the agent's Windows half the stand-ins' tests run; fails below 95 %
	@$(PYTHON) -m tests.windows.cover

test-lab: setup ## the lab comes up (if it is not), then end to end, tamper, faults, rebuild
	@APEX=$(or $(APEX),linux) $(desk) lab
	@LAB=1 $(PYTHON) -m pytest tests/lab/suites

# Apex is made anew as a Windows machine; `make test-lab APEX=windows` runs all suites on it.
test-lab-windows: setup ## Apex is Windows: bare to an answer, one change, sick gateway, firewall, bad input, moments
	@APEX=windows $(desk) lab
	@LAB=1 $(PYTHON) -m pytest $(addprefix tests/lab/suites/,test_1* test_2* test_4* test_5_firewall* test_d* test_e*)

bench-converge: setup ## LAB=1: a converge that changes nothing, beside Ansible's
	@$(PYTHON) -m tests.bench.converge

bench-distance: setup ## a machine of the lab from near and far, beside a process per resource (HOST=apex)
	@$(PYTHON) -m tests.bench.distance
