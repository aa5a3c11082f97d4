# GNU make 3.81 (macOS) or later. Nothing is installed outside this folder, except into the caches of uv and jgo.

SHELL := /bin/bash
# Some images ask Python not to keep what it compiled: then every process that is started compiles all of its libraries anew.
unexport PYTHONDONTWRITEBYTECODE
# An installed uv that is too old for this workspace refuses every command here.
UV := $(shell uv cache dir >/dev/null 2>&1 && command -v uv || echo .tools/bin/uv)
RUN := $(UV) run --no-sync

.DEFAULT_GOAL := help
.PHONY: help sync demo load test test-deploy test-full up down images bench bench-matching bench-matching-full contracts dashboards freeze lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: sync ## a population of companies plays the whole journey; COMPANIES=400 SEED=7 UNTIL=2018-03-31 change it
	@$(RUN) pilot demo $(if $(COMPANIES),--companies $(COMPANIES)) $(if $(SEED),--seed $(SEED)) $(if $(UNTIL),--until $(UNTIL))

load: sync ## companies register as fast as the system takes them; COMPANIES=2000 SEED=... RATE=a second
	$(RUN) pilot load $(if $(COMPANIES),--companies $(COMPANIES)) $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE))

IN_PARALLEL = -n 3 --dist loadfile --no-loadscope-reorder

test: lint ## the linters, and every test but the long ones, three files at a time
	$(RUN) python -c "from matching.index.compilation import compile_all; compile_all()" # once, not in each process that needs it
	$(RUN) pytest -m "not full and not installed" $(IN_PARALLEL)

test-deploy: sync ## what operators do: images, chart, upgrades, alerts, runbooks, security; at most 10 minutes
	$(RUN) pytest tests/deploy -m "not full" $(IN_PARALLEL)

test-full: lint ## the same, and the long ones
	FULL=1 $(RUN) pytest

up: sync ## start Kafka, PostgreSQL and the services; leave them running and say where everything is
	@$(RUN) laptop up

down: sync ## stop what `up` started
	@$(RUN) laptop down

images: ## the images of the four services, named sojourn/<service>; PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
	@set -e; for service in registration matching exchange survey; do \
		docker build -f deploy/Dockerfile -t sojourn/$$service --build-arg SERVICE=$$service \
			--build-arg REVISION=$$(git rev-parse HEAD) $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) .; \
	done

bench: sync ## the benchmarks, one JSON line each
	@set -e; for benchmark in benchmarks/bench_*.py; do $(RUN) python $$benchmark; done

MATCHING_BENCHMARKS = $(addprefix benchmarks/,bench_retrieval.py bench_market.py bench_matching_events.py)

bench-matching: sync ## how fast matches are found, and how good those are that the planner chooses; some minutes
	@set -e; for benchmark in $(MATCHING_BENCHMARKS); do $(RUN) python $$benchmark; done

bench-matching-full: sync ## the same with more and larger markets
	@set -e; for benchmark in $(MATCHING_BENCHMARKS); do FULL=1 $(RUN) python $$benchmark; done

freeze: sync ## publish new versions of events: golden messages, and digests of what will never change again
	@$(RUN) python -m sojourn_contracts.frozen

contracts: sync ## write anew what the catalogue says: schemas, asyncapi.yaml, its page and drawing, the README's table, the chart's topics, ACLs and settings
	@$(RUN) python -m sojourn_contracts.generated
	@$(RUN) python -m deploy.helm.written

dashboards: sync ## draw the dashboards anew, as deploy/monitoring/drawn.py says
	@$(RUN) python -m deploy.monitoring.drawn

lint: sync ## style, types, layers
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) basedpyright
	$(RUN) lint-imports

clean: ## stop what runs, then remove data, logs, reports and caches
	@for folder in .run build/demo/run; do \
		if ls $$folder/system.json $$folder/*/volume 2>/dev/null | grep -q .; then \
			$(RUN) laptop down --volumes --folder $$folder || exit 1; \
		fi; \
	done
	rm -rf .run build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +

# The workspace's members, their dependencies and the tools of the dev group, as locked.
sync: $(UV)
	@$(UV) sync --locked --quiet

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/pip install --quiet 'uv>=0.9'
