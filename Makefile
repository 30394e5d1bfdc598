# `make demo` and `make test` need only a fresh Debian 12 with python3, make and root.

PYTHON ?= python3
VENV ?= .venv
BIN ?= $(VENV)/bin
BENCHMARKS ?= webhooks,latency,growth,fanout,amqp_consume,websocket_fanout,console_calls
comma := ,
PARALLEL = --jobs=5 --keep-going --output-sync=target
APT = DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends

.PHONY: help demo test venv system-packages lint types imports docs tests packaging \
	integration-tests contract-tests fault-tests browser-tests traffic-tests rest-tests other-tests changelog changelog-check mutants benchmark fault-load picture \
	deb deb-test release-check clean

help:
	@echo "make demo       install into $(VENV) and run a node with simulated calls"
	@echo "                e.g. make demo DEMO_OPTIONS='--calls-per-minute 60 --accounts 8' (kazoo-bridge demo --help lists the options)"
	@echo "make test       install what the tests need, then run everything CI runs"
	@echo "make lint types imports docs tests packaging   the parts of make test, after make test has installed"
	@echo "make docs       build the documentation, which the node then serves at /docs/"
	@echo "make changelog  show the next section of the changelog"
	@echo "make changelog-check   fail when a change that users see has no changelog fragment"
	@echo "make mutants    flip conditions at random and see whether a test fails (MUTANTS='--help' lists the options)"
	@echo "make benchmark  measure this service and its peers in turn (prints tables, takes long)"
	@echo "                e.g. make benchmark BENCHMARKS=webhooks,latency; each is python -m benchmarks.NAME --help"
	@echo "make fault-load  kill, freeze and fill everything under load, and account for every event (a quarter of an hour)"
	@echo "make picture    renew the screenshot of the console in docs/, from the demo"
	@echo "make deb        build the Debian package into build/deb"
	@echo "make deb-test   install it in a bare Debian (debootstrap), let events flow, purge it; needs root, takes minutes"
	@echo "make release-check   build what is published into dist/, and check it"
	@echo "make clean      remove $(VENV) and all build results"

demo: $(VENV)/.installed
	$(BIN)/kazoo-bridge demo $(DEMO_OPTIONS)

test: system-packages $(VENV)/.installed-dev
	@echo "all checks and seven parts of the tests run, five at a time; this takes minutes"
	$(MAKE) $(PARALLEL) $(TEST_PARTS) lint types imports docs packaging changelog-check

# pip is installed last: an environment without it is incomplete, and is completed here.
$(VENV)/bin/pip:
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || (apt-get update && $(APT) python3-venv)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel

# setuptools warns at length of the mode that twisted.plugins needs.
EDITABLE = PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --config-settings editable_mode=compat --editable

$(VENV)/.installed: $(VENV)/bin/pip setup.cfg pyproject.toml
	$(EDITABLE) .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/pip setup.cfg pyproject.toml
	$(EDITABLE) '.[dev]'
	touch $@ $(VENV)/.installed

system-packages:
	@missing=; \
	test -x /usr/lib/rabbitmq/bin/rabbitmq-server || missing="$$missing rabbitmq-server"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v php >/dev/null || missing="$$missing php-cli"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v haproxy >/dev/null || missing="$$missing haproxy"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v groff >/dev/null || missing="$$missing groff-base"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	ls /usr/lib/*/libatomic.so.1 >/dev/null 2>&1 || missing="$$missing libatomic1"; \
	if [ -n "$$missing" ]; then set -e; \
	  apt-get update; \
	  policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; trap "rm -f $$policy" EXIT; fi; \
	  $(APT) $$missing; \
	fi

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

# The node serves the pages at /docs/, and the wheel contains them. They are moved there at once, for nodes that start
# meanwhile.
PAGES = kazoo_bridge/documentation/pages

docs:
	rm -rf docs/_build/pages
	$(BIN)/sphinx-build -q -W -d docs/_build/doctrees -b html docs docs/_build/pages
	rm -rf $(PAGES) && mv docs/_build/pages $(PAGES)

# The wheel in its own environment, which sees only the dependencies of the development environment.
packaging: docs
	rm -rf build/wheel build/lib build/bdist.* && $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel/dist .
	$(BIN)/python -m venv --without-pip build/wheel/env
	$(BIN)/python -m pip --python build/wheel/env/bin/python install --quiet --no-deps build/wheel/dist/*.whl
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(echo build/wheel/env/lib/python3*/site-packages)/borrowed.pth"
	cd build/wheel/env && bin/python -c 'from twisted.scripts.twistd import run; run()' --help | grep '^ *kazoo_bridge '
	ls build/wheel/env/lib/python3*/site-packages/kazoo_bridge/documentation/pages/index.html
	cd build/wheel/env && ls "$$(bin/kazoo-bridge config examples)" | grep -x kazoo-bridge.service
	cd build/wheel/env && bin/kazoo-bridge --yes account create --id 0123456789abcdef0123456789abcdef

