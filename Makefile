# What people type. `make help` lists it. What is behind each line is in tools/bootstrap.py,
# which works with any Python 3 so that it can say what is missing.

FOUND := $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,$(shell command -v $(name)))
PYTHON ?= $(firstword $(FOUND))
VENV := .venv/bin
BOOTSTRAP = $(if $(PYTHON),$(PYTHON),$(error cannot set up weaver: no python3 on PATH; install Python 3.11 or newer)) tools/bootstrap.py

# Who is done takes tests from the others. To debug: ARGS="-n0 -x".
# Many tests wait for real processes: more at a time than a small machine has cores.
PYTEST := $(VENV)/python -m pytest -q -n 4 --dist worksteal

# More arguments for the program that a target ends with: make test ARGS="tests/core -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help up demo-push test check static docs bench soak lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

up: ## Set up and run the services of services.d/ in the foreground
	@$(BOOTSTRAP) up
	@exec $(VENV)/weaver -C "$(CURDIR)" up $(ARGS)

demo-push: ## Push to a repository and see it deployed, all in a temporary folder
	@$(BOOTSTRAP) check
	@$(VENV)/python -m tools.demo_push

test: ## Set up with all that the tests need, then run them all
	@$(BOOTSTRAP) test
	$(PYTEST) --durations=15 --durations-min=2 $(ARGS)

check: static ## The quick gate: format, lint, types, import contracts, fast tests, docs
	$(PYTEST) -m "not real and not slow" $(ARGS)

static: ## Only what needs no test run: format, lint, types, import contracts
	@$(BOOTSTRAP) check
	$(VENV)/ruff format --check --quiet .
	$(VENV)/ruff check --quiet .
	$(VENV)/mypy
	$(VENV)/lint-imports

docs: ## Write the pages of docs/ that are made from the code
	@$(BOOTSTRAP) check
	$(VENV)/python -m tools.docs

bench: ## Print the benchmark table, other supervisors beside Weaver
	@$(BOOTSTRAP) check
	@$(VENV)/python -m tools.peers
	$(VENV)/python -m benchmarks $(ARGS)

soak: ## Simulate, then really run, for as long as told: make soak ARGS="--minutes 30"
	@$(BOOTSTRAP) check
	$(VENV)/python -m tests.sim soak $(ARGS)
	$(VENV)/python -m tests.real.strikes $(ARGS)
	$(VENV)/python -m benchmarks.soak $(ARGS)

lock: ## Pin the newest versions that pyproject.toml allows, by hash, in requirements*.txt
	@$(PYTHON) tools/lock.py $(ARGS)

clean: ## Remove what make made; .weaver/ stays, it belongs to a daemon that may run
	rm -rf .venv .peers build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find reconciler tests tools benchmarks -name __pycache__ -prune -exec rm -rf {} +
