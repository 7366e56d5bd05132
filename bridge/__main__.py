"""``python -m bridge`` is ``vscope-bridge``."""

from bridge.cli import main

if __name__ == "__main__":
    main()
