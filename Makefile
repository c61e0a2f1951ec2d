# Two commands are the whole interface of a contributor: `make test` and `make check`. `make demo` is a newcomer's.
# Each sets up what it needs, in virtual environments under .venv-*, and again only when pyproject.toml changes.

PYTHON ?= python3
MEDIA := examples/media
OUT := out/demo

.PHONY: demo test check format clean

demo: .venv-demo/ready
	@.venv-demo/bin/python scripts/demo.py --media $(MEDIA) --out $(OUT)

test: .venv-dev/ready
	.venv-dev/bin/python -m pytest

check: .venv-dev/ready
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy

format: .venv-dev/ready
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .

# The demo has what `pip install masklet` gives, and nothing more: no PyTorch, no download.
.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv-dev/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-dev
	.venv-dev/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	.venv-dev/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[train]" --group dev
	@touch $@

clean:
	rm -rf .venv-demo .venv-dev out build dist .pytest_cache .mypy_cache .ruff_cache
