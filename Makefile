# Needs make and Python 3.11 or newer; everything else goes into .venv, from requirements.lock.
# Kept to what GNU make 3.81 and BSD tools know, so that it runs on macOS as it comes.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PICKROOM := $(VENV)/bin/pickroom
READY := $(VENV)/.ready
HEADLESS_HOME := build/demo-headless

# Every pinned package has a wheel for 3.11 to 3.14; `make PYTHON=/path/to/python` overrides the search.
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3.14 python3)

# Makes the checkout the workspace of every command below it, unless $PICKROOM_HOME names another.
WORKSPACE := data/projects

.DEFAULT_GOAL := help
.PHONY: help env demo images lab app test test-ci coverage soak fuzz lint docs bench lock clean FORCE

help:
	@echo 'make env             set up .venv from requirements.lock'
	@echo 'make demo            a demo project, open in the browser (HEADLESS=1: review it from a key file, print the result)'
	@echo 'make images          the screenshots of the documentation, made anew'
	@echo 'make lab             JupyterLab on this checkout'
	@echo 'make app             the review and the crop desk alone, without notebooks (APP_ARGS="PROJECT --port N")'
	@echo 'make test            the tests but for those of test-ci (PYTEST_ARGS="-k name" for some)'
	@echo 'make test-ci         the slow ones: walks in a browser, the README in a clean clone, Ray, the wheel'
	@echo 'make coverage        the lines of the package that no test of `make test` runs, in build/coverage/index.html'
	@echo 'make soak            1,000 kills in the midst of moving files, and what they cost (SOAK_KILLS=100 for fewer)'
	@echo 'make fuzz            hostile input, some ninety thousand cases (FUZZ=1 for one round, FUZZ_SEED=n for others)'
	@echo 'make lint            ruff, mypy, oxlint for the JavaScript, and notebooks without outputs'
	@echo 'make docs            the API reference from the docstrings, in build/docs/; a warning fails it'
	@echo 'make bench           every benchmark (BENCH_ARGS=--quick for a short run)'
	@echo 'make lock            resolve requirements.lock again (LOCK_ARGS=--upgrade for newer versions)'
	@echo 'make clean           remove build output and caches; leaves .venv, data/ and reports/'

env: $(READY) | $(WORKSPACE)

$(WORKSPACE):
	mkdir -p $@

# The stamp is written last and holds the folder it was made in. Without it, or when the checkout was moved or its
# Python is gone, the environment is half made and is made again from nothing; an older stamp only needs an update.
VENV_OK := $(shell test "`cat $(READY) 2>/dev/null`" = "$(CURDIR)" && $(PY) -c '' 2>/dev/null && echo yes)
ifneq ($(VENV_OK),yes)
$(READY): FORCE
endif

$(READY): requirements.lock pyproject.toml
	@python=; \
	for candidate in $(PYTHONS); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python=$$candidate; break; \
	  fi; \
	done; \
	if test -z "$$python"; then \
	  echo "make: Pickroom needs Python 3.11 or newer, and none of these is one: $(PYTHONS)" >&2; \
	  echo "make: install one, or say where it is: make $(or $(MAKECMDGOALS),env) PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 15))'; then \
	  echo "make: warning: not every pinned package has a wheel for `"$$python" --version`; 3.11 to 3.14 do" >&2; \
	fi; \
	rm -f $(READY); \
	if test "$(VENV_OK)" != yes; then \
	  echo "Making $(VENV) with `"$$python" --version`"; \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "make: $$python has no working venv module (on Debian: apt-get install python3-venv)." >&2; exit 1; }; \
	fi
	@echo 'Installing the pinned packages: the first time several GB and some minutes'
	@# uv installs them in a sixth of pip's time; pip does where uv cannot reach what pip's own settings name
	@sed -n '/^uv==/,/# via/p' requirements.lock > $(VENV)/uv.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(PY) -m uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock || { \
	  echo 'make: installing with pip instead' >&2; \
	  $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; }
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# optional: a platform without them is told so in one line
	@$(PICKROOM) install faces || true
	@# pip leaves bytecode out where PYTHONDONTWRITEBYTECODE is set: every process would then compile PyTorch again
	@PYTHONDONTWRITEBYTECODE= $(PY) -m compileall -q -j 0 $(VENV)/lib lib >/dev/null 2>&1 || true
	@printf '%s\n' "$(CURDIR)" > $(READY)

