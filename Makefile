# Two commands are the whole interface of a contributor: `make test` and `make check`. `make demo` and `make studio` are
# a newcomer's.
# Each sets up what it needs, in virtual environments under .venv-*, and again only when pyproject.toml changes.

PYTHON ?= python3
MEDIA := examples/media
OUT := out/demo
STUDIO := out/studio
PAGE := src/masklet/server/static/index.html

.PHONY: demo studio test fuzz check docs format dist lowest clean

demo: .venv-demo/ready
	@.venv-demo/bin/python scripts/demo.py --media $(MEDIA) --out $(OUT)

# The studio in the browser, with a sample project: `make studio OPTIONS="--port 8200 --no-browser"` for more.
studio: .venv-studio/ready $(PAGE)
	@.venv-studio/bin/masklet serve --data $(STUDIO) --sample $(MEDIA) $(OPTIONS)

test: .venv-dev/ready
	.venv-dev/bin/python -m pytest

# Damaged files for every reader, from a new seed; those that crash stay in out/fuzz, with the line that repeats them.
MINUTES ?= 10
fuzz: .venv-dev/ready
	.venv-dev/bin/python -m tests.fuzz.run --minutes $(MINUTES)

check: .venv-dev/ready
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy

# The site, in docs/_build/html. Needs no network; a warning is an error.
docs: .venv-dev/ready
	.venv-dev/bin/python -m sphinx -W --keep-going -b html docs docs/_build/html

format: .venv-dev/ready
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .

# What is published: dist/ with an sdist and, made from it, a wheel, which is then installed and tried.
dist: .venv-build/ready
	rm -rf dist
	.venv-build/bin/python -m build
	.venv-build/bin/python scripts/check_package.py

# Demo and tests with the lowest versions that pyproject.toml declares: `make lowest EXTRAS=hub,export LOWEST=python3.10`.
EXTRAS ?= server,dicom,nifti,plot
LOWEST ?= python3.10
lowest:
	$(PYTHON) scripts/try_versions.py --python $(LOWEST) --extras "$(EXTRAS)"

# The demo has what `pip install masklet` gives, and nothing more: no PyTorch, no download.
.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv-studio/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-studio
	.venv-studio/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[server]"
	@touch $@

# The page is built with npm: the machine's, if its Node is new enough, or the one that a PyPI package brings.
$(PAGE): .venv-studio/ready $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
	scripts/build_page .venv-studio/bin/python

.venv-build/ready:
	$(PYTHON) -m venv --clear .venv-build
	.venv-build/bin/python -m pip install --quiet --disable-pip-version-check "build>=1.2"
	@touch $@

.venv-dev/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-dev
	.venv-dev/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	.venv-dev/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[train]" --group dev
	@touch $@

clean:
	rm -rf .venv-demo .venv-dev .venv-studio .venv-build .venv-versions .venv-node out build dist .pytest_cache .mypy_cache
	rm -rf .ruff_cache docs/_build docs/reference/generated