# The parts run in parallel, because all wait much of their time: for brokers, receivers that recover, sockets
# that time out, a browser. The output of each is printed when it ends. All run, also if one fails. The longest
# come first.
TEST_PARTS = integration-tests traffic-tests rest-tests browser-tests fault-tests contract-tests other-tests

tests:
	@echo "seven parts of the tests run, five at a time; this takes minutes"
	$(MAKE) $(PARALLEL) $(TEST_PARTS)

FAULT_TESTS = $(wildcard tests/integration/test_faults_*.py) tests/integration/test_isolation.py
CONTRACT_TESTS = tests/integration/test_openapi.py tests/integration/test_storage_postgresql.py
BROWSER_TESTS = tests/browser tests/console tests/demo
TRAFFIC_TESTS = tests/webhooks tests/websockets tests/attacks

integration-tests:
	$(BIN)/python -m pytest tests/integration $(patsubst %,--ignore=%,$(FAULT_TESTS) $(CONTRACT_TESTS))

contract-tests:
	$(BIN)/python -m pytest $(CONTRACT_TESTS)

fault-tests:
	$(BIN)/python -m pytest $(FAULT_TESTS)

browser-tests:
	$(BIN)/python -m pytest $(BROWSER_TESTS)

traffic-tests:
	$(BIN)/python -m pytest $(TRAFFIC_TESTS)

rest-tests:
	$(BIN)/python -m pytest tests/rest

other-tests:
	$(BIN)/python -m pytest tests $(patsubst %,--ignore=%,tests/integration tests/rest $(BROWSER_TESTS) $(TRAFFIC_TESTS))

changelog:
	$(BIN)/towncrier build --draft --version next

changelog-check:
	$(BIN)/python -m tools.changelog_fragment

$(VENV)/.installed-mutants: $(VENV)/.installed-dev
	$(EDITABLE) '.[mutants]'
	touch $@

mutants: $(VENV)/.installed-mutants
	$(BIN)/python -m tools.mutants $(MUTANTS)

# Their peers come from PyPI, npm and Debian, and are installed below benchmarks/build, not into $(VENV).
benchmark: system-packages $(VENV)/.installed-dev
	set -e; for name in $(subst $(comma), ,$(BENCHMARKS)); do $(BIN)/python -m benchmarks.$$name; done
	$(if $(findstring websocket_fanout,$(BENCHMARKS)),$(BIN)/python -m benchmarks.websocket_fanout --rabbitmq)

fault-load:
	$(BIN)/python -m benchmarks.fault_load --faults $(or $(FAULTS),all)

deb: $(VENV)/.installed-dev
	$(MAKE) docs
	$(BIN)/python -m tools.debian_package build/deb

deb-test: deb
	command -v debootstrap >/dev/null || (apt-get update && $(APT) debootstrap)
	tools/debian_package_check.sh build/deb/kazoo-bridge_*.deb "$(CURDIR)/build/deb-test"

$(VENV)/.installed-release: $(VENV)/.installed
	$(EDITABLE) '.[release]'
	touch $@

# The bill of materials lists what pip installs with the wheel, into an environment without anything else.
release-check: $(VENV)/.installed-release $(VENV)/.installed-dev
	$(MAKE) docs
	rm -rf dist build/lib build/release
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python -m zipfile --list dist/*.whl | grep -q documentation/pages/index.html
	$(BIN)/python -m venv --without-pip build/release
	$(BIN)/python -m pip --python build/release/bin/python install --quiet dist/*.whl
	$(BIN)/cyclonedx-py environment --output-reproducible --of JSON -o dist/sbom.cdx.json build/release/bin/python

picture:
	$(BIN)/python -m tests.browser.console_picture

clean:
	rm -rf $(VENV) build dist docs/_build $(PAGES) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
