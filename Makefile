# Every target gets ready by itself; the first run takes minutes, later ones a fraction of a second.
#   make demo [ARGS="--keep-server"]   make test   make test-full   make lint   make bench
#   make test-full-size: SDXL and Z-Image at their real size, on random weights (17 GiB of memory)
# PYTHON is any Python from 3.10 on. COMFYUI_PATH names a ComfyUI of yours to run in instead.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
PYTEST = -m pytest -n $(WORKERS) --dist loadgroup

# $(call ready,PURPOSE): the shell variable kiln_python is the interpreter to use.
ready = kiln_python="$$($(PYTHON) devtools/setup_env.py --for $(1))"

.PHONY: demo test test-slow test-full test-full-size lint bench clean distclean python-is-new-enough

demo: python-is-new-enough
	@$(call ready,demo) && "$$kiln_python" demo/run.py $(ARGS)

test: python-is-new-enough
	@$(call ready,test) && \
	case "$$kiln_python" in \
	"$(CURDIR)"/.venv/*) $(MAKE) --no-print-directory lint ;; \
	*) echo "Lint left out: it uses the project's own .venv. Run: make lint" ;; \
	esac && \
	"$$kiln_python" $(PYTEST) -m "not slow and not full and not full_size" $(ARGS)

test-slow: python-is-new-enough
	@$(call ready,test) && "$$kiln_python" $(PYTEST) -m "slow and not full and not full_size" $(ARGS)

test-full: python-is-new-enough
	@$(call ready,test) && "$$kiln_python" $(PYTEST) -m "not full_size" $(ARGS)

# One process after the other: two whole models do not fit where one does.
test-full-size: python-is-new-enough
	@$(call ready,test) && "$$kiln_python" -m pytest -s -m full_size $(ARGS)

lint: python-is-new-enough
	@$(call ready,lint) && \
	"$$kiln_python" -m ruff check . && \
	"$$kiln_python" devtools/typecheck.py

bench: python-is-new-enough
	@$(call ready,test) && "$$kiln_python" benchmarks/run.py $(ARGS)

clean:
	rm -rf .out .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './node_modules/*' \
	  -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv node_modules

python-is-new-enough:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	echo "Expected Python 3.10 or newer, found: $$($(PYTHON) --version 2>&1)." \
	"Name another one: make PYTHON=python3.12" >&2; exit 1; }
