.PHONY: setup test test-ejabberd lint demo bench soak audit lock

setup:
	@scripts/setup

# Stories wait more than they compute. Ends with pytest's summary.
TESTS = .venv/bin/python -m pytest -n 4 --dist worksteal

test: lint
	@$(TESTS)

# Every story that can be run on ejabberd, and on that alone.
test-ejabberd: setup
	@$(TESTS) prosody-test --ignore=prosody-test/clients --server ejabberd

lint: setup
	@scripts/lint

demo:
	@scripts/setup demo
	@.venv/bin/rapport demo

bench: setup
	@for bench in presence link ejabberd ledger scale virtual levels; do .venv/bin/python bench/$$bench.py || exit 1; done

# Half an hour of load with restarts and cuts.
soak: setup
	@.venv/bin/python bench/soak.py

audit: setup
	@.venv/bin/python scripts/audit.py

# After a change of pyproject.toml's dependencies: what Rapport needs where it runs, and what its tests need beside that.
LOCK = .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: setup
	@$(LOCK) --build-deps-for=editable --output-file=requirements.lock pyproject.toml
	@$(LOCK) --extra=dev --constraint=requirements.lock --output-file=requirements-dev.lock pyproject.toml
