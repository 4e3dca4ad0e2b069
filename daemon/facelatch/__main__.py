"""`python -m facelatch` and the `facelatch` command."""

from facelatch.cli import main

if __name__ == "__main__":
    main()