ifeq ($(HEADLESS),1)
demo: $(READY)
	rm -rf $(HEADLESS_HOME)
	mkdir -p build
	$(PICKROOM) demo $(HEADLESS_HOME) --groups 60 --seed 1 --decided 0 --no-review
	$(PICKROOM) review demo --home $(HEADLESS_HOME) --keys tests/fixtures/demo.keys
	@echo 'Files a folder, after the review:'
	@find $(HEADLESS_HOME)/demo_images -type d | sort | while read -r folder; do \
	  printf '%6d  %s\n' `find "$$folder" -maxdepth 1 -type f | wc -l` "$$folder"; \
	done
	$(PICKROOM) status demo --home $(HEADLESS_HOME)
else
demo: $(READY)
	mkdir -p build
	$(PICKROOM) demo build/demo
endif

# A real browser over a demo and over bursts of photographs, light and dark: docs/images/.
images: $(READY)
	PYTHONPATH=tests $(PY) -m browser.screenshots docs/images

lab: $(READY) | $(WORKSPACE)
	$(PICKROOM) lab

app: $(READY) | $(WORKSPACE)
	$(PICKROOM) app $(APP_ARGS)

# One process a core and one more, since tests wait for browsers and kernels; at most four. Each file's tests run in one
# of them, in the order of tests/conftest.py. PYTEST_JOBS=0 runs all in one. Bytecode is kept: hundreds of processes are
# started, and each would compile what it imports.
PYTEST_JOBS := $(shell expr `getconf _NPROCESSORS_ONLN` + 1)
PYTEST := PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n $(PYTEST_JOBS) --maxprocesses 4 --dist loadfile \
  --no-loadscope-reorder

test: $(READY)
	$(PYTEST) -m 'not ci' $(PYTEST_ARGS)

test-ci: $(READY)
	$(PYTEST) -m ci $(PYTEST_ARGS)

# What runs in processes of its own (commands, kernels, servers) is not counted.
coverage: $(READY)
	$(PYTEST) -m 'not ci' --cov=pickroom --cov-report=html:build/coverage --cov-report=term:skip-covered $(PYTEST_ARGS)

# Processes killed until 1,000 kills have landed in the midst of a batch; SOAK_ARGS="--seed N" repeats a run.
SOAK_KILLS := 1000

soak: $(READY)
	PYTHONPATH=tests $(PY) -m faults.soak --kills $(SOAK_KILLS) $(SOAK_ARGS)

# Each round is as many cases as `make test` runs; every failure names its case, to be had again by that name.
FUZZ := 20
FUZZ_SEED :=
fuzz: $(READY)
	PICKROOM_FUZZ=$(FUZZ) PICKROOM_FUZZ_SEED=$(FUZZ_SEED) $(PY) -m pytest -n $(PYTEST_JOBS) --maxprocesses 4 \
	  --timeout 7200 -rP tests/hostile $(PYTEST_ARGS)

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/oxlint --deny-warnings lib/pickroom/app/js tests/js
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@find lib/pickroom/notebooks -name .ipynb_checkpoints -prune -o -name '*.ipynb' -print | sort | { \
	  dirty=; \
	  while read -r notebook; do \
	    $(PY) -m nbstripout --keep-id --verify "$$notebook" || dirty=yes; \
	  done; \
	  if test -n "$$dirty"; then \
	    echo "make: strip those with: $(VENV)/bin/nbstripout --keep-id NOTEBOOK" >&2; exit 1; \
	  fi; }

# Two are left out, whose classes have annotations that cannot be read: the server's Voila's, a RAW file's Pillow's.
docs: $(READY)
	$(PY) -W error -m pdoc --docformat google -o build/docs pickroom '!pickroom.app.server' '!pickroom.images.raw'

# Every benchmark runs even when one misses its target; the last line names those. A leading _ marks a helper.
bench: $(READY)
	@missed=; \
	for script in benchmarks/[a-z]*.py; do \
	  test -f "$$script" || continue; \
	  echo "== $$script"; \
	  $(PY) "$$script" $(BENCH_ARGS) || missed="$$missed $$script"; \
	done; \
	if test -n "$$missed"; then echo "make: missed a target or failed:$$missed" >&2; exit 1; fi

# Universal: one file for Linux and macOS, every extra. It names no index, so that it works with anyone's.
lock: $(READY)
	$(PY) -m uv pip compile --no-config --universal --python-version 3.11 --generate-hashes --all-extras \
	  --no-emit-index-url --no-header --quiet $(LOCK_ARGS) pyproject.toml -o requirements.lock

clean:
	rm -rf build dist lib/pickroom.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find lib tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
