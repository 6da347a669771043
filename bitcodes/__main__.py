"""Run the command line as `python -m bitcodes`."""

from bitcodes.cli.app import main

if __name__ == "__main__":
    main()
