"""`python -m facelatch` and the `facelatch` command."""

from facelatch.cli.root import main

if __name__ == "__main__":
    main()
